import { endpointCount } from "../model/endpoint-columns.js";
import type { Transport } from "../model/records-pod.js";
import {
  type EndpointSliceRecord,
  READY,
  SERVING,
  type ServicePort,
  TERMINATING,
} from "../model/records-service.js";

/** One endpoint of a Service's port. */
export interface Backend {
  /** As its slice has it: one word for IPv4, four for IPv6, in host order. */
  readonly address: readonly number[];
  readonly port: number;
  /** On this node. */
  readonly isLocal: boolean;
  /** READY, SERVING and TERMINATING, or-ed. */
  readonly conditions: number;
  /** Zones and nodes that it is meant for. */
  readonly zoneHints: readonly string[];
  readonly nodeHints: readonly string[];
}

/** The node that backends are chosen for. */
export interface ServiceNode {
  readonly name: string;
  /** Label `topology.kubernetes.io/zone`; undefined or empty: none. */
  readonly zone: string | undefined;
}

/** Which of the lists of backends a port's traffic needs: services.md §1.3. */
export interface NeededLists {
  readonly cluster: boolean;
  readonly local: boolean;
}

export interface ChosenBackends {
  /** Wherever they are: what traffic policy Cluster takes. */
  readonly cluster: readonly Backend[];
  /** On this node only: what traffic policy Local takes. */
  readonly local: readonly Backend[];
  /** Some endpoint on some node could be used: without one, packets are refused instead of dropped. */
  readonly hasAny: boolean;
}

const NONE: readonly never[] = Object.freeze([]);

/**
 * Endpoints of one port of a Service in one family, each once. The same address and port in several slices is one endpoint,
 * and a local one when one of them says so.
 *
 * @param slices of that Service; those of the other family are passed over
 */
export function joinEndpoints(
  { name, protocol }: Pick<ServicePort, "name" | "protocol">,
  family: 4 | 6,
  slices: Iterable<EndpointSliceRecord>,
  node: ServiceNode,
): readonly Backend[] {
  const found = new Map<number | string, Backend>();
  const words = family === 4 ? 1 : 4;
  for (const slice of slices) {
    if (slice.family !== family || slice.isExcluded) continue;
    const port = portOf(slice, name, protocol);
    if (port === undefined) continue;
    for (let index = 0; index < endpointCount(slice); index++) {
      const address = Array.from(slice.addresses.slice(index * words, (index + 1) * words));
      const backend: Backend = {
        address,
        port,
        isLocal: slice.nodeNames[index] === node.name,
        conditions: slice.conditions[index]!,
        zoneHints: slice.zoneHints?.[index] ?? NONE,
        nodeHints: slice.nodeHints?.[index] ?? NONE,
      };
      // 48 bits.
      const key = family === 4 ? address[0]! * 65_536 + port : `${address.join(".")}:${port}`;
      const first = found.get(key);
      if (first === undefined || (backend.isLocal && !first.isLocal)) found.set(key, backend);
    }
  }
  return [...found.values()];
}

/** A slice has each name once for a protocol; the number may be another one in the next slice (named target ports). */
function portOf(
  { ports }: EndpointSliceRecord,
  name: string,
  protocol: Transport,
): number | undefined {
  return ports.find((port) => port.name === name && port.protocol === protocol)?.port;
}

/** The backends that serve, by services.md §1.3. */
export function chooseBackends(
  backends: readonly Backend[],
  node: ServiceNode,
  { cluster, local }: NeededLists,
): ChosenBackends {
  const isReady = ({ conditions }: Backend) => (conditions & READY) !== 0;
  const usable = backends.filter((backend) => isReady(backend) || isLastResort(backend));
  const hasAny = usable.length > 0;
  return {
    cluster: cluster ? clusterList(usable, isReady, node) : NONE,
    local: local
      ? orLastResort(
          usable.filter(({ isLocal }) => isLocal),
          isReady,
        )
      : NONE,
    hasAny,
  };
}

/** Terminating, but it serves on: taken when no endpoint is ready. */
function isLastResort({ conditions }: Backend): boolean {
  return (conditions & SERVING) !== 0 && (conditions & TERMINATING) !== 0;
}

function orLastResort(
  usable: readonly Backend[],
  isReady: (backend: Backend) => boolean,
): readonly Backend[] {
  const ready = usable.filter(isReady);
  return ready.length > 0 ? ready : usable.filter(isLastResort);
}

function clusterList(
  usable: readonly Backend[],
  isReady: (backend: Backend) => boolean,
  node: ServiceNode,
): readonly Backend[] {
  const ready = usable.filter(isReady);
  if (ready.length === 0) return usable.filter(isLastResort);
  const near = topologyOf(ready, node);
  return near === undefined ? ready : ready.filter(near);
}

/**
 * Hints count when every ready endpoint has them and one is meant for this node, or else for its zone: one without
 * switches its level off.
 */
function topologyOf(
  ready: readonly Backend[],
  { name, zone }: ServiceNode,
): ((backend: Backend) => boolean) | undefined {
  const isForNode = ({ nodeHints }: Backend) => nodeHints.includes(name);
  if (ready.every(({ nodeHints }) => nodeHints.length > 0) && ready.some(isForNode)) {
    return isForNode;
  }
  if (zone === undefined || zone === "") return undefined;
  const isForZone = ({ zoneHints }: Backend) => zoneHints.includes(zone);
  if (ready.every(({ zoneHints }) => zoneHints.length > 0) && ready.some(isForZone)) {
    return isForZone;
  }
  return undefined;
}
