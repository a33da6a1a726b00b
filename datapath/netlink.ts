import ipaddr from "ipaddr.js";
import { Errno, SluiceError, SystemError } from "./errors.js";
import type { IfIndex, ProgramId } from "./handles.js";
import type { Attributes } from "./netlink-message.js";
import { attributeString, attributeU32, MessageFlag, parseAttributes } from "./netlink-message.js";
import { request } from "./netlink-socket.js";

/** `RTM_…` message types. */
export const RouteMessage = {
  newLink: 16,
  delLink: 17,
  getLink: 18,
  getAddress: 22,
  getRoute: 26,
} as const;

/** `IFLA_…` attributes of an interface. */
const Ifla = {
  address: 1,
  name: 3,
  mtu: 4,
  link: 5,
  master: 10,
  linkInfo: 18,
  alias: 20,
  txQueues: 31,
  rxQueues: 32,
  carrier: 33,
  linkNetnsId: 37,
  xdp: 43,
} as const;
const iflaInfoKind = 1;
const IflaXdp = { attached: 2, programId: 4, nativeId: 5, genericId: 6, offloadId: 7 } as const;
/** `XDP_ATTACHED_…` by number. */
const attachedModes = [undefined, "native", "generic", "offload", "multiple"] as const;

/** `IFF_…` bits of {@link NetworkInterface.flags}. */
export const InterfaceFlag = { up: 1, loopback: 8, pointToPoint: 0x10 } as const;

/** A network interface as the kernel lists it. */
export interface NetworkInterface {
  readonly index: IfIndex;
  readonly name: string;
  /** Free text that an administrator, or another program, gave to it. */
  readonly alias: string | undefined;
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
  readonly rxQueues: number;
  readonly txQueues: number;
  readonly xdp: InterfaceXdp | undefined;
}

/** XDP programs of an interface, as netlink tells. */
export interface InterfaceXdp {
  readonly mode: "native" | "generic" | "offload" | "multiple";
  readonly programIds: readonly ProgramId[];
}

const ifInfoBytes = 16;

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
    alias: attributeString(attributes, Ifla.alias),
    flags,
    isUp: (flags & InterfaceFlag.up) !== 0,
    hasCarrier: carrier === undefined ? undefined : carrier !== 0,
    mtu: attributeU32(attributes, Ifla.mtu) ?? 0,
    kind: info && attributeString(parseAttributes(info), iflaInfoKind),
    master: attributeU32(attributes, Ifla.master) as IfIndex | undefined,
    peerIndex: attributeU32(attributes, Ifla.link),
    peerNetnsId: attributes.get(Ifla.linkNetnsId)?.readInt32LE(),
    mac: mac?.length === 6 ? formatMac(mac) : undefined,
    rxQueues: attributeU32(attributes, Ifla.rxQueues) ?? 1,
    txQueues: attributeU32(attributes, Ifla.txQueues) ?? 1,
    xdp: parseXdp(attributes),
  };
}

function formatMac(bytes: Buffer): string {
  return bytes.toString("hex").replaceAll(/(..)(?=.)/g, "$1:");
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
  return request(RouteMessage.getLink, MessageFlag.dump, header, "interfaces")
    .filter((message) => message.type === RouteMessage.newLink)
    .map((message) => parseInterface(message.payload));
}

/** One interface of the network namespace of this thread; undefined when there is none. */
export function interfaceByIndex(index: number): NetworkInterface | undefined {
  const header = Buffer.alloc(ifInfoBytes);
  header.writeInt32LE(index, 4);
  try {
    const [message] = request(RouteMessage.getLink, 0, header, `interface ${index}`);
    return message && parseInterface(message.payload);
  } catch (error) {
    const cause = error instanceof SluiceError ? error.cause : undefined;
    const gone = cause instanceof SystemError && cause.errno === Errno.ENODEV;
    if (gone) return undefined;
    throw error;
  }
}

/** One interface by name; undefined when there is none. */
export function interfaceByName(name: string): NetworkInterface | undefined {
  return listInterfaces().find((found) => found.name === name);
}

const Family = { inet: 2, inet6: 10 } as const;
const ifAddressBytes = 8;
const IfAddress = { address: 1, local: 2 } as const;

/** An address of an interface. */
export interface InterfaceAddress {
  readonly index: IfIndex;
  readonly family: 4 | 6;
  /** Without prefix: `192.0.2.1`, `2001:db8::1`. */
  readonly address: string;
  readonly prefixLength: number;
  readonly scope: "global" | "site" | "link" | "host" | "other";
}

const scopes: ReadonlyMap<number, InterfaceAddress["scope"]> = new Map([
  [0, "global"],
  [200, "site"],
  [253, "link"],
  [254, "host"],
]);

/**
 * All IPv4 and IPv6 addresses of the network namespace of this thread.
 *
 * @throws SluiceError SLUICE_NETLINK_FAILED
 */
export function listAddresses(): readonly InterfaceAddress[] {
  const header = Buffer.alloc(ifAddressBytes);
  return request(RouteMessage.getAddress, MessageFlag.dump, header, "addresses").flatMap(
    ({ payload }) => {
      const attributes = parseAttributes(payload, ifAddressBytes);
      // On point-to-point interfaces ADDRESS is the peer's and LOCAL the own one; IPv6 has no LOCAL.
      const bytes = attributes.get(IfAddress.local) ?? attributes.get(IfAddress.address);
      if (bytes === undefined) return [];
      return {
        index: payload.readUInt32LE(4) as IfIndex,
        family: payload.readUInt8(0) === Family.inet6 ? 6 : 4,
        address: ipaddr.fromByteArray([...bytes]).toString(),
        prefixLength: payload.readUInt8(1),
        scope: scopes.get(payload.readUInt8(3)) ?? "other",
      };
    },
  );
}

const routeBytes = 12;
const Rta = { oif: 4, gateway: 5, priority: 6, multipath: 9, table: 15 } as const;
const nextHopBytes = 8;
const typeUnicast = 1;
const tableMain = 254;

/** A way to everywhere; a multipath route counts once per next hop. */
export interface DefaultRoute {
  readonly family: 4 | 6;
  readonly index: IfIndex;
  readonly gateway: string | undefined;
  /** Lower is preferred. */
  readonly metric: number;
}

/**
 * Default routes of the main table, the preferred ones first. Their interfaces are the uplinks.
 *
 * @throws SluiceError SLUICE_NETLINK_FAILED
 */
export function listDefaultRoutes(): readonly DefaultRoute[] {
  const messages = [Family.inet, Family.inet6].flatMap((family) => {
    const header = Buffer.alloc(routeBytes);
    header.writeUInt8(family, 0);
    return request(RouteMessage.getRoute, MessageFlag.dump, header, "routes");
  });
  return messages
    .flatMap(({ payload }) => defaultRoutes(payload))
    .sort((left, right) => left.metric - right.metric);
}

function defaultRoutes(payload: Buffer): readonly DefaultRoute[] {
  const attributes = parseAttributes(payload, routeBytes);
  const table = attributeU32(attributes, Rta.table) ?? payload.readUInt8(4);
  const destinationLength = payload.readUInt8(1);
  if (destinationLength !== 0 || table !== tableMain || payload.readUInt8(7) !== typeUnicast) {
    return [];
  }
  const family = payload.readUInt8(0) === Family.inet6 ? 6 : 4;
  const metric = attributeU32(attributes, Rta.priority) ?? 0;
  const toRoute = (index: number, hop: Attributes): DefaultRoute => {
    const gateway = hop.get(Rta.gateway);
    return {
      family,
      index: index as IfIndex,
      gateway: gateway && ipaddr.fromByteArray([...gateway]).toString(),
      metric,
    };
  };
  const index = attributeU32(attributes, Rta.oif);
  if (index !== undefined) return [toRoute(index, attributes)];
  const hops = attributes.get(Rta.multipath) ?? Buffer.alloc(0);
  const routes: DefaultRoute[] = [];
  for (let at = 0; at + nextHopBytes <= hops.length; ) {
    const length = hops.readUInt16LE(at);
    if (length < nextHopBytes) break;
    const hop = parseAttributes(hops.subarray(at, at + length), nextHopBytes);
    routes.push(toRoute(hops.readInt32LE(at + 4), hop));
    at += (length + 3) & ~3;
  }
  return routes;
}
