/** One direction of a packet as policies see it, and what every kind of policy asks about it. */

import { blockContains, isSameAddress, parseBlock } from "./address.js";
import type { Cluster, Direction, Pod } from "./manifests.js";
import type { Endpoint, Packet } from "./packet.js";
import { nodeAddresses } from "./packet.js";
import { labelsOf } from "./selector.js";

/** One direction: the pod that the policies have as their subject, and the other end. */
export interface Traffic {
  readonly cluster: Cluster;
  readonly direction: Direction;
  readonly subject: Pod;
  readonly peer: Endpoint;
  readonly destination: Endpoint;
  readonly packet: Packet;
}

export function isInBlock({ address }: Endpoint, cidr: string): boolean {
  return blockContains(parseBlock(cidr), address);
}

type Labels = Readonly<Record<string, string>>;

/** Asked for at every policy; a cluster and its objects never change. */
const labelsOfNamespaces = new WeakMap<Cluster, Map<string, Labels>>();

/** `kubernetes.io/metadata.name` is on every namespace, in manifests of users or not (N16). */
export function namespaceLabels(cluster: Cluster, pod: Pod): Labels {
  const known = labelsOfNamespaces.get(cluster) ?? new Map<string, Labels>();
  labelsOfNamespaces.set(cluster, known);
  const name = pod.metadata.namespace ?? "default";
  let labels = known.get(name);
  if (labels === undefined) {
    const namespace = cluster.namespaces.find(({ metadata }) => metadata.name === name);
    labels = {
      ...(namespace && labelsOf(namespace.metadata)),
      "kubernetes.io/metadata.name": name,
    };
    known.set(name, labels);
  }
  return labels;
}

/**
 * A named port of the destination pod, by name and protocol (N26). Containers and sidecars have
 * ports; init containers that end before the pod serves have none.
 */
export function isNamedPort({ destination, packet }: Traffic, name: string): boolean {
  const { containers = [], initContainers = [] } = destination.pod?.spec ?? {};
  const sidecars = initContainers.filter(({ restartPolicy }) => restartPolicy === "Always");
  return [...containers, ...sidecars]
    .flatMap(({ ports }) => ports ?? [])
    .some(
      (port) =>
        port.name === name &&
        port.containerPort === packet.destinationPort &&
        (port.protocol ?? "TCP") === packet.protocol,
    );
}

export function isOwnNode(cluster: Cluster, pod: Pod, { address }: Endpoint): boolean {
  const node = cluster.nodes.find(({ metadata }) => metadata.name === pod.spec.nodeName);
  return node !== undefined && nodeAddresses(node).some((own) => isSameAddress(own, address));
}
