/** Packets aimed at the policies of a cluster: most hit a rule, the rest miss by a hair. */

import type { Random } from "../fuzz/random.js";
import {
  type Address,
  bitsOf,
  blockContains,
  type Family,
  formatAddress,
  isSameAddress,
  parseBlock,
} from "./address.js";
import { addressesOf, anyAddress, outsideAddress } from "./generate-blocks.js";
import { PORT_NAMES, PORTS, PROTOCOLS } from "./generate-cluster.js";
import {
  type Cluster,
  type ClusterPolicyPeer,
  type Direction,
  type NetworkPolicyPeer,
  type Pod,
  type Protocol,
} from "./manifests.js";
import { endsOf, localPods, nodeAddresses, type Packet, podAddresses } from "./packet.js";
import { labelsOf, selects, selectsPod } from "./selector.js";
import { namespaceLabels } from "./traffic.js";

/** One rule of one policy, of either kind. */
interface Target {
  readonly direction: Direction;
  readonly selectsSubject: (pod: Pod) => boolean;
  readonly peers: readonly (NetworkPolicyPeer & ClusterPolicyPeer)[];
  readonly ports: readonly PortTarget[];
}

interface PortTarget {
  readonly protocol: Protocol;
  readonly port?: number | string;
  readonly end?: number;
}

/** Makes packets that have at least one end that is a pod of the node. Ends are addresses. */
export function createAim(random: Random, cluster: Cluster, node: string): () => Packet {
  const targets = targetsOf(cluster);
  const rare = targets.filter(isRare);
  const local = localPods(cluster, node);
  return () => {
    const from = rare.length > 0 && random.chance(0.3) ? rare : targets;
    return aimPacket(random, cluster, from, local);
  };
}

/** What few rules have, and few packets are decided by. */
function isRare({ peers, ports }: Target): boolean {
  return (
    ports.some(({ port, end }) => typeof port === "string" || end !== undefined) ||
    peers.some(({ ipBlock, domainNames }) => (ipBlock?.except ?? domainNames) !== undefined)
  );
}

function aimPacket(
  random: Random,
  cluster: Cluster,
  targets: readonly Target[],
  local: readonly Pod[],
): Packet {
  const target = targets.length > 0 && random.chance(0.92) ? random.pick(targets) : undefined;
  const direction = target?.direction ?? random.pick(["egress", "ingress"]);
  const wanted = local.filter((pod) => target?.selectsSubject(pod) ?? false);
  const subject = random.pick(wanted.length > 0 && random.chance(0.95) ? wanted : local);
  const own = random.pick(podAddresses(subject));
  const peer = aimPeer(random, cluster, target, own);
  const [source, destination] = direction === "egress" ? [own, peer] : [peer, own];
  const ends = { source: formatAddress(source), destination: formatAddress(destination) };
  return { ...ends, ...aimProtocol(random, cluster, target, ends, own.family) };
}

function targetsOf(cluster: Cluster): readonly Target[] {
  const ofNamespaces = cluster.networkPolicies.flatMap(({ metadata, spec = {} }) => {
    const selectsSubject = (pod: Pod) =>
      pod.metadata.namespace === metadata.namespace &&
      selects(spec.podSelector ?? {}, labelsOf(pod.metadata));
    const target = (direction: Direction, rule: object): Target => {
      const { from, to, ports = [] } = rule as NetworkPolicyRule;
      return {
        direction,
        selectsSubject,
        peers: from ?? to ?? [],
        ports: ports.map(({ protocol = "TCP", port, endPort }) => ({
          protocol,
          ...(port === undefined ? {} : { port }),
          ...(endPort === undefined ? {} : { end: endPort }),
        })),
      };
    };
    // The empty rule stands for a policy that isolates and has none.
    return [
      ...[{}, ...(spec.ingress ?? [])].map((rule) => target("ingress", rule)),
      ...[{}, ...(spec.egress ?? [])].map((rule) => target("egress", rule)),
    ];
  });
  const ofCluster = cluster.clusterNetworkPolicies.flatMap(({ spec }) => {
    const { namespaces, pods } = spec.subject;
    const selectsSubject = (pod: Pod) =>
      selectsPod(
        pods ?? { namespaceSelector: namespaces ?? {} },
        namespaceLabels(cluster, pod),
        labelsOf(pod.metadata),
      );
    const target = (direction: Direction, rule: object): Target => {
      const { from, to, protocols = [] } = rule as ClusterRule;
      return {
        direction,
        selectsSubject,
        peers: from ?? to ?? [],
        ports: protocols.flatMap(({ destinationNamedPort, ...transports }): PortTarget[] =>
          destinationNamedPort === undefined
            ? Object.entries(transports).map(([name, { destinationPort: at }]) => ({
                protocol: name.toUpperCase() as Protocol,
                ...(at?.number === undefined ? {} : { port: at.number }),
                ...(at?.range === undefined ? {} : { port: at.range.start, end: at.range.end }),
              }))
            : PROTOCOLS.map((protocol) => ({ protocol, port: destinationNamedPort })),
        ),
      };
    };
    return [
      ...(spec.ingress ?? []).map((rule) => target("ingress", rule)),
      ...(spec.egress ?? []).map((rule) => target("egress", rule)),
    ];
  });
  return [...ofNamespaces, ...ofCluster];
}

type NetworkPolicies = NonNullable<Cluster["networkPolicies"][number]["spec"]>;
type NetworkPolicyRule = NonNullable<NetworkPolicies["ingress"]>[number] &
  NonNullable<NetworkPolicies["egress"]>[number];
type ClusterRule = Partial<
  NonNullable<Cluster["clusterNetworkPolicies"][number]["spec"]["ingress"]>[number] &
    NonNullable<Cluster["clusterNetworkPolicies"][number]["spec"]["egress"]>[number]
>;

function aimPeer(
  random: Random,
  cluster: Cluster,
  target: Target | undefined,
  own: Address,
): Address {
  const named =
    target !== undefined && target.peers.length > 0
      ? addressesOfPeer(random, cluster, random.pick(target.peers))
      : [];
  const isUsable = ({ family }: Address) => family === own.family;
  const pods = cluster.pods.flatMap(podAddresses).filter(isUsable);
  // A pod rarely talks to itself, and such a packet tells little.
  const isOther = (address: Address) => !isSameAddress(address, own);
  const wanted = named.filter(isUsable).filter(isOther);
  const others = pods.filter(isOther);
  return random.weighted<() => Address>(
    [wanted.length > 0 ? 14 : 0, () => random.pick(wanted)],
    [others.length > 0 ? 4 : 0, () => random.pick(others)],
    [1, () => outsideAddress(random, own.family)],
    [1, () => random.pick([own, ...addressesOf(cluster).filter(isUsable)])],
  )();
}

function addressesOfPeer(
  random: Random,
  cluster: Cluster,
  peer: NetworkPolicyPeer & ClusterPolicyPeer,
): readonly Address[] {
  const { ipBlock, networks, nodes } = peer;
  const cidrs = ipBlock ? [ipBlock.cidr, ...(ipBlock.except ?? [])] : networks;
  if (cidrs !== undefined) {
    const { family, value, prefixLength } = parseBlock(random.pick(cidrs));
    const hostBits = Math.min(bitsOf(family) - prefixLength, 8);
    const inside = value + BigInt(random.between(0, 2 ** hostBits - 1));
    const beside = value + (random.chance(0.5) ? -1n : 2n ** BigInt(hostBits));
    const near = [inside, inside, beside]
      .map((one) => ({ family, value: BigInt.asUintN(bitsOf(family), one) }))
      .filter(isUnicast);
    return [...near, anyAddress(random, cluster)];
  }
  if (nodes !== undefined) {
    return cluster.nodes
      .filter(({ metadata }) => selects(nodes, labelsOf(metadata)))
      .flatMap(nodeAddresses);
  }
  const selectors = peer.pods ?? {
    namespaceSelector: peer.namespaces ?? peer.namespaceSelector ?? {},
    podSelector: peer.podSelector ?? {},
  };
  return cluster.pods
    .filter((pod) => selectsPod(selectors, namespaceLabels(cluster, pod), labelsOf(pod.metadata)))
    .flatMap(podAddresses);
}

/** Others are not for policies: they are refused, or never leave their link. */
function isUnicast(address: Address): boolean {
  return !NOT_UNICAST.some((block) => blockContains(block, address));
}

const NOT_UNICAST = [
  ...["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"],
  ...["::/16", "fe80::/10", "ff00::/8"],
].map(parseBlock);

function aimProtocol(
  random: Random,
  cluster: Cluster,
  target: Target | undefined,
  ends: Pick<Packet, "source" | "destination">,
  family: Family,
): Pick<Packet, "protocol" | "destinationPort" | "icmpType"> {
  if (random.chance(0.06)) {
    const protocol = family === 4 ? "ICMP" : "ICMPv6";
    const icmpType = random.pick(family === 4 ? [8, 13] : [128, 128, 132, 133, 135, 137, 138]);
    return random.chance(0.7) ? { protocol, icmpType } : { protocol: random.pick([47, 89, 115]) };
  }
  const port =
    target !== undefined && target.ports.length > 0 && random.chance(0.9)
      ? random.pick(target.ports)
      : { protocol: random.pick(PROTOCOLS), port: random.pick([...PORTS, ...PORT_NAMES]) };
  const protocol = random.chance(0.93) ? port.protocol : random.pick(PROTOCOLS);
  return { protocol, destinationPort: aimPort(random, cluster, port, ends) };
}

function aimPort(
  random: Random,
  cluster: Cluster,
  { port, end }: PortTarget,
  ends: Pick<Packet, "source" | "destination">,
): number {
  if (typeof port === "string") {
    const { source, destination } = endsOf(cluster, { ...ends, protocol: 0 });
    const numbersOn = (pod: Pod | undefined) =>
      [...(pod?.spec.containers ?? []), ...(pod?.spec.initContainers ?? [])]
        .flatMap(({ ports }) => ports ?? [])
        .filter(({ name }) => name === port)
        .map(({ containerPort }) => containerPort);
    // The source's number of that name is what a wrong look-up would find.
    const numbers = [
      ...numbersOn(destination.pod),
      ...numbersOn(destination.pod),
      ...numbersOn(source.pod),
    ];
    return random.pick(numbers.length > 0 && random.chance(0.9) ? numbers : PORTS);
  }
  if (port === undefined) {
    return random.pick(PORTS);
  }
  const last = end ?? port;
  return random.weighted(
    [8, port],
    [4, last],
    [3, random.between(port, last)],
    [1, port - 1],
    [1, last + 1],
    [2, random.pick(PORTS)],
  );
}
