import { Errno } from "./errors.js";
import type { IfIndex } from "./handles.js";
import { RouteMessage } from "./netlink.js";
import { Scope, type ScopeName, scopeName } from "./netlink-addresses.js";
import {
  attribute,
  checkIndex,
  checkInteger,
  encodeAddress,
  encodePrefix,
  Family,
  formatAddress,
  namesByNumber,
  nested,
  u32Attribute,
} from "./netlink-attributes.js";
import { unlessRefused } from "./netlink-failure.js";
import type { Attributes } from "./netlink-message.js";
import { attributeU32, MessageFlag, parseAttributes } from "./netlink-message.js";
import { change, request } from "./netlink-socket.js";

/** Bytes of the fixed header `struct rtmsg`. */
const routeBytes = 12;
/** `RTA_…` attributes. */
const Rta = {
  destination: 1,
  device: 4,
  gateway: 5,
  metric: 6,
  source: 7,
  metrics: 8,
  multipath: 9,
  table: 15,
  via: 18,
} as const;
/** `RTAX_…` numbers of what is in {@link Rta.metrics}. */
const Metric = { lock: 1, mtu: 2 } as const;
const mtuLock = 1 << Metric.mtu;
const nextHopBytes = 8;
const onLinkFlag = 4;
const scopeAny = 255;
const tableMain = 254;
const protocolStatic = 4;

/** What a route does with a packet, by `RTN_…` number. */
const RouteTypes = {
  unicast: 1,
  local: 2,
  broadcast: 3,
  anycast: 4,
  multicast: 5,
  blackhole: 6,
  unreachable: 7,
  prohibit: 8,
  throw: 9,
} as const;
export type RouteType = keyof typeof RouteTypes;
const typeNames = namesByNumber(RouteTypes);

/** A route as the kernel lists it; one with several next hops is listed once for each. */
export interface Route {
  /** `192.0.2.0/24`, `::/0`. */
  readonly destination: string;
  readonly type: RouteType | "other";
  readonly device: IfIndex | undefined;
  readonly gateway: string | undefined;
  /** Whether the gateway counts as on the wire although no route leads to it. */
  readonly onLink: boolean;
  /** Own address that packets get when their socket has none. */
  readonly source: string | undefined;
  /** IPv6 knows global only. */
  readonly scope: ScopeName | "other";
  readonly table: number;
  /** Lower is preferred. */
  readonly metric: number;
  /** Bytes of payload, when other than that of the interface. */
  readonly mtu: number | undefined;
  /** Whether that is the MTU of forwarded packets too, whatever is learnt of the path. */
  readonly isMtuLocked: boolean;
  /** Who made it, by `RTPROT_…` number: 2 the kernel, 3 boot, 4 an administrator. */
  readonly protocol: number;
}

/** A route to write. */
export interface NewRoute {
  /** `192.0.2.0/24`, `2001:db8::1/128`, `0.0.0.0/0`. */
  readonly destination: string;
  /** Default unicast. */
  readonly type?: Exclude<RouteType, "broadcast" | "anycast" | "multicast"> | undefined;
  /** Only types without a next hop do without it. */
  readonly device?: IfIndex | undefined;
  /** May be of the other IP family, for IPv4 by way of IPv6. */
  readonly gateway?: string | undefined;
  readonly onLink?: boolean | undefined;
  readonly source?: string | undefined;
  /** IPv4; default as `ip route`: link without a gateway, host for type local, else global. */
  readonly scope?: ScopeName | undefined;
  /** Default the main one, 254. */
  readonly table?: number | undefined;
  /** Default the kernel's: 0 for IPv4, 1024 for IPv6. */
  readonly metric?: number | undefined;
  readonly mtu?: number | undefined;
  /** Default false. */
  readonly isMtuLocked?: boolean | undefined;
  /** Default 4 (static). */
  readonly protocol?: number | undefined;
}

/**
 * Writes a route.
 *
 * @throws SluiceError SLUICE_BAD_VALUE; SLUICE_NETLINK_FAILED, also when there is one to this
 *   destination with the same metric in the table (cause EEXIST); SLUICE_NO_CAPABILITY
 */
export function addRoute(route: NewRoute): void {
  writeRoute(route, MessageFlag.exclusive);
}

/** Like {@link addRoute}, but takes the place of the route with the same metric. */
export function replaceRoute(route: NewRoute): void {
  writeRoute(route, MessageFlag.replace);
}

function writeRoute(route: NewRoute, mode: number): void {
  const { type = "unicast", protocol = protocolStatic, scope = defaultScope(route) } = route;
  const payload = encodeRoute(route, {
    type: RouteTypes[type],
    protocol: checkInteger(protocol, 255, "route protocol"),
    scope: Scope[scope],
  });
  const tried = `add ${describe(route)}`;
  change(RouteMessage.newRoute, MessageFlag.create | mode, payload, tried);
}

function defaultScope({ type = "unicast", gateway }: NewRoute): ScopeName {
  if (type === "local") return "host";
  return type === "unicast" && gateway === undefined ? "link" : "global";
}

/**
 * Deletes the route to a destination; what is given beside it must agree, the rest may be anything.
 *
 * @returns false when there was none, or its interface is gone
 * @throws SluiceError SLUICE_BAD_VALUE, SLUICE_NETLINK_FAILED, SLUICE_NO_CAPABILITY
 */
export function deleteRoute(route: NewRoute): boolean {
  const { type, protocol = 0, scope } = route;
  const payload = encodeRoute(route, {
    type: type === undefined ? 0 : RouteTypes[type],
    protocol: checkInteger(protocol, 255, "route protocol"),
    scope: scope === undefined ? scopeAny : Scope[scope],
  });
  const isDeleted = unlessRefused([Errno.ESRCH, Errno.ENODEV], () => {
    change(RouteMessage.delRoute, 0, payload, `delete ${describe(route)}`);
    return true;
  });
  return isDeleted ?? false;
}

function describe({ destination, device, gateway, table = tableMain }: NewRoute): string {
  const via = gateway === undefined ? "" : ` via ${gateway}`;
  const by = device === undefined ? "" : ` by interface ${device}`;
  return `route ${destination}${via}${by}${table === tableMain ? "" : ` in table ${table}`}`;
}

function encodeRoute(
  route: NewRoute,
  numbers: { readonly type: number; readonly protocol: number; readonly scope: number },
): Buffer {
  const { destination, device, gateway, source, metric, table = tableMain } = route;
  const { family, bytes, length } = encodePrefix(destination);
  const header = Buffer.alloc(routeBytes);
  header.writeUInt8(family, 0);
  header.writeUInt8(length, 1);
  header.writeUInt8(numbers.protocol, 5);
  header.writeUInt8(numbers.scope, 6);
  header.writeUInt8(numbers.type, 7);
  header.writeUInt32LE(route.onLink === true ? onLinkFlag : 0, 8);
  return Buffer.concat([
    header,
    attribute(Rta.destination, bytes),
    u32Attribute(Rta.table, table, "routing table"),
    ...(device === undefined ? [] : [u32Attribute(Rta.device, checkIndex(device), "device")]),
    ...(gateway === undefined ? [] : [encodeGateway(family, gateway)]),
    ...(source === undefined ? [] : [attribute(Rta.source, encodeAddress(source).bytes)]),
    ...(metric === undefined ? [] : [u32Attribute(Rta.metric, metric, "metric")]),
    ...encodeMetrics(route),
  ]);
}

function encodeMetrics({ mtu, isMtuLocked = false }: NewRoute): readonly Buffer[] {
  if (mtu === undefined) return [];
  const lock = isMtuLocked ? [u32Attribute(Metric.lock, mtuLock, "locks")] : [];
  return [nested(Rta.metrics, [...lock, u32Attribute(Metric.mtu, mtu, "MTU")])];
}

function encodeGateway(family: number, gateway: string): Buffer {
  const { family: gatewayFamily, bytes } = encodeAddress(gateway);
  if (gatewayFamily === family) return attribute(Rta.gateway, bytes);
  return attribute(Rta.via, Buffer.concat([Buffer.from([gatewayFamily, 0]), bytes]));
}

/** Narrows a list of routes. */
export interface RouteFilter {
  readonly family?: 4 | 6 | undefined;
  /** Default the main one, 254. */
  readonly table?: number | undefined;
  readonly device?: IfIndex | undefined;
  /** `RTPROT_…` number. */
  readonly protocol?: number | undefined;
}

/**
 * Routes of one table of the network namespace of this thread.
 *
 * @throws SluiceError SLUICE_BAD_VALUE, SLUICE_NETLINK_FAILED
 */
export function listRoutes(filter: RouteFilter = {}): readonly Route[] {
  const { family, table = tableMain, device, protocol = 0 } = filter;
  const families = [Family.inet, Family.inet6].filter(
    (number) => family === undefined || (family === 6) === (number === Family.inet6),
  );
  const attributes = [
    u32Attribute(Rta.table, table, "routing table"),
    ...(device === undefined ? [] : [u32Attribute(Rta.device, checkIndex(device), "device")]),
  ];
  return families.flatMap((number) => {
    const header = Buffer.alloc(routeBytes);
    header.writeUInt8(number, 0);
    header.writeUInt8(checkInteger(protocol, 255, "route protocol"), 5);
    const payload = Buffer.concat([header, ...attributes]);
    // A table exists once it has had a route, and an interface may go at any time.
    const messages = unlessRefused([Errno.ENOENT, Errno.ENODEV], () =>
      request(RouteMessage.getRoute, MessageFlag.dump, payload, "list the routes"),
    );
    return (messages ?? [])
      .flatMap((message) => parseRoute(message.payload))
      .filter((route) => device === undefined || route.device === device);
  });
}

function parseRoute(payload: Buffer): readonly Route[] {
  const attributes = parseAttributes(payload, routeBytes);
  const isV6 = payload.readUInt8(0) === Family.inet6;
  const destination = attributes.get(Rta.destination) ?? Buffer.alloc(isV6 ? 16 : 4);
  const source = attributes.get(Rta.source);
  const metrics = parseAttributes(attributes.get(Rta.metrics) ?? Buffer.alloc(0));
  const common = {
    destination: `${formatAddress(destination)}/${payload.readUInt8(1)}`,
    type: typeNames.get(payload.readUInt8(7)) ?? "other",
    source: source && formatAddress(source),
    scope: scopeName(payload.readUInt8(6)),
    table: attributeU32(attributes, Rta.table) ?? payload.readUInt8(4),
    metric: attributeU32(attributes, Rta.metric) ?? 0,
    mtu: attributeU32(metrics, Metric.mtu),
    isMtuLocked: ((attributeU32(metrics, Metric.lock) ?? 0) & mtuLock) !== 0,
    protocol: payload.readUInt8(5),
  } as const;
  const hops = attributes.get(Rta.multipath);
  if (hops !== undefined) return nextHops(hops).map((hop) => ({ ...common, ...hop }));
  const device = attributeU32(attributes, Rta.device) as IfIndex | undefined;
  const onLink = (payload.readUInt32LE(8) & onLinkFlag) !== 0;
  return [{ ...common, device, onLink, gateway: parseGateway(attributes) }];
}

type NextHop = Pick<Route, "device" | "gateway" | "onLink">;

function nextHops(bytes: Buffer): readonly NextHop[] {
  const hops: NextHop[] = [];
  for (let at = 0; at + nextHopBytes <= bytes.length; ) {
    const length = bytes.readUInt16LE(at);
    if (length < nextHopBytes) break;
    hops.push({
      device: bytes.readInt32LE(at + 4) as IfIndex,
      gateway: parseGateway(parseAttributes(bytes.subarray(at, at + length), nextHopBytes)),
      onLink: (bytes.readUInt8(at + 2) & onLinkFlag) !== 0,
    });
    at += (length + 3) & ~3;
  }
  return hops;
}

function parseGateway(attributes: Attributes): string | undefined {
  const bytes = attributes.get(Rta.gateway) ?? attributes.get(Rta.via)?.subarray(2);
  return bytes && formatAddress(bytes);
}

/** How packets of this node to an address leave it. */
export interface RouteLookup {
  readonly device: IfIndex;
  /** Undefined: the address is on the wire of the device. */
  readonly gateway: string | undefined;
  /** Own address that packets get when their socket has none. */
  readonly source: string | undefined;
  /** False: the address is of this node itself, or one that many have. */
  readonly isUnicast: boolean;
  /** Bytes of payload that the path takes, when less than its first interface does. */
  readonly mtu: number | undefined;
}

/**
 * Asks the kernel which route it takes to an address; undefined when it has none.
 *
 * @throws SluiceError SLUICE_BAD_VALUE, SLUICE_NETLINK_FAILED
 */
export function lookUpRoute(address: string): RouteLookup | undefined {
  const { family, bytes, bits } = encodeAddress(address);
  const header = Buffer.alloc(routeBytes);
  header.writeUInt8(family, 0);
  header.writeUInt8(bits, 1);
  const payload = Buffer.concat([header, attribute(Rta.destination, bytes)]);
  const refusals = [Errno.ENETUNREACH, Errno.EHOSTUNREACH, Errno.EACCES, Errno.EINVAL];
  const answer = unlessRefused(refusals, () =>
    request(RouteMessage.getRoute, 0, payload, `look up the route to ${address}`),
  );
  const found = answer?.[0] && parseRoute(answer[0].payload)[0];
  if (found?.device === undefined) return undefined;
  const { device, gateway, source, type, mtu } = found;
  return { device, gateway, source, isUnicast: type === "unicast", mtu };
}

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
  return listRoutes()
    .flatMap(({ destination, type, device, gateway, metric }) => {
      const isDefault = destination === "0.0.0.0/0" || destination === "::/0";
      if (!isDefault || type !== "unicast" || device === undefined) return [];
      return { family: destination === "::/0" ? 6 : 4, index: device, gateway, metric } as const;
    })
    .sort((left, right) => left.metric - right.metric);
}
