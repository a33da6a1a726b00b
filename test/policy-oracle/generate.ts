/** One case: a cluster with policies, the node that judges, and packets, all from one seed. */

import { createRandom, type Random } from "../fuzz/random.js";
import { createAim } from "./aim.js";
import { generateCluster } from "./generate-cluster.js";
import { generateClusterNetworkPolicy, generateNetworkPolicy } from "./generate-policies.js";
import type { Cluster } from "./manifests.js";
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
