import { Errno } from "./errors.js";
import type { IfIndex } from "./handles.js";
import { RouteMessage } from "./netlink.js";
import {
  attribute,
  checkIndex,
  encodeAddress,
  encodeMac,
  Family,
  formatAddress,
  formatMac,
  namesByNumber,
  u32Attribute,
} from "./netlink-attributes.js";
import { unlessRefused } from "./netlink-failure.js";
import { MessageFlag, parseAttributes } from "./netlink-message.js";
import { change, request } from "./netlink-socket.js";

/** Bytes of the fixed header `struct ndmsg`. */
export const neighbourBytes = 12;
/** `NDA_…` attributes. */
export const Neighbour = { address: 1, mac: 2, port: 6, vni: 7, index: 8 } as const;

/** `NUD_…` bits by name. */
export const NeighbourState = {
  none: 0,
  incomplete: 0x01,
  reachable: 0x02,
  stale: 0x04,
  delay: 0x08,
  probe: 0x10,
  failed: 0x20,
  noarp: 0x40,
  permanent: 0x80,
} as const;
export type NeighbourStateName = keyof typeof NeighbourState;
const stateNames = namesByNumber(NeighbourState);

/** What the kernel knows about an address on the wire of an interface. */
export interface NeighbourEntry {
  readonly device: IfIndex;
  /** `192.0.2.1`, `2001:db8::1`. */
  readonly address: string;
  /** Undefined while nobody has answered. */
  readonly mac: string | undefined;
  readonly state: NeighbourStateName;
}

/** A neighbour to write. */
export interface NewNeighbour {
  readonly device: IfIndex;
  readonly address: string;
  readonly mac: string;
  /** `permanent`: never asked for and never forgotten. */
  readonly state: "permanent" | "reachable" | "stale" | "noarp";
}

/**
 * Writes a neighbour.
 *
 * @throws SluiceError SLUICE_BAD_VALUE; SLUICE_NETLINK_FAILED, also when the interface has one of
 *   this address (cause EEXIST); SLUICE_NO_CAPABILITY
 */
export function addNeighbour(neighbour: NewNeighbour): void {
  writeNeighbour(neighbour, MessageFlag.exclusive);
}

/** Like {@link addNeighbour}, but takes the place of what is there. */
export function replaceNeighbour(neighbour: NewNeighbour): void {
  writeNeighbour(neighbour, MessageFlag.replace);
}

function writeNeighbour({ device, address, mac, state }: NewNeighbour, mode: number): void {
  const payload = Buffer.concat([
    encodeNeighbour(device, address, NeighbourState[state]),
    attribute(Neighbour.mac, encodeMac(mac)),
  ]);
  const tried = `add neighbour ${address} of interface ${device}`;
  change(RouteMessage.newNeighbour, MessageFlag.create | mode, payload, tried);
}

/**
 * Deletes a neighbour.
 *
 * @returns false when there was none, or its interface is gone
 * @throws SluiceError SLUICE_BAD_VALUE, SLUICE_NETLINK_FAILED, SLUICE_NO_CAPABILITY
 */
export function deleteNeighbour({
  device,
  address,
}: Pick<NewNeighbour, "device" | "address">): boolean {
  const payload = encodeNeighbour(device, address, 0);
  const tried = `delete neighbour ${address} of interface ${device}`;
  const isDeleted = unlessRefused([Errno.ENOENT, Errno.ENODEV], () => {
    change(RouteMessage.delNeighbour, 0, payload, tried);
    return true;
  });
  return isDeleted ?? false;
}

function encodeNeighbour(device: number, address: string, state: number): Buffer {
  const { family, bytes } = encodeAddress(address);
  const header = neighbourHeader(family, checkIndex(device), state, 0);
  return Buffer.concat([header, attribute(Neighbour.address, bytes)]);
}

export function neighbourHeader(
  family: number,
  index: number,
  state: number,
  flags: number,
): Buffer {
  const header = Buffer.alloc(neighbourBytes);
  header.writeUInt8(family, 0);
  header.writeInt32LE(index, 4);
  header.writeUInt16LE(state, 8);
  header.writeUInt8(flags, 10);
  return header;
}

/**
 * IPv4 and IPv6 neighbours of the network namespace of this thread, or of one of its interfaces.
 *
 * @throws SluiceError SLUICE_NETLINK_FAILED
 */
export function listNeighbours(device?: IfIndex): readonly NeighbourEntry[] {
  const filter =
    device === undefined ? [] : [u32Attribute(Neighbour.index, checkIndex(device), "device")];
  return [Family.inet, Family.inet6].flatMap((family) => {
    const payload = Buffer.concat([neighbourHeader(family, 0, 0, 0), ...filter]);
    const tried = "list the neighbours";
    return request(RouteMessage.getNeighbour, MessageFlag.dump, payload, tried).flatMap((message) =>
      parseNeighbour(message.payload),
    );
  });
}

function parseNeighbour(payload: Buffer): readonly NeighbourEntry[] {
  const attributes = parseAttributes(payload, neighbourBytes);
  const address = attributes.get(Neighbour.address);
  const mac = attributes.get(Neighbour.mac);
  if (address === undefined) return [];
  return [
    {
      device: payload.readInt32LE(4) as IfIndex,
      address: formatAddress(address),
      mac: mac?.length === 6 ? formatMac(mac) : undefined,
      state: stateNames.get(payload.readUInt16LE(8)) ?? "none",
    },
  ];
}
