import { Errno } from "./errors.js";
import type { IfIndex, ProgramId } from "./handles.js";
import { formatMac, stringAttribute } from "./netlink-attributes.js";
import { unlessRefused } from "./netlink-failure.js";
import type { Attributes } from "./netlink-message.js";
import { attributeString, attributeU32, MessageFlag, parseAttributes } from "./netlink-message.js";
import { request } from "./netlink-socket.js";

/** `RTM_…` message types. */
export const RouteMessage = {
  newLink: 16,
  delLink: 17,
  getLink: 18,
  newAddress: 20,
  delAddress: 21,
  getAddress: 22,
  newRoute: 24,
  delRoute: 25,
  getRoute: 26,
  newNeighbour: 28,
  delNeighbour: 29,
  getNeighbour: 30,
  newRule: 32,
  delRule: 33,
  getRule: 34,
} as const;

/** `IFLA_…` attributes of an interface. */
export const Ifla = {
  address: 1,
  name: 3,
  mtu: 4,
  link: 5,
  master: 10,
  linkInfo: 18,
  alias: 20,
  netnsFd: 28,
  txQueues: 31,
  rxQueues: 32,
  carrier: 33,
  linkNetnsId: 37,
  xdp: 43,
} as const;
/** `IFLA_INFO_…` attributes within {@link Ifla.linkInfo}. */
export const IflaInfo = { kind: 1, data: 2 } as const;
const IflaXdp = { attached: 2, programId: 4, nativeId: 5, genericId: 6, offloadId: 7 } as const;
/** `XDP_ATTACHED_…` by number. */
const attachedModes = [undefined, "native", "generic", "offload", "multiple"] as const;

/** `IFF_…` bits of {@link NetworkInterface.flags}. */
export const InterfaceFlag = { up: 1, loopback: 8, pointToPoint: 0x10 } as const;

/** A network interface as the kernel lists it. */
export interface NetworkInterface {
  readonly index: IfIndex;
  readonly name: string;
  /** `IFF_…` bits. */
  readonly flags: number;
  readonly isUp: boolean;
  /** Whether the other end of the wire is there; undefined when the driver does not say. */
  readonly hasCarrier: boolean | undefined;
  /** Bytes of payload. */
  readonly mtu: number;
  /** Driver family of virtual interfaces (`veth`, `bridge`, `vlan`, …); undefined for a NIC. */
  readonly kind: string | undefined;
  /** Bridge, bond or VRF that it belongs to. */
  readonly master: IfIndex | undefined;
  /** Peer of a veth, parent of a VLAN; a number in namespace `peerNetnsId` when that is given. */
  readonly peerIndex: number | undefined;
  readonly peerNetnsId: number | undefined;
  /** `02:00:00:00:00:01`; undefined for interfaces without one. */
  readonly mac: string | undefined;
  /** Free text, by which an owner marks what is his. */
  readonly alias: string | undefined;
  readonly rxQueues: number;
  readonly txQueues: number;
  readonly xdp: InterfaceXdp | undefined;
}

/** XDP programs of an interface, as netlink tells. */
export interface InterfaceXdp {
  readonly mode: "native" | "generic" | "offload" | "multiple";
  readonly programIds: readonly ProgramId[];
}

/** Bytes of the fixed header `struct ifinfomsg`. */
export const ifInfoBytes = 16;

/** Reads the payload of an `RTM_NEWLINK` or `RTM_DELLINK` message. */
export function parseInterface(payload: Buffer): NetworkInterface {
  const attributes = parseAttributes(payload, ifInfoBytes);
  const flags = payload.readUInt32LE(8);
  const mac = attributes.get(Ifla.address);
  const info = attributes.get(Ifla.linkInfo);
  const carrier = attributes.get(Ifla.carrier)?.readUInt8();
  return {
    index: payload.readInt32LE(4) as IfIndex,
    name: attributeString(attributes, Ifla.name) ?? "",
    flags,
    isUp: (flags & InterfaceFlag.up) !== 0,
    hasCarrier: carrier === undefined ? undefined : carrier !== 0,
    mtu: attributeU32(attributes, Ifla.mtu) ?? 0,
    kind: info && attributeString(parseAttributes(info), IflaInfo.kind),
    master: attributeU32(attributes, Ifla.master) as IfIndex | undefined,
    peerIndex: attributeU32(attributes, Ifla.link),
    peerNetnsId: attributes.get(Ifla.linkNetnsId)?.readInt32LE(),
    mac: mac?.length === 6 ? formatMac(mac) : undefined,
    alias: attributeString(attributes, Ifla.alias),
    rxQueues: attributeU32(attributes, Ifla.rxQueues) ?? 1,
    txQueues: attributeU32(attributes, Ifla.txQueues) ?? 1,
    xdp: parseXdp(attributes),
  };
}

function parseXdp(attributes: Attributes): InterfaceXdp | undefined {
  const nested = attributes.get(Ifla.xdp);
  if (nested === undefined) return undefined;
  const xdp = parseAttributes(nested);
  const mode = attachedModes[xdp.get(IflaXdp.attached)?.readUInt8() ?? 0];
  if (mode === undefined) return undefined;
  const { programId, nativeId, genericId, offloadId } = IflaXdp;
  const ids = [programId, nativeId, genericId, offloadId]
    .map((type) => attributeU32(xdp, type) ?? 0)
    .filter((id) => id !== 0);
  return { mode, programIds: [...new Set(ids)] as ProgramId[] };
}

/**
 * All interfaces of the network namespace of this thread.
 *
 * @throws SluiceError SLUICE_NETLINK_FAILED
 */
export function listInterfaces(): readonly NetworkInterface[] {
  const header = Buffer.alloc(ifInfoBytes);
  return request(RouteMessage.getLink, MessageFlag.dump, header, "list the interfaces")
    .filter((message) => message.type === RouteMessage.newLink)
    .map((message) => parseInterface(message.payload));
}

/** One interface of the network namespace of this thread; undefined when there is none. */
export function interfaceByIndex(index: number): NetworkInterface | undefined {
  const header = Buffer.alloc(ifInfoBytes);
  header.writeInt32LE(index, 4);
  return getInterface(header, `look up interface ${index}`);
}

/** One interface by name; undefined when there is none. */
export function interfaceByName(name: string): NetworkInterface | undefined {
  const payload = Buffer.concat([Buffer.alloc(ifInfoBytes), stringAttribute(Ifla.name, name)]);
  const found = getInterface(payload, `look up interface ${name}`);
  // The kernel also finds it by one of its other names.
  return found?.name === name ? found : undefined;
}

function getInterface(payload: Buffer, tried: string): NetworkInterface | undefined {
  const answer = unlessRefused([Errno.ENODEV, Errno.ERANGE], () =>
    request(RouteMessage.getLink, 0, payload, tried),
  );
  return answer?.[0] && parseInterface(answer[0].payload);
}
