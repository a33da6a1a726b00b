import type { NodeStatus } from "./describe-node.js";
import { isFailing, type PodPolicyEntry } from "./describe-pod-policies.js";
import { type PodPolicyKey, podPolicyKey } from "./pod-policy-facts.js";

/** What folding needs of one policy of pods on one node. */
export interface PodPolicyOnNode {
  /** In force; 0: none. */
  readonly generation: number;
  readonly observedGeneration: number;
  readonly state: PodPolicyEntry["state"];
  /** Of one that fails. */
  readonly message?: string;
}

/**
 * What a node says of policies of pods, as far as somebody writes it down: of ClusterNetworkPolicies all, of
 * NetworkPolicies, which have no status, failures alone. Numbers of pods are left out: views that nodes share take hardly
 * any memory, and a status must not change with every pod.
 */
export function projectPodPolicies(
  status: NodeStatus | undefined,
): readonly (readonly [PodPolicyKey, PodPolicyOnNode])[] {
  const { entries = [] } = status?.podPolicies ?? {};
  return entries.flatMap(({ kind, name, generation, state, message, ...entry }) => {
    if (kind === "NetworkPolicy" && !isFailing(state)) return [];
    const onNode = {
      generation,
      observedGeneration: entry.observedGeneration ?? generation,
      state,
      ...(isFailing(state) && message !== undefined && { message }),
    };
    return [[podPolicyKey(kind, name), onNode] as const];
  });
}
