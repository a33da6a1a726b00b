/** One case: a cluster with policies, the node that judges, and packets, all from one seed. */

import { createRandom, type Random } from "../fuzz/random.js";
import { createAim } from "./aim.js";
import { generateCluster, relabelPods } from "./generate-cluster.js";
import { generateClusterNetworkPolicy, generateNetworkPolicy } from "./generate-policies.js";
import { type Cluster, keyOf, type Pod } from "./manifests.js";
import type { Packet } from "./packet.js";

export interface PolicyCase {
  readonly cluster: Cluster;
  /** Judges for its own pods only. */
  readonly node: string;
  readonly packets: readonly Packet[];
}

/**
 * The `index`th case of a run. The cluster does not depend on `packetCount`, and a longer sequence
 * of packets begins with a shorter one's.
 */
export function generateCase(seed: number, index: number, packetCount: number): PolicyCase {
  const random = createRandom(seed, index, 0);
  const { cluster: bare, node } = generateCluster(random);
  const cluster = withPolicies(random, bare);
  const aim = createAim(createRandom(seed, index, 1), cluster, node);
  return { cluster, node, packets: Array.from({ length: packetCount }, aim) };
}

function withPolicies(random: Random, cluster: Cluster): Cluster {
  const [policies, clusterPolicies] = random.weighted<readonly [number, number]>(
    [4, [3, 4]],
    [4, [5, 8]],
    [2, [0, 6]],
    [1, [5, 0]],
  );
  return {
    ...cluster,
    networkPolicies: random.list(Math.min(1, policies), policies, (index) =>
      generateNetworkPolicy(random, cluster, index),
    ),
    clusterNetworkPolicies: random.list(Math.min(2, clusterPolicies), clusterPolicies, (index) =>
      generateClusterNetworkPolicy(random, cluster, index),
    ),
  };
}

/** The cluster a while later: policies have gone and come, or labels are others, or both. Addresses stay. */
export function generateLater(seed: number, index: number, before: PolicyCase): Cluster {
  const { cluster, node } = before;
  const random = createRandom(seed, index, 2);
  const isOther = ({ spec }: Pod) => spec.nodeName !== node;
  const relabelled = random.weighted<() => Cluster>(
    [1, () => cluster],
    [1, () => relabelPods(random, cluster, () => random.chance(0.3))],
    /* Of other nodes alone: then no rule changes, only what is in the sets. */
    [2, () => relabelPods(random, cluster, isOther)],
  )();
  if (relabelled !== cluster && random.chance(0.7)) return relabelled;
  const bare = { ...relabelled, networkPolicies: [], clusterNetworkPolicies: [] };
  const come = withPolicies(random, bare);
  const change = <T extends Cluster["networkPolicies" | "clusterNetworkPolicies"][number]>(
    before: readonly T[],
    added: readonly T[],
  ): readonly T[] => {
    const kept = before.filter(() => random.chance(0.7));
    const keys = new Set(kept.map(keyOf));
    return [...kept, ...added.filter((one) => random.chance(0.5) && !keys.has(keyOf(one)))];
  };
  return {
    ...relabelled,
    networkPolicies: change(cluster.networkPolicies, come.networkPolicies),
    clusterNetworkPolicies: change(cluster.clusterNetworkPolicies, come.clusterNetworkPolicies),
  };
}
