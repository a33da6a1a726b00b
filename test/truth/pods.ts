/** Pods of the specs, as a kubelet runs them. */

import assert from "node:assert/strict";
import { runShim } from "../cni/node.js";
import { keyOf, type Pod } from "../policy-oracle/manifests.js";
import type { Cluster } from "../support/cluster/cluster.js";
import type { Lab, Namespace } from "../support/netns.js";
import type { TruthNode } from "./nodes.js";
import type { Prober } from "./prober.js";

export interface PodRunner {
  /** Makes the object, attaches the pod with the addresses that it has in `status`, and has it serve its ports. */
  start(pod: Pod): Promise<void>;
  stop(pod: Pod): Promise<void>;
}

interface Running {
  readonly node: TruthNode;
  readonly netns: Namespace;
  readonly uid: string;
  readonly containerId: string;
}

export function createPodRunner(
  lab: Lab,
  cluster: Cluster,
  nodes: readonly TruthNode[],
  prober: Prober,
): PodRunner {
  const running = new Map<string, Running>();
  let count = 0;
  const podsOf = ({ metadata }: Pod) => `/api/v1/namespaces/${metadata.namespace}/pods`;

  const shim = async (verb: "ADD" | "DEL", pod: Pod, one: Running) => {
    const { name, namespace } = pod.metadata;
    const ips = addressesOf(pod);
    const answer = await runShim(one.node, {
      command: verb,
      containerId: one.containerId,
      netns: one.netns.name,
      args: `IgnoreUnknown=1;K8S_POD_NAMESPACE=${namespace};K8S_POD_NAME=${name};K8S_POD_UID=${one.uid}`,
      config: { runtimeConfig: { ips } },
    });
    assert.equal(answer.exitCode, 0, `${verb} ${keyOf(pod)}: ${JSON.stringify(answer.result)}`);
  };

  return {
    async start(pod) {
      const { metadata, spec, status } = pod;
      const node = nodes.find(({ name }) => name === spec.nodeName);
      assert.ok(node, `${keyOf(pod)} is on a node of the lab`);
      const containers = spec.containers.map((container) => ({ ...container, image: "none" }));
      const made = await cluster.request<{ readonly metadata: { readonly uid: string } }>({
        method: "POST",
        path: podsOf(pod),
        body: { metadata, spec: { ...spec, containers, automountServiceAccountToken: false } },
      });
      const netns = lab.namespace(`${metadata.namespace}-${metadata.name}`);
      const one = { node, netns, uid: made.metadata.uid, containerId: `container-${++count}` };
      running.set(keyOf(pod), one);
      await shim("ADD", pod, one);
      await cluster.request({
        method: "PATCH",
        path: `${podsOf(pod)}/${metadata.name}/status`,
        contentType: "application/merge-patch+json",
        body: { status },
      });
      const [ipv4 = "", ipv6 = ""] = addressesOf(pod);
      await prober.add(keyOf(pod), netns.path, ipv4, ipv6);
    },
    async stop(pod) {
      const one = running.get(keyOf(pod));
      assert.ok(one, `${keyOf(pod)} runs`);
      await prober.remove(keyOf(pod));
      await shim("DEL", pod, one);
      running.delete(keyOf(pod));
      await cluster.request({
        method: "DELETE",
        path: `${podsOf(pod)}/${pod.metadata.name}?gracePeriodSeconds=0`,
      });
    },
  };
}

function addressesOf({ status }: Pod): readonly string[] {
  return (status?.podIPs ?? []).map(({ ip }) => ip);
}
