/** When what was written to the API server is in force on every node. */

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { Pod } from "../policy-oracle/manifests.js";
import type { Cluster } from "../support/cluster/cluster.js";
import { eventually } from "../support/eventually.js";
import type { TruthNode } from "./nodes.js";

/** Kinds whose objects have changed since the fence was passed last. */
export interface Changed {
  readonly pods: boolean;
  readonly namespaces: boolean;
}

export interface Fence {
  /** Resolves when all agents judge by what has been written so far. */
  pass(changed: Changed): Promise<void>;
}

/** An agent reads its counters for every answer, and takes as long to apply a change. */
const PAUSE_MS = 25;
const PATIENCE_MS = 20_000;

export const FENCE_NAMESPACE = "fence";

/** A pod of the fence for each node. */
export function fencePods(nodes: readonly TruthNode[]): readonly Pod[] {
  return nodes.map(({ name }, index) => ({
    metadata: { name, namespace: FENCE_NAMESPACE, labels: { step: "0" } },
    spec: { nodeName: name, containers: [{ name: "main" }] },
    status: {
      phase: "Running",
      podIP: `10.244.${index + 1}.100`,
      podIPs: [{ ip: `10.244.${index + 1}.100` }, { ip: `fd00:244::${index + 1}99` }],
    },
  }));
}

/**
 * An agent learns of changes of one kind in the order in which they were made, but not of those of several kinds. So the
 * last object of each kind that is written is the fence's: labels of its pods and of its namespace, and policies that
 * select them by these labels. Once an agent has rules of those policies in force, it has all that came before them.
 */
export function createFence(cluster: Cluster, nodes: readonly TruthNode[]): Fence {
  let step = 0;
  let podsStep = 0;
  const label = (path: string) =>
    cluster.request({
      method: "PATCH",
      path,
      contentType: "application/merge-patch+json",
      body: { metadata: { labels: { step: `${step}` } } },
    });
  const policies = `/apis/networking.k8s.io/v1/namespaces/${FENCE_NAMESPACE}/networkpolicies`;
  const clusterPolicies = "/apis/policy.networking.k8s.io/v1alpha2/clusternetworkpolicies";
  const present = new Set<string>();
  const replace = async (folder: string, kind: string, spec: object) => {
    for (const path of [...present].filter((one) => one.startsWith(`${folder}/`))) {
      await cluster.request({ method: "DELETE", path });
      present.delete(path);
    }
    const name = `step-${step}`;
    const group = folder.split("/").slice(2, 4).join("/");
    const body = { apiVersion: group, kind, metadata: { name }, spec };
    await cluster.request({ method: "POST", path: folder, body });
    present.add(`${folder}/${name}`);
  };

  return {
    async pass({ pods, namespaces }) {
      step += 1;
      const wanted = [`NetworkPolicy ${FENCE_NAMESPACE}/step-${step}`];
      const writes: Promise<unknown>[] = [];
      if (pods) {
        podsStep = step;
        const folder = `/api/v1/namespaces/${FENCE_NAMESPACE}/pods`;
        writes.push(...nodes.map(({ name }) => label(`${folder}/${name}`)));
      }
      writes.push(
        replace(policies, "NetworkPolicy", {
          podSelector: { matchLabels: { step: `${podsStep}` } },
          ingress: [{}],
        }),
      );
      if (namespaces) {
        wanted.push(`ClusterNetworkPolicy step-${step}`);
        const all = { namespaces: {} };
        writes.push(
          label(`/api/v1/namespaces/${FENCE_NAMESPACE}`),
          replace(clusterPolicies, "ClusterNetworkPolicy", {
            tier: "Admin",
            priority: 1000,
            subject: { namespaces: { matchLabels: { step: `${step}` } } },
            ingress: [{ name: "fence", action: "Pass", from: [all] }],
          }),
        );
      }
      await Promise.all(writes);
      await Promise.all(
        nodes.map(({ name, api }) =>
          eventually(async () => {
            await sleep(PAUSE_MS);
            const rules = await api.call("podRules");
            const inForce = new Set(rules.map(({ policy }) => policy));
            const missing = wanted.filter((policy) => !inForce.has(policy));
            assert.deepEqual(missing, [], `in force on ${name}`);
          }, PATIENCE_MS),
        ),
      );
    },
  };
}
