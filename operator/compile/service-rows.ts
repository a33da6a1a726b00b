import { cidrContains } from "../model/cidr.js";
import type { Cidr, Problem } from "../model/records.js";
import type { Transport } from "../model/records-pod.js";
import {
  type EndpointSliceRecord,
  READY,
  type ServicePort,
  type ServiceRecord,
} from "../model/records-service.js";
import { type AddressWords, compareEndpoints } from "./service-address.js";
import { type Claimant, familiesOf, type ServiceClaims } from "./service-claims.js";
import { type Backend, chooseBackends, joinEndpoints } from "./service-endpoints.js";
import { compileFrontends, type FrontendRow } from "./service-frontends.js";
import type { ServicePlace } from "./service-place.js";
import { type FrontendKind, frontendVerdict, neededLists, type Sender } from "./service-verdict.js";

/** One port of a Service in one IP family: what the kernel knows as a service. */
export interface ServicePortRows {
  /** `shop/web http/tcp/4`. */
  readonly key: string;
  /** `shop/web`. */
  readonly service: string;
  readonly family: 4 | 6;
  readonly protocol: Transport;
  /** Of the Service. */
  readonly port: number;
  readonly frontends: readonly FrontendRow[];
  /** Bits of the matrix: {@link cellBits}. */
  readonly cells: number;
  /** Session affinity by client address; 0: none. */
  readonly affinitySeconds: number;
  /** Some endpoint anywhere could be used: what finds its list empty is dropped, otherwise refused. */
  readonly hasAny: boolean;
  /** Sources that may send to addresses of load balancers; empty: any. */
  readonly sourceRanges: readonly Cidr[];
  /** Packets from the very address that they are for come from this node, which is in one of the ranges. */
  readonly admitsSelf: boolean;
  /** All endpoints, in order of address and port, those that do not serve included: flows to them are known by it. */
  readonly endpoints: readonly Backend[];
  /** Those of them that packets are sent to, as traffic policy Cluster and Local have it. */
  readonly cluster: readonly Backend[];
  readonly local: readonly Backend[];
  /** Frontends can be reached from outside: nodes have to choose alike. */
  readonly isExternal: boolean;
}

export interface ServiceRows {
  readonly ports: readonly ServicePortRows[];
  /** Own cluster IPs: what is sent to them and is for no frontend is refused. */
  readonly clusterIPs: readonly AddressWords[];
  readonly health: HealthCheck | undefined;
  readonly problems: readonly Problem[];
}

/** What a load balancer asks the node for: services.md §1.11. */
export interface HealthCheck {
  readonly namespace: string;
  readonly name: string;
  readonly port: number;
  /** Different addresses of ready endpoints on this node, over all ports, by family. */
  readonly localEndpoints: Readonly<Record<4 | 6, number>>;
}

const NOTHING: ServiceRows = { ports: [], clusterIPs: [], health: undefined, problems: [] };

const SENDERS: readonly Sender[] = ["pod", "node", "outside"];

/** Of a cell of the matrix: the local list counts, and packets get an address of the node. */
export const CELL_LOCAL = 1;
export const CELL_MASQUERADE = 2;

/**
 * Where in `cells` the two bits of a sender stand: first those to cluster IPs, then those to all other frontends, each
 * pod, node, outside.
 */
export function cellShift(kind: FrontendKind, sender: Sender): number {
  return ((kind === "clusterIP" ? 0 : 3) + SENDERS.indexOf(sender)) * 2;
}

/** The rows of one Service on one node. */
export function compileService(
  claimant: Claimant | undefined,
  slices: readonly EndpointSliceRecord[],
  place: ServicePlace,
  claims: ServiceClaims,
): ServiceRows {
  if (claimant === undefined) return NOTHING;
  const { service, key } = claimant;
  const ports: ServicePortRows[] = [];
  const clusterIPs: AddressWords[] = [];
  const problems: Problem[] = [];
  const readyHere = { 4: new Set<string>(), 6: new Set<string>() };
  const cells = cellBits(service, place);
  for (const family of familiesOf(service)) {
    const addresses = compileFrontends(claimant, family, place, claims, problems);
    if (addresses.clusterIP !== undefined) clusterIPs.push(addresses.clusterIP);
    const seen = new Set<string>();
    for (const port of service.ports) {
      const name = `${port.name}/${port.protocol}/${family}`;
      // The API server lets no two ports have one name and protocol; a manifest may.
      if (seen.has(name)) continue;
      seen.add(name);
      const backends = backendsOf(service, port, family, slices, place);
      for (const { address, conditions, isLocal } of backends.endpoints) {
        if (isLocal && (conditions & READY) !== 0) readyHere[family].add(address.join("."));
      }
      const frontends = addresses.frontendsOf(port);
      ports.push({
        key: `${key} ${name}`,
        service: key,
        family,
        protocol: port.protocol,
        port: port.port,
        frontends,
        cells,
        affinitySeconds: service.affinitySeconds,
        ...sourcesOf(service, family, frontends, place),
        ...backends,
        isExternal: frontends.some(({ kind }) => kind !== "clusterIP"),
      });
    }
  }
  return { ports, clusterIPs, health: healthOf(service, readyHere), problems };
}

/** The matrix of services.md §1.5 for one Service, two bits a cell. */
export function cellBits(service: ServiceRecord, place: ServicePlace): number {
  let bits = 0;
  for (const kind of ["clusterIP", "nodePort"] as const) {
    for (const sender of SENDERS) {
      const { list, masquerade } = frontendVerdict(service, kind, sender, place);
      const cell = (list === "local" ? CELL_LOCAL : 0) | (masquerade ? CELL_MASQUERADE : 0);
      bits |= cell << cellShift(kind, sender);
    }
  }
  return bits;
}

function backendsOf(
  service: ServiceRecord,
  port: ServicePort,
  family: 4 | 6,
  slices: readonly EndpointSliceRecord[],
  place: ServicePlace,
) {
  const endpoints = [...joinEndpoints(port, family, slices, place)].sort(compareEndpoints);
  return { endpoints, ...chooseBackends(endpoints, place, neededLists(service)) };
}

/** Only addresses of load balancers are filtered, and no family that no range is left of (services.md §1.2, §1.8). */
function sourcesOf(
  service: ServiceRecord,
  family: 4 | 6,
  frontends: readonly FrontendRow[],
  { ownAddresses }: ServicePlace,
) {
  const isFiltered = frontends.some(({ kind }) => kind === "loadBalancerIP");
  const sourceRanges = service.sourceRanges.filter(
    (range) => isFiltered && range.family === family,
  );
  const admitsSelf = sourceRanges.some((range) =>
    ownAddresses.some((address) => cidrContains(range, address)),
  );
  return { sourceRanges, admitsSelf };
}

function healthOf(
  service: ServiceRecord,
  readyHere: Readonly<Record<4 | 6, ReadonlySet<string>>>,
): HealthCheck | undefined {
  const { namespace, name, type, externalTrafficPolicy, healthCheckNodePort: port } = service;
  if (port === 0 || type !== "LoadBalancer" || externalTrafficPolicy !== "Local") return undefined;
  const localEndpoints = { 4: readyHere[4].size, 6: readyHere[6].size };
  return { namespace, name, port, localEndpoints };
}
