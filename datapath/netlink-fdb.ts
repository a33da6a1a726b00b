import { datapathError, Errno } from "./errors.js";
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
  portAttribute,
  u32Attribute,
} from "./netlink-attributes.js";
import { unlessRefused } from "./netlink-failure.js";
import { attributeU32, MessageFlag, parseAttributes } from "./netlink-message.js";
import {
  Neighbour,
  neighbourBytes,
  neighbourHeader,
  NeighbourState,
} from "./netlink-neighbours.js";
import { change, request } from "./netlink-socket.js";

/** `NTF_SELF`: the table of the device itself, not that of the bridge that it is a port of. */
const ownTable = 0x02;

/** The MAC of frames that no other entry is for. */
export const floodMac = "00:00:00:00:00:00";

/** A line of the forwarding table of a VXLAN device: behind which tunnel end a MAC is. */
export interface FdbEntry {
  readonly device: IfIndex;
  readonly mac: string;
  /** Address of the other end of the tunnel. */
  readonly destination: string;
  /** UDP port there, when it is not that of the device. */
  readonly port?: number | undefined;
  /** Network identifier to send with, when it is not that of the device. */
  readonly id?: number | undefined;
}

/**
 * Says where a MAC is, whatever was said before. A MAC of one station has one destination.
 *
 * @throws SluiceError SLUICE_BAD_VALUE, SLUICE_NETLINK_FAILED, SLUICE_NO_CAPABILITY
 */
export function replaceFdbEntry(entry: FdbEntry): void {
  if (isMany(entry.mac)) {
    throw datapathError("SLUICE_BAD_VALUE", `${entry.mac} has a list of destinations`, {
      remedy: "Append to it",
    });
  }
  writeEntry(entry, MessageFlag.replace);
}

/**
 * Adds a destination to those that get a copy of each frame for {@link floodMac} or a multicast MAC;
 * it may be there already.
 *
 * @throws SluiceError SLUICE_BAD_VALUE, SLUICE_NETLINK_FAILED, SLUICE_NO_CAPABILITY
 */
export function appendFdbEntry(entry: FdbEntry): void {
  // The kernel would keep the old destination and say nothing.
  if (!isMany(entry.mac)) {
    throw datapathError("SLUICE_BAD_VALUE", `${entry.mac} can have one destination only`, {
      remedy: "Replace it",
    });
  }
  writeEntry(entry, MessageFlag.append);
}

function isMany(mac: string): boolean {
  const bytes = encodeMac(mac);
  return (bytes.readUInt8(0) & 1) !== 0 || bytes.every((byte) => byte === 0);
}

function writeEntry(entry: FdbEntry, mode: number): void {
  change(
    RouteMessage.newNeighbour,
    MessageFlag.create | mode,
    encodeEntry(entry),
    `forward ${entry.mac} of interface ${entry.device} to ${entry.destination}`,
  );
}

/**
 * Takes a destination away.
 *
 * @returns false when it was not there, or its interface is gone
 * @throws SluiceError SLUICE_BAD_VALUE, SLUICE_NETLINK_FAILED, SLUICE_NO_CAPABILITY
 */
export function deleteFdbEntry(entry: FdbEntry): boolean {
  const { device, mac, destination } = entry;
  const tried = `delete forwarding of ${mac} of interface ${device} to ${destination}`;
  const isDeleted = unlessRefused([Errno.ENOENT, Errno.ENODEV], () => {
    change(RouteMessage.delNeighbour, 0, encodeEntry(entry), tried);
    return true;
  });
  return isDeleted ?? false;
}

function encodeEntry({ device, mac, destination, port, id }: FdbEntry): Buffer {
  const state = NeighbourState.noarp | NeighbourState.permanent;
  return Buffer.concat([
    neighbourHeader(Family.bridge, checkIndex(device), state, ownTable),
    attribute(Neighbour.mac, encodeMac(mac)),
    attribute(Neighbour.address, encodeAddress(destination).bytes),
    ...(port === undefined ? [] : [portAttribute(Neighbour.port, port)]),
    ...(id === undefined ? [] : [u32Attribute(Neighbour.vni, id, "VXLAN identifier")]),
  ]);
}

/**
 * The forwarding table of a VXLAN device.
 *
 * @throws SluiceError SLUICE_BAD_VALUE, SLUICE_NETLINK_FAILED
 */
export function listFdb(device: IfIndex): readonly FdbEntry[] {
  const header = neighbourHeader(Family.bridge, checkIndex(device), 0, 0);
  const tried = `list the forwarding table of interface ${device}`;
  return request(RouteMessage.getNeighbour, MessageFlag.dump, header, tried).flatMap(
    ({ payload }) => parseEntry(payload, device),
  );
}

function parseEntry(payload: Buffer, device: IfIndex): readonly FdbEntry[] {
  const attributes = parseAttributes(payload, neighbourBytes);
  const mac = attributes.get(Neighbour.mac);
  const destination = attributes.get(Neighbour.address);
  if (mac === undefined || destination === undefined || payload.readInt32LE(4) !== device) {
    return [];
  }
  const port = attributes.get(Neighbour.port)?.readUInt16BE();
  const id = attributeU32(attributes, Neighbour.vni);
  const entry = { device, mac: formatMac(mac), destination: formatAddress(destination) };
  return [
    { ...entry, ...(port === undefined ? {} : { port }), ...(id === undefined ? {} : { id }) },
  ];
}
