/** Nodes, agents and pods on which the truth tables are tried with real traffic. */

import assert from "node:assert/strict";
import type { Family } from "../policy-oracle/address.js";
import type { Spec } from "../policy-oracle/spec.js";
import { openSpec, takeStep } from "../policy-oracle/spec-cluster.js";
import { clusterNetworkPolicies } from "../kubernetes/cluster-network-policies.js";
import { createNamespace } from "../kubernetes/pods.js";
import { withCluster } from "../support/cluster/cluster.js";
import { installChart } from "../support/cluster/install.js";
import { withNamespaces } from "../support/netns.js";
import { createFence, FENCE_NAMESPACE, fencePods } from "./fence.js";
import { createNodes, type RoutingMode } from "./nodes.js";
import { changeObjects, NOTHING } from "./objects.js";
import { createPodRunner } from "./pods.js";
import { startProber } from "./prober.js";
import { describeDifferences, expectCells } from "./table.js";

export interface TruthLab {
  /** Takes all steps of a spec, and tries all pairs after each; throws with the matrices that are wrong. */
  check(spec: Spec): Promise<void>;
}

/** Three namespaces with a pod on each of three nodes. They stay from spec to spec. */
const PODS = ["xa", "xb", "xc", "ya", "yb", "yc", "za", "zb", "zc"];

export async function withTruthLab(
  mode: RoutingMode,
  body: (lab: TruthLab) => Promise<void>,
): Promise<void> {
  await withCluster(async (cluster) => {
    const installed = await installChart(cluster, "podNetwork.enabled=true");
    await cluster.apply(clusterNetworkPolicies);
    await cluster.untilServed("/apis/policy.networking.k8s.io/v1alpha2/clusternetworkpolicies");
    await createNamespace(cluster, FENCE_NAMESPACE);
    await withNamespaces(async (lab) => {
      const nodes = await createNodes(lab, cluster, installed, mode);
      const prober = startProber(lab);
      const runner = createPodRunner(lab, cluster, nodes, prober);
      const fence = createFence(cluster, nodes);
      await Promise.all(fencePods(nodes).map((pod) => runner.start(pod)));
      let current = NOTHING;

      const checkFamilies = async (spec: Spec, families: readonly [Family, ...Family[]]) => {
        const tablePods = new Set([
          ...spec.pods,
          ...spec.steps.flatMap(({ createPods = [] }) => createPods),
        ]);
        let state = openSpec({ ...spec, pods: PODS });
        for (const [index, step] of spec.steps.entries()) {
          state = takeStep(state, step, families[0]);
          const changed = await changeObjects(cluster, runner, current, state.cluster);
          current = state.cluster;
          await fence.pass(changed);
          const cells = expectCells(state, step.expect, tablePods, families);
          const differences = describeDifferences(cells, await prober.round(cells));
          assert.equal(
            differences,
            "",
            `${spec.id}: ${spec.name}, step ${index + 1}\n${differences}`,
          );
        }
      };
      await body({
        async check(spec) {
          /* A block is of one family, so such a spec has policies for each. */
          if (JSON.stringify(spec).includes('"ipBlock"')) {
            await checkFamilies(spec, [4]);
            await checkFamilies(spec, [6]);
          } else {
            await checkFamilies(spec, [4, 6]);
          }
        },
      });
    });
  });
}
