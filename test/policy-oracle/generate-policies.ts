/** NetworkPolicies and ClusterNetworkPolicies with every field that the API has. */

import type { Random } from "../fuzz/random.js";
import { generateBlock, generateExcepts } from "./generate-blocks.js";
import {
  generateNamespaceSelector,
  generateSelector,
  NODE_LABELS,
  POD_LABELS,
  PORT_NAMES,
  PORTS,
  PROTOCOLS,
} from "./generate-cluster.js";
import type {
  Action,
  Cluster,
  ClusterNetworkPolicy,
  ClusterPolicyPeer,
  ClusterPolicyPort,
  ClusterPolicyProtocol,
  Direction,
  Metadata,
  NamespacedPods,
  NetworkPolicy,
  NetworkPolicyPeer,
  NetworkPolicyPort,
} from "./manifests.js";

export function generateNetworkPolicy(
  random: Random,
  cluster: Cluster,
  index: number,
): NetworkPolicy {
  const rules = (direction: Direction) => {
    const list = random.list(0, 3, () => generateRule(random, cluster, direction));
    return random.chance(0.75) ? { [direction]: list } : {};
  };
  return {
    metadata: {
      name: `${random.pick(["a", "b", "c"])}-${index}`,
      namespace: random.pick(cluster.namespaces).metadata.name,
      ...generateMode(random),
    },
    spec: {
      ...(random.chance(0.9) ? { podSelector: generateSelector(random, POD_LABELS) } : {}),
      ...random.weighted<Pick<NonNullable<NetworkPolicy["spec"]>, "policyTypes">>(
        [3, { policyTypes: ["Ingress"] }],
        [3, { policyTypes: ["Egress"] }],
        [5, { policyTypes: ["Ingress", "Egress"] }],
        [1, { policyTypes: ["Egress", "Ingress"] }],
        [1, { policyTypes: [] }],
        [3, {}],
      ),
      ...rules("ingress"),
      ...rules("egress"),
    },
  };
}

function generateMode(random: Random): Pick<Metadata, "annotations"> {
  return random.weighted<Pick<Metadata, "annotations">>(
    [10, {}],
    [3, { annotations: { "sluice.dev/mode": "audit" } }],
    [1, { annotations: { "sluice.dev/mode": "enforce" } }],
  );
}

/** Lists that are missing, empty or filled. */
function generateRule(random: Random, cluster: Cluster, direction: Direction): object {
  const side = direction === "ingress" ? "from" : "to";
  const peers = random.list(1, 2, () => generatePeer(random, cluster));
  const ports = random.list(1, 2, () => generatePort(random));
  return {
    ...random.weighted<object>([8, { [side]: peers }], [1, { [side]: [] }], [2, {}]),
    ...random.weighted<object>([6, { ports }], [1, { ports: [] }], [4, {}]),
  };
}

function generatePeer(random: Random, cluster: Cluster): NetworkPolicyPeer {
  const podSelector = () => generateSelector(random, POD_LABELS);
  const namespaceSelector = () => generateNamespaceSelector(random);
  return random.weighted<() => NetworkPolicyPeer>(
    [3, () => ({ podSelector: podSelector() })],
    [3, () => ({ namespaceSelector: namespaceSelector() })],
    [3, () => ({ podSelector: podSelector(), namespaceSelector: namespaceSelector() })],
    [
      5,
      () => {
        const block = generateBlock(random, cluster);
        const except = random.chance(0.6) ? generateExcepts(random, cluster, block) : [];
        return { ipBlock: { cidr: block.cidr, ...(except.length > 0 ? { except } : {}) } };
      },
    ],
  )();
}

function generatePort(random: Random): NetworkPolicyPort {
  const protocol = random.weighted<Pick<NetworkPolicyPort, "protocol">>(
    [4, {}],
    [3, { protocol: "TCP" }],
    [2, { protocol: "UDP" }],
    [1, { protocol: "SCTP" }],
  );
  const port = random.pick(PORTS);
  return {
    ...protocol,
    ...random.weighted<Pick<NetworkPolicyPort, "port" | "endPort">>(
      [2, {}],
      [4, { port }],
      [5, { port, endPort: port + random.pick([0, 1, 30, 1000]) }],
      [7, { port: random.pick([...PORT_NAMES, ...PORT_NAMES, "unknown"]) }],
    ),
  };
}

export function generateClusterNetworkPolicy(
  random: Random,
  cluster: Cluster,
  index: number,
): ClusterNetworkPolicy {
  const rules = (direction: Direction) => {
    const side = direction === "ingress" ? "from" : "to";
    const list = random.list(0, 4, (at) =>
      generateClusterRule(random, cluster, direction, side, at),
    );
    return random.chance(0.8) ? { [direction]: list } : {};
  };
  return {
    metadata: { name: `${random.pick(["a", "b", "c"])}-${index}`, ...generateMode(random) },
    spec: {
      tier: random.pick(["Admin", "Baseline"]),
      priority: random.weighted([4, random.between(0, 3)], [1, random.between(0, 1000)]),
      subject: random.chance(0.5)
        ? { namespaces: generateNamespaceSelector(random) }
        : { pods: generateNamespacedPods(random) },
      ...rules("ingress"),
      ...rules("egress"),
    },
  };
}

/** Named ports are not for rules with networks, nodes or domain names; those only for Accept. */
function generateClusterRule(
  random: Random,
  cluster: Cluster,
  direction: Direction,
  side: "from" | "to",
  index: number,
): object {
  const action = random.pick<Action>(["Accept", "Deny", "Pass"]);
  const peers = random.list(1, 2, () => generateClusterPeer(random, cluster, direction, action));
  const mayName = peers.every(
    ({ networks, nodes, domainNames }) => (networks ?? nodes ?? domainNames) === undefined,
  );
  const protocols = random.list(1, 2, () => generateClusterProtocol(random, mayName));
  return {
    ...random.weighted<object>(
      [7, { name: `${random.pick(["in", "out"])}-${index}` }],
      [2, {}],
      [1, { name: "" }],
    ),
    action,
    [side]: peers,
    ...(random.chance(0.5) ? { protocols } : {}),
  };
}

function generateNamespacedPods(random: Random): NamespacedPods {
  return {
    namespaceSelector: generateNamespaceSelector(random),
    podSelector: generateSelector(random, POD_LABELS),
  };
}

function generateClusterPeer(
  random: Random,
  cluster: Cluster,
  direction: Direction,
  action: Action,
): ClusterPolicyPeer {
  const isEgress = direction === "egress";
  return random.weighted<() => ClusterPolicyPeer>(
    [8, () => ({ namespaces: generateNamespaceSelector(random) })],
    [8, () => ({ pods: generateNamespacedPods(random) })],
    [
      isEgress ? 10 : 0,
      () => ({ networks: random.list(1, 3, () => generateBlock(random, cluster).cidr) }),
    ],
    [isEgress ? 4 : 0, () => ({ nodes: generateSelector(random, NODE_LABELS) })],
    [isEgress && action === "Accept" ? 4 : 0, () => ({ domainNames: ["*.example.com"] })],
    // A field of a newer version.
    [1, () => ({ services: {} }) as ClusterPolicyPeer],
  )();
}

function generateClusterProtocol(random: Random, mayName: boolean): ClusterPolicyProtocol {
  if (mayName && random.chance(0.45)) {
    return { destinationNamedPort: random.pick([...PORT_NAMES, ...PORT_NAMES, "unknown"]) };
  }
  const start = random.pick(PORTS);
  const destinationPort: ClusterPolicyPort = random.chance(0.6)
    ? { number: start }
    : { range: { start, end: start + random.pick([1, 30, 1000]) } };
  const protocol = random.pick([...PROTOCOLS, "TCP"] as const);
  return { [protocol.toLowerCase()]: { destinationPort } };
}
