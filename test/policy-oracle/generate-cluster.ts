/** Namespaces, nodes and pods of a small cluster, so that selectors and addresses often meet. */

import type { Random } from "../fuzz/random.js";
import type {
  Cluster,
  Container,
  ContainerPort,
  LabelSelector,
  Namespace,
  Node,
  Pod,
  Protocol,
  SelectorRequirement,
} from "./manifests.js";

export const NAMESPACES = ["red", "blue", "green"] as const;
export const PORT_NAMES = ["web", "dns", "metrics"] as const;
export const PORTS = [53, 80, 81, 443, 8080] as const;
export const PROTOCOLS = ["TCP", "UDP", "SCTP"] as const;

type LabelValues = Readonly<Record<string, readonly string[]>>;

export const POD_LABELS: LabelValues = { app: ["web", "db", "api"], tier: ["front", "back"] };
export const NAMESPACE_LABELS: LabelValues = { team: ["one", "two"], env: ["prod", "test"] };
export const NODE_LABELS: LabelValues = { zone: ["a", "b"], gpu: ["yes"] };

/** What outside addresses are taken from; the last digits vary. */
export const OUTSIDE = { 4: "198.51.100.", 6: "2001:db8::" } as const;

/** A cluster without policies; `node` has at least one running pod of its own network. */
export interface GeneratedCluster {
  readonly cluster: Cluster;
  readonly node: string;
}

export function generateCluster(random: Random): GeneratedCluster {
  const families = random.weighted<readonly (4 | 6)[]>(
    [4, [4, 6]],
    [1, [6, 4]],
    [2, [4]],
    [2, [6]],
  );
  const nodes = random.list(1, 3, (index) => generateNode(random, families, index));
  const namespaces = NAMESPACES.slice(0, random.between(1, 3)).map(
    (name): Namespace => ({ metadata: { name, ...generateLabels(random, NAMESPACE_LABELS) } }),
  );
  const pods: Pod[] = [];
  for (const index of random.list(2, 9, (i) => i)) {
    pods.push(generatePod(random, { families, nodes, namespaces, pods }, index));
  }
  const node = pods[0]?.spec.nodeName ?? "";
  const empty = { networkPolicies: [], clusterNetworkPolicies: [] };
  return { cluster: { namespaces, nodes, pods, ...empty }, node };
}

interface Surroundings {
  readonly families: readonly (4 | 6)[];
  readonly nodes: readonly Node[];
  readonly namespaces: readonly Namespace[];
  readonly pods: readonly Pod[];
}

function generateNode(random: Random, families: readonly (4 | 6)[], index: number): Node {
  const name = `node-${index}`;
  const internal = families.map((family) => ({
    type: "InternalIP",
    address: family === 4 ? `192.168.0.${index + 1}` : `fd00:1::${index + 1}`,
  }));
  const external = random.chance(0.3)
    ? [
        {
          type: "ExternalIP",
          address: families[0] === 4 ? `203.0.113.${index}` : `2001:db8:f::${index}`,
        },
      ]
    : [];
  return {
    metadata: { name, ...generateLabels(random, NODE_LABELS) },
    status: { addresses: [...internal, { type: "Hostname", address: name }, ...external] },
  };
}

/** `starting`: with its address, but no container runs yet; `leaving` runs until it has ended. */
type PodKind = "running" | "starting" | "leaving" | "host" | "completed" | "pending";

function generatePod(random: Random, surroundings: Surroundings, index: number): Pod {
  const { families, namespaces, pods } = surroundings;
  const node = index === 0 ? 0 : random.between(0, surroundings.nodes.length - 1);
  const kind: PodKind =
    index === 0
      ? "running"
      : random.weighted<PodKind>(
          [14, "running"],
          [1, "starting"],
          [1, "leaving"],
          [2, "host"],
          [2, "completed"],
          [1, "pending"],
        );
  const own = families.map((family) =>
    family === 4 ? `10.244.${node}.${index + 1}` : `fd00:244:${node + 1}::${index + 1}`,
  );
  const hostIps = surroundings.nodes[node]?.status?.addresses
    ?.filter(({ type }) => type === "InternalIP")
    .map(({ address }) => address);
  // The address of a completed pod is free, and often another's by now.
  const running = pods.filter(
    ({ spec, status }) => status?.phase === "Running" && !spec.hostNetwork,
  );
  const reused = random.pick([undefined, ...running])?.status?.podIPs?.map(({ ip }) => ip);
  const ips: readonly string[] = {
    running: own,
    starting: own,
    leaving: own,
    host: hostIps ?? [],
    completed: reused ?? own,
    pending: [],
  }[kind];
  return {
    metadata: {
      name: `pod-${index}`,
      namespace: random.pick(namespaces).metadata.name,
      ...(kind === "leaving" ? { deletionTimestamp: "2026-01-01T00:00:00Z" } : {}),
      ...generateLabels(random, POD_LABELS),
    },
    spec: {
      nodeName: `node-${node}`,
      ...(kind === "host" ? { hostNetwork: true } : {}),
      ...generateContainers(random, kind === "host"),
    },
    status: {
      phase: generatePhase(random, kind),
      ...(ips[0] === undefined ? {} : { podIP: ips[0], podIPs: ips.map((ip) => ({ ip })) }),
    },
  };
}

function generatePhase(random: Random, kind: PodKind): string {
  switch (kind) {
    case "running":
    case "leaving":
    case "host":
      return "Running";
    case "completed":
      return random.pick(["Succeeded", "Failed"]);
    case "starting":
    case "pending":
      return "Pending";
  }
}

/** No name stands for two numbers of one protocol in a pod; on a host no number has two names. */
function generateContainers(
  random: Random,
  isOnHost: boolean,
): Pick<Pod["spec"], "containers" | "initContainers"> {
  const taken = new Set<string>();
  const generatePorts = (): readonly ContainerPort[] =>
    PORT_NAMES.flatMap((name): readonly ContainerPort[] => {
      const protocol = random.weighted<Protocol | undefined>(
        [4, undefined],
        [1, "TCP"],
        [2, "UDP"],
        [1, "SCTP"],
      );
      const containerPort = random.pick(PORTS);
      const keys = [name, ...(isOnHost ? [containerPort] : [])].map(
        (part) => `${part} ${protocol ?? "TCP"}`,
      );
      if (random.chance(0.35) || keys.some((key) => taken.has(key))) {
        return [];
      }
      keys.forEach((key) => taken.add(key));
      return [
        {
          ...(random.chance(0.95) ? { name } : {}),
          containerPort,
          ...(protocol === undefined ? {} : { protocol }),
        },
      ];
    });
  const containers = random.list(1, 2, (index): Container => {
    const ports = generatePorts();
    return { name: `main-${index}`, ...(ports.length > 0 ? { ports } : {}) };
  });
  if (random.chance(0.5)) {
    return { containers };
  }
  const isSidecar = random.chance(0.5);
  const before: Container = {
    name: "before",
    ports: isSidecar ? generatePorts() : [{ name: "web", containerPort: 443 }],
    ...(isSidecar ? { restartPolicy: "Always" } : {}),
  };
  return { containers, initContainers: [before] };
}

function generateLabels(
  random: Random,
  values: LabelValues,
): { readonly labels?: Readonly<Record<string, string>> } {
  const labels = Object.entries(values).flatMap(([key, list]) =>
    random.chance(0.7) ? [[key, random.pick(list)] as const] : [],
  );
  return labels.length > 0 ? { labels: Object.fromEntries(labels) } : {};
}

/** The cluster with other labels on these pods. */
export function relabelPods(
  random: Random,
  cluster: Cluster,
  isChosen: (pod: Pod) => boolean,
): Cluster {
  const pods = cluster.pods.map((pod) => {
    const { labels: _, ...rest } = pod.metadata;
    const metadata = { ...rest, ...generateLabels(random, POD_LABELS) };
    return isChosen(pod) ? { ...pod, metadata } : pod;
  });
  return { ...cluster, pods };
}

/** Half of them select everything or one value, the others use every operator. */
export function generateSelector(random: Random, values: LabelValues): LabelSelector {
  const key = random.pick(Object.keys(values));
  const oneLabel = { matchLabels: { [key]: random.pick(values[key] ?? []) } };
  const expressions = () => random.list(1, 2, () => generateRequirement(random, values));
  return random.weighted<() => LabelSelector>(
    [4, () => ({})],
    [5, () => oneLabel],
    [5, () => ({ matchExpressions: expressions() })],
    [1, () => ({ ...oneLabel, matchExpressions: expressions() })],
  )();
}

function generateRequirement(random: Random, values: LabelValues): SelectorRequirement {
  const key = random.pick([...Object.keys(values), ...Object.keys(values), "absent"]);
  const operator = random.pick(["In", "NotIn", "Exists", "DoesNotExist"] as const);
  if (operator === "Exists" || operator === "DoesNotExist") {
    return { key, operator };
  }
  const known = values[key] ?? ["value"];
  return { key, operator, values: [...new Set(random.list(1, 2, () => random.pick(known)))] };
}

/** Also by name. */
export function generateNamespaceSelector(random: Random): LabelSelector {
  return random.chance(0.3)
    ? { matchLabels: { "kubernetes.io/metadata.name": random.pick(NAMESPACES) } }
    : generateSelector(random, NAMESPACE_LABELS);
}
