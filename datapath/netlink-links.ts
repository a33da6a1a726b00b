import { closeSync } from "node:fs";
import { datapathError, Errno } from "./errors.js";
import type { IfIndex } from "./handles.js";
import type { NetworkInterface } from "./netlink.js";
import {
  Ifla,
  IflaInfo,
  ifInfoBytes,
  InterfaceFlag,
  interfaceByName,
  RouteMessage,
} from "./netlink.js";
import {
  attribute,
  checkIndex,
  checkInterfaceName,
  encodeMac,
  nested,
  stringAttribute,
  u32Attribute,
} from "./netlink-attributes.js";
import { isRefused, unlessRefused } from "./netlink-failure.js";
import { MessageFlag } from "./netlink-message.js";
import { change, changeAside } from "./netlink-socket.js";
import { openNetns } from "./netns.js";

const vethPeer = 1;
const longestAlias = 255;

/** What both ends of a veth pair can be given. */
export interface VethEndOptions {
  /** 1 to 15 bytes. */
  readonly name: string;
  /** `02:00:00:00:00:01`; the kernel draws one when it is left out. */
  readonly mac?: string | undefined;
  /** Default 1. */
  readonly rxQueues?: number | undefined;
  /** Default 1. */
  readonly txQueues?: number | undefined;
}

export interface CreateVethOptions extends VethEndOptions {
  /** Whether this end is set up at once; default false. The kernel refuses that for the other end. */
  readonly isUp?: boolean | undefined;
  /** Bytes of payload, of both ends. */
  readonly mtu: number;
  readonly peer: VethEndOptions & {
    /** Where the other end is made: a path or an open descriptor; default the same namespace. */
    readonly netns?: string | number | undefined;
  };
}

/**
 * Makes a veth pair, with the other end in its namespace from the start, where its name may be taken
 * here.
 *
 * @returns the end in the network namespace of this thread
 * @throws SluiceError SLUICE_BAD_VALUE, SLUICE_NETLINK_FAILED, SLUICE_NETNS_FAILED,
 *   SLUICE_NO_CAPABILITY
 */
export function createVeth(options: CreateVethOptions): NetworkInterface {
  const { name, mtu, peer } = options;
  const { netns } = peer;
  const fd = typeof netns === "string" ? openNetns(netns) : netns;
  try {
    const peerAttributes = [
      ifInfo(0),
      ...vethEnd(peer, mtu),
      ...(fd === undefined ? [] : [u32Attribute(Ifla.netnsFd, fd, "descriptor")]),
    ];
    const own = [ifInfo(0, options.isUp), ...vethEnd(options, mtu)];
    const data = [nested(vethPeer, peerAttributes)];
    return createLink("veth", name, own, data, `create veth pair ${name} and ${peer.name}`);
  } finally {
    if (fd !== undefined && fd !== netns) closeSync(fd);
  }
}

function vethEnd(end: VethEndOptions, mtu: number): readonly Buffer[] {
  const { name, mac, rxQueues = 1, txQueues = 1 } = end;
  return [
    stringAttribute(Ifla.name, checkInterfaceName(name)),
    u32Attribute(Ifla.mtu, mtu, "MTU"),
    u32Attribute(Ifla.rxQueues, rxQueues, "number of receive queues"),
    u32Attribute(Ifla.txQueues, txQueues, "number of transmit queues"),
    ...(mac === undefined ? [] : [attribute(Ifla.address, encodeMac(mac))]),
  ];
}

/**
 * Makes an interface of a kind.
 *
 * @param own the fixed header and the attributes of the interface
 * @param data attributes of the kind
 */
export function createLink(
  kind: string,
  name: string,
  own: readonly Buffer[],
  data: readonly Buffer[],
  tried: string,
): NetworkInterface {
  const info = [stringAttribute(IflaInfo.kind, kind), nested(IflaInfo.data, data)];
  const payload = Buffer.concat([...own, nested(Ifla.linkInfo, info)]);
  change(RouteMessage.newLink, MessageFlag.create | MessageFlag.exclusive, payload, tried);
  const made = interfaceByName(name);
  if (made !== undefined) return made;
  throw datapathError("SLUICE_NETLINK_FAILED", `cannot ${tried}: somebody deleted it at once`);
}

/** The fixed header of a request about an interface; `isUp` undefined leaves it up or down. */
export function ifInfo(index: number, isUp?: boolean): Buffer {
  const header = Buffer.alloc(ifInfoBytes);
  header.writeInt32LE(index, 4);
  header.writeUInt32LE(isUp === true ? InterfaceFlag.up : 0, 8);
  header.writeUInt32LE(isUp === undefined ? 0 : InterfaceFlag.up, 12);
  return header;
}

/**
 * Deletes an interface, and with one end of a veth pair the other.
 *
 * @returns false when there was none
 * @throws SluiceError SLUICE_NETLINK_FAILED, SLUICE_NO_CAPABILITY
 */
export function deleteLink(name: string): boolean {
  const found = interfaceByName(name);
  if (found === undefined) return false;
  const isDeleted = unlessRefused([Errno.ENODEV], () => {
    change(RouteMessage.delLink, 0, ifInfo(found.index), `delete interface ${name}`);
    return true;
  });
  return isDeleted ?? false;
}

/**
 * As {@link deleteLink}, but does not keep this thread waiting: the kernel takes tens of milliseconds, until no packet can be
 * on the interface any more. Deletions of several overlap.
 */
export async function deleteLinkAside(name: string): Promise<boolean> {
  const found = interfaceByName(name);
  if (found === undefined) return false;
  try {
    await changeAside(RouteMessage.delLink, 0, ifInfo(found.index), `delete interface ${name}`);
    return true;
  } catch (error) {
    if (isRefused(error, [Errno.ENODEV])) return false;
    throw error;
  }
}

/** What can be changed of an interface; what is left out stays. */
export interface LinkChange {
  readonly name?: string;
  readonly mac?: string;
  /** Bytes of payload. */
  readonly mtu?: number;
  /** Up to 255 bytes, by which an owner marks what is his; the empty text takes it away. */
  readonly alias?: string;
  readonly isUp?: boolean;
}

/**
 * Changes an interface by one request. When the kernel refuses one of several changes, those before
 * it stay; up comes last.
 *
 * @throws SluiceError SLUICE_BAD_VALUE, SLUICE_NETLINK_FAILED, SLUICE_NO_CAPABILITY
 */
export function changeLink(index: IfIndex, wanted: LinkChange): void {
  const { name, mac, mtu, alias, isUp } = wanted;
  if (alias !== undefined && Buffer.byteLength(alias) > longestAlias) {
    throw datapathError("SLUICE_BAD_VALUE", `the alias ${alias} is too long`, {
      remedy: `Give at most ${longestAlias} bytes`,
    });
  }
  const payload = Buffer.concat([
    ifInfo(checkIndex(index), isUp),
    ...(name === undefined ? [] : [stringAttribute(Ifla.name, checkInterfaceName(name))]),
    ...(mac === undefined ? [] : [attribute(Ifla.address, encodeMac(mac))]),
    ...(mtu === undefined ? [] : [u32Attribute(Ifla.mtu, mtu, "MTU")]),
    // With the final zero, the kernel would count it into the text.
    ...(alias === undefined ? [] : [attribute(Ifla.alias, Buffer.from(alias))]),
  ]);
  const what = Object.keys(wanted).join(", ");
  change(RouteMessage.newLink, 0, payload, `change ${what} of interface ${index}`);
}

/** @throws SluiceError SLUICE_NETLINK_FAILED, SLUICE_NO_CAPABILITY */
export function setLinkUp(index: IfIndex): void {
  changeLink(index, { isUp: true });
}

/** @throws SluiceError SLUICE_NETLINK_FAILED, SLUICE_NO_CAPABILITY */
export function setLinkDown(index: IfIndex): void {
  changeLink(index, { isUp: false });
}
