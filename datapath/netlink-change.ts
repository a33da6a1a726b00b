import ipaddr from "ipaddr.js";
import { Errno, SluiceError, SystemError } from "./errors.js";
import type { IfIndex } from "./handles.js";
import { type NetworkInterface, parseInterface } from "./netlink.js";
import { request } from "./netlink-socket.js";

/** `RTM_…` message types. */
const Change = {
  newLink: 16,
  delLink: 17,
  getLink: 18,
  newAddress: 20,
  newRoute: 24,
  newNeighbour: 28,
} as const;
/** `NLM_F_…` bits. */
const Flag = { acknowledge: 4, replace: 0x100, exclusive: 0x200, create: 0x400 } as const;

const Ifla = { address: 1, name: 3, mtu: 4, linkInfo: 18, alias: 20, netnsFd: 28 } as const;
const LinkInfo = { kind: 1, data: 2 } as const;
const vethPeer = 1;
const IfAddress = { address: 1, local: 2, flags: 8 } as const;
const addressNoDad = 2;
const Rta = { destination: 1, interface: 4, gateway: 5 } as const;
const Route = {
  tableMain: 254,
  protocolStatic: 4,
  scopeLink: 253,
  scopeGlobal: 0,
  unicast: 1,
} as const;
const Neighbour = { destination: 1, mac: 2, permanent: 0x80 } as const;
const interfaceUp = 1;
const Family = { 4: 2, 6: 10 } as const;

/** One end of a veth. */
export interface VethEnd {
  readonly name: string;
  /** `02:00:00:00:00:01`. */
  readonly mac: string;
}

/**
 * Makes a veth, its peer in another network namespace; both ends are down.
 *
 * @param netnsFd descriptor of the peer's namespace
 * @throws SluiceError SLUICE_NETLINK_FAILED, its cause a SystemError: EEXIST when either name is taken
 */
export function createVeth(near: VethEnd, peer: VethEnd, netnsFd: number, mtuBytes: number): void {
  const end = ({ name, mac }: VethEnd) => [
    text(Ifla.name, name),
    attribute(Ifla.address, macBytes(mac)),
    u32(Ifla.mtu, mtuBytes),
  ];
  const other = Buffer.concat([linkHeader(), ...end(peer), u32(Ifla.netnsFd, netnsFd)]);
  const info = attribute(
    Ifla.linkInfo,
    text(LinkInfo.kind, "veth"),
    attribute(LinkInfo.data, attribute(vethPeer, other)),
  );
  change(Change.newLink, Flag.create | Flag.exclusive, `make the veth ${near.name}`, [
    linkHeader(),
    ...end(near),
    info,
  ]);
}

/** One interface by name; undefined when there is none. @throws SluiceError SLUICE_NETLINK_FAILED */
export function findLink(name: string): NetworkInterface | undefined {
  const payload = Buffer.concat([linkHeader(), text(Ifla.name, name)]);
  return ifPresent(() => {
    const [message] = request(Change.getLink, 0, payload, `interface ${name}`);
    return message && parseInterface(message.payload);
  });
}

/** @throws SluiceError SLUICE_NETLINK_FAILED */
export function setLinkUp(index: IfIndex): void {
  const header = linkHeader(index, interfaceUp, interfaceUp);
  change(Change.newLink, 0, `take interface ${index} up`, [header]);
}

/** At most 255 bytes. @throws SluiceError SLUICE_NETLINK_FAILED */
export function setLinkAlias(index: IfIndex, alias: string): void {
  const parts = [linkHeader(index), attribute(Ifla.alias, Buffer.from(alias))];
  change(Change.newLink, 0, `name interface ${index} "${alias}"`, parts);
}

/** Removes an interface, of a veth both ends; false when it is gone. @throws SluiceError SLUICE_NETLINK_FAILED */
export function deleteLink(name: string): boolean {
  const remove = () => {
    change(Change.delLink, 0, `remove interface ${name}`, [linkHeader(), text(Ifla.name, name)]);
    return true;
  };
  return ifPresent(remove) ?? false;
}

/**
 * Gives an interface a single address that is usable at once. Nothing to do when it has it.
 *
 * @throws SluiceError SLUICE_NETLINK_FAILED
 */
export function addAddress(index: IfIndex, address: string): void {
  const { family, bytes } = parse(address);
  const header = Buffer.alloc(8);
  header.writeUInt8(Family[family], 0);
  header.writeUInt8(bytes.length * 8, 1);
  header.writeUInt32LE(index, 4);
  change(Change.newAddress, Flag.create | Flag.replace, `give ${address} to interface ${index}`, [
    header,
    attribute(IfAddress.local, bytes),
    attribute(IfAddress.address, bytes),
    // Of IPv6: no second of waiting for others that have it.
    ...(family === 6 ? [u32(IfAddress.flags, addressNoDad)] : []),
  ]);
}

/** Where packets to one address, or to all of a family, go. */
export interface RouteTarget {
  /** One address; or all that no other route is for. */
  readonly destination: string | { readonly everythingOf: 4 | 6 };
  readonly index: IfIndex;
  /** Undefined: the destination is on the wire itself. */
  readonly gateway?: string;
}

/** Makes a route of the main table, in place of one to the same destination. @throws SluiceError SLUICE_NETLINK_FAILED */
export function replaceRoute({ destination, index, gateway }: RouteTarget): void {
  const to = typeof destination === "string" ? parse(destination) : undefined;
  const family =
    typeof destination === "string" ? parse(destination).family : destination.everythingOf;
  const header = Buffer.alloc(12);
  header.writeUInt8(Family[family], 0);
  header.writeUInt8((to?.bytes.length ?? 0) * 8, 1);
  header.writeUInt8(Route.tableMain, 4);
  header.writeUInt8(Route.protocolStatic, 5);
  header.writeUInt8(gateway === undefined && family === 4 ? Route.scopeLink : Route.scopeGlobal, 6);
  header.writeUInt8(Route.unicast, 7);
  const what = typeof destination === "string" ? destination : "everything";
  change(Change.newRoute, Flag.create | Flag.replace, `make the route to ${what}`, [
    header,
    ...(to === undefined ? [] : [attribute(Rta.destination, to.bytes)]),
    u32(Rta.interface, index),
    ...(gateway === undefined ? [] : [attribute(Rta.gateway, parse(gateway).bytes)]),
  ]);
}

/** Says for good which MAC an address has on an interface. @throws SluiceError SLUICE_NETLINK_FAILED */
export function replaceNeighbour(index: IfIndex, address: string, mac: string): void {
  const { family, bytes } = parse(address);
  const header = Buffer.alloc(12);
  header.writeUInt8(Family[family], 0);
  header.writeInt32LE(index, 4);
  header.writeUInt16LE(Neighbour.permanent, 8);
  change(Change.newNeighbour, Flag.create | Flag.replace, `make the neighbour ${address}`, [
    header,
    attribute(Neighbour.destination, bytes),
    attribute(Neighbour.mac, macBytes(mac)),
  ]);
}

/** The number of the kernel's refusal; undefined when the error is of another kind. */
export function refusalErrno(error: unknown): number | undefined {
  const cause = error instanceof SluiceError ? error.cause : undefined;
  return cause instanceof SystemError ? cause.errno : undefined;
}

function change(type: number, flags: number, what: string, parts: readonly Buffer[]): void {
  request(type, flags | Flag.acknowledge, Buffer.concat(parts), what);
}

function ifPresent<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (refusalErrno(error) === Errno.ENODEV) return undefined;
    throw error;
  }
}

function linkHeader(index = 0, flags = 0, mask = 0): Buffer {
  const header = Buffer.alloc(16);
  header.writeInt32LE(index, 4);
  header.writeUInt32LE(flags, 8);
  header.writeUInt32LE(mask, 12);
  return header;
}

function attribute(type: number, ...parts: readonly Buffer[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, 4);
  const bytes = Buffer.alloc((length + 3) & ~3);
  bytes.writeUInt16LE(length, 0);
  bytes.writeUInt16LE(type, 2);
  Buffer.concat(parts).copy(bytes, 4);
  return bytes;
}

function u32(type: number, value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return attribute(type, bytes);
}

function text(type: number, value: string): Buffer {
  return attribute(type, Buffer.from(`${value}\0`));
}

function macBytes(mac: string): Buffer {
  return Buffer.from(mac.replaceAll(":", ""), "hex");
}

function parse(address: string): { readonly family: 4 | 6; readonly bytes: Buffer } {
  const parsed = ipaddr.parse(address);
  return { family: parsed.kind() === "ipv4" ? 4 : 6, bytes: Buffer.from(parsed.toByteArray()) };
}
