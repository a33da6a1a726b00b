/** What the API server would accept, as far as generating and shrinking can go wrong. */

import { blockContains, formatAddress, parseAddress, parseBlock } from "./address.js";
import type { PolicyCase } from "./generate.js";
import type {
  ClusterNetworkPolicy,
  ClusterPolicyPeer,
  ClusterPolicyPort,
  ClusterPolicyProtocol,
  LabelSelector,
  Metadata,
  NamespacedPods,
  NetworkPolicy,
  NetworkPolicyPeer,
  NetworkPolicyPort,
  Pod,
} from "./manifests.js";
import { endsOf, localPods, nodeAddresses, podAddresses } from "./packet.js";

/** Objects come from JSON with parts cut out: any field may be missing. Throws when one must not. */
export function assertAcceptable({ cluster, node, packets }: PolicyCase): void {
  const { namespaces, nodes, pods, networkPolicies, clusterNetworkPolicies } = cluster;
  for (const kind of [namespaces, nodes, pods, networkPolicies, clusterNetworkPolicies]) {
    need(
      new Set(kind.map(({ metadata }) => nameOf(metadata))).size === kind.length,
      "unique names",
    );
  }
  const namespaceNames = namespaces.map(({ metadata }) => metadata.name);
  for (const { metadata } of [...pods, ...networkPolicies]) {
    need(namespaceNames.includes(metadata.namespace ?? ""), "a namespace");
  }
  for (const { status } of nodes) {
    need(
      status?.addresses?.every(({ type, address }) => type && address),
      "whole addresses",
    );
  }
  for (const pod of pods) {
    assertPod(pod);
    need(
      nodes.some(({ metadata }) => metadata.name === pod.spec.nodeName),
      "a node",
    );
  }
  assertAddresses(cluster);
  networkPolicies.forEach(assertNetworkPolicy);
  clusterNetworkPolicies.forEach(assertClusterNetworkPolicy);
  const local = localPods(cluster, node);
  for (const packet of packets) {
    const { source, destination } = endsOf(cluster, packet);
    need(
      [source.pod, destination.pod].some((pod) => pod && local.includes(pod)),
      "a local end",
    );
    need(packet.protocol !== undefined, "a protocol");
    const hasPorts = ["TCP", "UDP", "SCTP"].includes(`${packet.protocol}`);
    need(hasPorts === (packet.destinationPort !== undefined), "a port where there are ports");
    const isIcmp = packet.protocol === "ICMP" || packet.protocol === "ICMPv6";
    need(isIcmp === (packet.icmpType !== undefined), "a type of ICMP");
    need(packet.protocol !== (source.address.family === 4 ? "ICMPv6" : "ICMP"), "its own ICMP");
  }
}

function need(holds: unknown, what: string): asserts holds {
  if (holds !== true && (holds === undefined || holds === false || holds === "")) {
    throw new Error(`the API server would want ${what}`);
  }
}

function nameOf({ namespace, name }: Metadata): string {
  need(typeof name === "string" && name !== "", "a name");
  return `${namespace ?? ""}/${name}`;
}

function assertPod({ spec, status }: Pod): void {
  need((spec.containers?.length ?? 0) > 0, "a container");
  for (const { name, ports = [] } of [...spec.containers, ...(spec.initContainers ?? [])]) {
    need(name, "a container's name");
    need(
      ports.every(({ containerPort }) => containerPort > 0 && containerPort < 65536),
      "a port",
    );
    const names = ports.flatMap((port) => port.name ?? []);
    need(new Set(names).size === names.length, "unique port names");
  }
  need(status?.phase, "a phase");
  need(status.podIP === status.podIPs?.[0]?.ip, "podIP first among podIPs");
}

/** One living pod for each address, and pods of the host network only at the node's. */
function assertAddresses({ pods, nodes }: PolicyCase["cluster"]): void {
  const living = pods.filter(
    ({ spec, status }) => !spec.hostNetwork && /Running|Pending/.test(status?.phase ?? ""),
  );
  const own = living.flatMap(podAddresses).map(formatAddress);
  const ofNodes = nodes.flatMap(nodeAddresses).map(formatAddress);
  need(new Set([...own, ...ofNodes]).size === own.length + ofNodes.length, "unique addresses");
  for (const pod of pods.filter(({ spec }) => spec.hostNetwork)) {
    need(
      podAddresses(pod).every((one) => ofNodes.includes(formatAddress(one))),
      "node addresses",
    );
  }
}

function assertSelector({ matchLabels = {}, matchExpressions = [] }: LabelSelector): void {
  need(
    Object.values(matchLabels).every((value) => typeof value === "string"),
    "labels",
  );
  for (const { key, operator, values = [] } of matchExpressions) {
    need(key, "a key");
    need(operator, "an operator");
    const takesValues = operator === "In" || operator === "NotIn";
    need(takesValues === values.length > 0, "values for In and NotIn only");
  }
}

/** Throws when the API server would refuse it. */
export function assertNetworkPolicy({ spec = {} }: NetworkPolicy): void {
  const { podSelector, ingress = [], egress = [] } = spec;
  assertSelector(podSelector ?? {});
  ingress.flatMap(({ from }) => from ?? []).forEach(assertPeer);
  egress.flatMap(({ to }) => to ?? []).forEach(assertPeer);
  [...ingress, ...egress].flatMap(({ ports }) => ports ?? []).forEach(assertPort);
}

function assertPeer({ podSelector, namespaceSelector, ipBlock }: NetworkPolicyPeer): void {
  need((ipBlock === undefined) === !!(podSelector ?? namespaceSelector), "one kind of peer");
  assertSelector(podSelector ?? {});
  assertSelector(namespaceSelector ?? {});
  if (ipBlock !== undefined) {
    const block = parseBlock(ipBlock.cidr);
    for (const except of (ipBlock.except ?? []).map(parseBlock)) {
      const isInside = blockContains(block, except) && except.prefixLength > block.prefixLength;
      need(isInside, "exceptions inside the block");
    }
  }
}

function assertPort({ port, endPort }: NetworkPolicyPort): void {
  need(port === undefined || typeof port === "string" || (port > 0 && port < 65536), "a port");
  if (endPort !== undefined) {
    need(typeof port === "number" && endPort >= port && endPort < 65536, "an end behind the port");
  }
}

function assertClusterNetworkPolicy({ spec }: ClusterNetworkPolicy): void {
  need(spec.tier, "a tier");
  need(spec.priority >= 0 && spec.priority <= 1000, "a priority");
  need(Object.keys(spec.subject).length === 1, "one kind of subject");
  assertPodsPeer(spec.subject);
  const rules = [
    ...(spec.ingress ?? []).map(({ from, ...rule }) => ({ ...rule, peers: from })),
    ...(spec.egress ?? []).map(({ to, ...rule }) => ({ ...rule, peers: to })),
  ];
  for (const { action, peers, protocols } of rules) {
    need(action, "an action");
    need(peers.length > 0, "peers");
    need(protocols === undefined || protocols.length > 0, "protocols or none");
    peers.forEach(assertClusterPeer);
    (protocols ?? []).forEach(assertProtocol);
    const isPlace = (peer: ClusterPolicyPeer) =>
      (peer.networks ?? peer.nodes ?? peer.domainNames) !== undefined;
    const isNamed = (protocols ?? []).some((one) => one.destinationNamedPort !== undefined);
    need(!(isNamed && peers.some(isPlace)), "numbers for networks, nodes and domain names");
    need(
      action === "Accept" || peers.every((peer) => !peer.domainNames),
      "Accept for domain names",
    );
  }
}

function assertClusterPeer(peer: ClusterPolicyPeer): void {
  need(Object.keys(peer).length === 1, "one kind of peer");
  assertPodsPeer(peer);
  assertSelector(peer.nodes ?? {});
  (peer.networks ?? []).forEach(parseBlock);
  need((peer.networks ?? peer.domainNames ?? [""]).length > 0, "networks or names");
}

function assertPodsPeer({
  namespaces,
  pods,
}: {
  readonly namespaces?: LabelSelector;
  readonly pods?: NamespacedPods;
}): void {
  assertSelector(namespaces ?? {});
  if (pods !== undefined) {
    need(pods.namespaceSelector !== undefined && pods.podSelector !== undefined, "both selectors");
    assertSelector(pods.namespaceSelector);
    assertSelector(pods.podSelector);
  }
}

function assertProtocol(protocol: ClusterPolicyProtocol): void {
  need(Object.keys(protocol).length === 1, "one protocol");
  const transport = protocol.tcp ?? protocol.udp ?? protocol.sctp;
  const port: ClusterPolicyPort | undefined = transport?.destinationPort;
  need(protocol.destinationNamedPort !== undefined || port !== undefined, "a port");
  if (port !== undefined) {
    need(Object.keys(port).length === 1, "a number or a range");
    const { start, end } = port.range ?? { start: 1, end: 2 };
    need(start < end && (port.number ?? 1) > 0, "a range that goes up");
  }
}

/** Whether all texts of the case can be read and all that must be there is. */
export function isAcceptable(policyCase: PolicyCase): boolean {
  try {
    assertAcceptable(policyCase);
    policyCase.packets.forEach(({ source }) => parseAddress(source));
    return true;
  } catch {
    return false;
  }
}
