/** The packet that opens a connection, and who its ends are. */

import { type Address, type Family, isSameAddress, parseAddress } from "./address.js";
import { type Cluster, keyOf, type Node, type Pod, type Protocol } from "./manifests.js";

export interface Packet {
  /** A pod's `namespace/name` or an address. After the rewriting of Services (N34). */
  readonly source: string;
  readonly destination: string;
  /** For two pods with two families each; otherwise the first family that both ends have. */
  readonly family?: Family;
  /** A number is any other IP protocol. */
  readonly protocol: Protocol | "ICMP" | "ICMPv6" | number;
  /** Of TCP, UDP and SCTP. */
  readonly destinationPort?: number;
  /** Of ICMP and ICMPv6. */
  readonly icmpType?: number;
}

export interface Endpoint {
  readonly address: Address;
  /** A pod with an own address that has not ended; nodes, host-network pods and all else have none. */
  readonly pod?: Pod;
}

export interface Ends {
  readonly source: Endpoint;
  readonly destination: Endpoint;
}

/** Throws when an end is unknown, or when both have no family in common. */
export function endsOf(cluster: Cluster, packet: Packet): Ends {
  const sources = endpointsOf(cluster, packet.source);
  const destinations = endpointsOf(cluster, packet.destination);
  for (const source of sources) {
    const { family } = source.address;
    const destination = destinations.find(({ address }) => address.family === family);
    if (destination !== undefined && (packet.family ?? family) === family) {
      return { source, destination };
    }
  }
  throw new Error(`${packet.source} and ${packet.destination} have no address family in common`);
}

function endpointsOf(cluster: Cluster, end: string): readonly Endpoint[] {
  if (!end.includes("/")) {
    return [endpointAt(cluster, parseAddress(end))];
  }
  const pod = cluster.pods.find((candidate) => keyOf(candidate) === end);
  if (pod === undefined) {
    throw new Error(`there is no pod ${end}`);
  }
  return podAddresses(pod).map((address) => endpointAt(cluster, address));
}

/** Who has the address now: a completed pod has lost it, perhaps to another (N24). */
function endpointAt(cluster: Cluster, address: Address): Endpoint {
  const pod = cluster.pods.find(
    (candidate) =>
      isOnPodNetwork(candidate) &&
      podAddresses(candidate).some((own) => isSameAddress(own, address)),
  );
  return pod === undefined ? { address } : { address, pod };
}

/** Host-network pods are no pods to policies: their traffic is their node's (N21). */
function isOnPodNetwork({ spec, status }: Pod): boolean {
  return spec.hostNetwork !== true && status?.phase !== "Succeeded" && status?.phase !== "Failed";
}

/** Asked for at every packet; a cluster and its objects never change. */
const knownLocalPods = new WeakMap<Cluster, Map<string, readonly Pod[]>>();

/** The node's pods that policies are about: not ended, with an address of their own. */
export function localPods(cluster: Cluster, node: string): readonly Pod[] {
  const known = knownLocalPods.get(cluster) ?? new Map<string, readonly Pod[]>();
  knownLocalPods.set(cluster, known);
  let pods = known.get(node);
  if (pods === undefined) {
    pods = cluster.pods.filter(
      (pod) =>
        pod.spec.nodeName === node &&
        podAddresses(pod).some((address) => endpointAt(cluster, address).pod === pod),
    );
    known.set(node, pods);
  }
  return pods;
}

/** All addresses of a pod, of both families (N23). */
export function podAddresses({ status }: Pod): readonly Address[] {
  const texts = status?.podIPs?.map(({ ip }) => ip) ?? [];
  if (texts.length === 0 && status?.podIP !== undefined) {
    return [parseAddress(status.podIP)];
  }
  return texts.map(parseAddress);
}

/** All addresses of `status.addresses` that are no names (C9). */
export function nodeAddresses({ status }: Node): readonly Address[] {
  return (status?.addresses ?? [])
    .filter(({ type }) => type === "InternalIP" || type === "ExternalIP")
    .map(({ address }) => parseAddress(address));
}
