import { formatV4 } from "../model/cidr-format.js";
import type { Problem } from "../model/records.js";
import { API_SOURCE } from "../model/records.js";
import type { NodePath, NodePaths } from "./node-paths.js";

/**
 * How packets get to the pods of other nodes: in a tunnel; by routes over the wire that the nodes share; or by whatever
 * the network between the nodes does, without routes of ours.
 */
export type PodRouting = "vxlan" | "direct" | "underlay";

/** Number of the interface of tunnels over each family. */
export type TunnelDevices = Readonly<Partial<Record<4 | 6, number>>>;

/** How packets of this node to an address leave it. */
export interface WayOut {
  readonly device: number;
  /** Undefined: the address is on the wire of the device. */
  readonly gateway: string | undefined;
  /** Bytes of payload that the path takes, when that is known to be less than the device does. */
  readonly mtu?: number | undefined;
}

/** What of this machine the rows depend on. */
export interface RoutingFacts {
  readonly routing: PodRouting;
  readonly devices: TunnelDevices;
  /** Addresses of this node's interfaces. */
  readonly ownAddresses: ReadonlySet<string>;
  /** Undefined: there is no route to it. */
  readonly wayTo: (address: string) => WayOut | undefined;
}

/** Routes of pods to nodes are in a table of their own; the rest is in the main one. */
export const MAIN_TABLE = 254;
export const PODS_TABLE = 1150;

export interface RouteRow {
  readonly destination: string;
  readonly table: number;
  readonly type: "unicast" | "unreachable";
  readonly device: number | undefined;
  readonly gateway: string | undefined;
  readonly onLink: boolean;
  /** Address that packets of this node itself get. */
  readonly source: string | undefined;
  /** Bytes of payload, for forwarded packets too; undefined: what the device takes. */
  readonly mtu: number | undefined;
}

/** MAC of a gateway, for good. */
export interface NeighbourRow {
  readonly device: number;
  readonly address: string;
  readonly mac: string;
}

/** Behind which end of the tunnel a MAC is. */
export interface TunnelRow {
  readonly device: number;
  readonly mac: string;
  readonly destination: string;
}

/** A range of pods of another node, for programs that send past the stack. */
export interface PodRoute {
  /** `10.244.2.0/24`. */
  readonly cidr: string;
  readonly node: string;
  readonly device: number;
  readonly gateway: string;
  readonly isTunnel: boolean;
}

export interface RouteRows {
  readonly routes: readonly RouteRow[];
  readonly neighbours: readonly NeighbourRow[];
  readonly tunnels: readonly TunnelRow[];
  /** Ranges of own pods, whose packets look into {@link PODS_TABLE} first. */
  readonly rules: readonly string[];
  readonly podRoutes: readonly PodRoute[];
  readonly problems: readonly Problem[];
}

/** Names of nodes in a warning; the rest is counted. */
const namedNodes = 3;

/** The rows of the kernel that lead to the pods of other nodes. */
export function compileRouteRows(paths: NodePaths, facts: RoutingFacts): RouteRows {
  const { own } = paths;
  if (own === undefined) return { ...empty, problems: paths.problems };
  /* Addresses that no pod has lead nowhere, instead of by the default route out and back again. */
  const unused = own.podCidrs.map(
    ({ text }): RouteRow => ({
      destination: text,
      table: MAIN_TABLE,
      type: "unreachable",
      device: undefined,
      gateway: undefined,
      onLink: false,
      source: undefined,
      mtu: undefined,
    }),
  );
  const sources = new Sources([own.ipv4, own.ipv6], facts.ownAddresses);
  const rows = rowsByRouting[facts.routing](paths.others, facts, sources);
  return {
    ...rows,
    routes: [...unused, ...rows.routes],
    rules: facts.routing === "vxlan" ? own.podCidrs.map(({ text }) => text) : [],
    problems: [...paths.problems, ...rows.problems],
  };
}

const empty: RouteRows = {
  routes: [],
  neighbours: [],
  tunnels: [],
  rules: [],
  podRoutes: [],
  problems: [],
};

/** Own addresses that packets may have; one that a cloud only translates to is on no interface. */
class Sources {
  readonly #byFamily: Readonly<Record<4 | 6, string | undefined>>;

  constructor([ipv4, ipv6]: readonly (string | undefined)[], ownAddresses: ReadonlySet<string>) {
    const usable = (address: string | undefined) =>
      address !== undefined && ownAddresses.has(address) ? address : undefined;
    this.#byFamily = { 4: usable(ipv4), 6: usable(ipv6) };
  }

  of(family: 4 | 6): string | undefined {
    return this.#byFamily[family];
  }
}

type Rows = Omit<RouteRows, "rules">;

const rowsByRouting: Readonly<
  Record<PodRouting, (others: readonly NodePath[], facts: RoutingFacts, sources: Sources) => Rows>
> = { vxlan: tunnelRows, direct: directRows, underlay: () => empty };

function tunnelRows(
  others: readonly NodePath[],
  { devices, wayTo }: RoutingFacts,
  sources: Sources,
): Rows {
  const routes: RouteRow[] = [];
  const neighbours: NeighbourRow[] = [];
  const tunnels: TunnelRow[] = [];
  const podRoutes: PodRoute[] = [];
  const unreachable: string[] = [];
  for (const other of others) {
    const { name, tunnel, mac, podCidrs, addresses } = other;
    if (podCidrs.length === 0) continue;
    const device = tunnel && devices[tunnel.family];
    if (tunnel === undefined || device === undefined) {
      unreachable.push(name);
      continue;
    }
    tunnels.push({ device, mac, destination: tunnel.remote });
    const pathMtu = wayTo(tunnel.remote)?.mtu;
    const used = new Set<string>();
    const route = (destination: string, family: 4 | 6, table: number): string | undefined => {
      const gateway = tunnelGateway(other, family);
      if (gateway === undefined) return undefined;
      used.add(gateway);
      const source = sources.of(family);
      const mtu = tunnelMtu(pathMtu, tunnel.family, family);
      const hop = { type: "unicast", device, gateway, onLink: true, source, mtu } as const;
      routes.push({ destination, table, ...hop });
      return gateway;
    };
    for (const { text, family } of podCidrs) {
      const gateway = route(text, family, MAIN_TABLE);
      if (gateway !== undefined)
        podRoutes.push({ cidr: text, node: name, device, gateway, isTunnel: true });
    }
    /* The node itself is reached from pods in the tunnel, too: the network between nodes never sees a pod's address. */
    for (const { text, family } of addresses) {
      route(`${text}/${family === 4 ? 32 : 128}`, family, PODS_TABLE);
    }
    for (const address of used) neighbours.push({ device, address, mac });
  }
  const problems = warnOf(
    unreachable,
    "SLUICE_NO_TUNNEL",
    "no IP family in common with this node, so there is no tunnel to their pods",
    "Give all nodes an InternalIP of the same family",
  );
  return { routes, neighbours, tunnels, podRoutes, problems };
}

/** Bytes that a tunnel adds: Ethernet 14, VXLAN 8, UDP 8, and an IPv4 or IPv6 header. */
export const TUNNEL_OVERHEAD_BYTES = { 4: 50, 6: 70 } as const;
/** What each link has to take. */
const LEAST_MTU = { 4: 68, 6: 1280 } as const;

/**
 * A router on the way to the other end of the tunnel takes less than the wires of this node. The kernel has forwarded
 * packets not profit from what it knows of that, so the route says it.
 */
function tunnelMtu(path: number | undefined, outer: 4 | 6, inner: 4 | 6): number | undefined {
  return path && Math.max(path - TUNNEL_OVERHEAD_BYTES[outer], LEAST_MTU[inner]);
}

/**
 * The next hop on the tunnel device, which only has to have a neighbour there. IPv6 takes none that another interface
 * has a route to, so there it is made from the MAC.
 */
function tunnelGateway({ ipv4, linkLocal, podCidrs }: NodePath, family: 4 | 6): string | undefined {
  if (family === 6) return linkLocal;
  if (ipv4 !== undefined) return ipv4;
  const range = podCidrs.find((one) => one.family === 4)?.cidr;
  if (range?.family !== 4) return undefined;
  return formatV4(range.length < 31 ? range.address + 1 : range.address);
}

function directRows(others: readonly NodePath[], { wayTo }: RoutingFacts, sources: Sources): Rows {
  const routes: RouteRow[] = [];
  const podRoutes: PodRoute[] = [];
  const behindRouter: string[] = [];
  const withoutFamily: string[] = [];
  for (const { name, podCidrs, ipv4, ipv6 } of others) {
    for (const { text: destination, family } of podCidrs) {
      const gateway = family === 4 ? ipv4 : ipv6;
      if (gateway === undefined) {
        withoutFamily.push(name);
        continue;
      }
      const way = wayTo(gateway);
      if (way === undefined || way.gateway !== undefined) {
        behindRouter.push(name);
        continue;
      }
      const { device } = way;
      const source = sources.of(family);
      const mtu = undefined;
      const hop = { type: "unicast", device, gateway, onLink: false, source, mtu } as const;
      routes.push({ destination, table: MAIN_TABLE, ...hop });
      podRoutes.push({ cidr: destination, node: name, device, gateway, isTunnel: false });
    }
  }
  const problems = [
    ...warnOf(
      behindRouter,
      "SLUICE_NOT_ON_LINK",
      "not on the wire of an interface of this node, so packets to their pods take the routes that are there",
      "Have the network between nodes route podCIDRs (then --pod-routing underlay says nothing), or use --pod-routing vxlan",
    ),
    ...warnOf(
      withoutFamily,
      "SLUICE_NO_NEXT_HOP",
      "without an InternalIP of a family that their pods have",
      "Give the nodes addresses of both families, or use --pod-routing vxlan",
    ),
  ];
  return { routes, neighbours: [], tunnels: [], podRoutes, problems };
}

/** One warning for all nodes of which the same is true. */
function warnOf(names: readonly string[], code: string, what: string, remedy: string) {
  const all = [...new Set(names)].sort();
  const [name] = all;
  if (name === undefined) return [];
  const more = all.length - namedNodes;
  const named = all.slice(0, namedNodes).join(", ") + (more > 0 ? ` and ${more} more` : "");
  const verb = all.length === 1 ? "node" : "nodes";
  return [
    {
      severity: "warning",
      origin: { source: API_SOURCE },
      kind: "Node",
      name,
      code,
      message: `${verb} ${named}: ${what}`,
      remedy,
    } as const,
  ];
}
