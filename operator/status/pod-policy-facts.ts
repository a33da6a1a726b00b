import type { KubeObject } from "../kube/object.js";
import type { Problem } from "../model/records.js";
import type { Condition } from "./condition.js";

/** What Sluice says of a ClusterNetworkPolicy, beside the conditions of others. */
export const POD_POLICY_CONDITION = "sluice.dev/Enforced";

export type PodPolicyKind = "NetworkPolicy" | "ClusterNetworkPolicy";

/** `NetworkPolicy web/allow`, `ClusterNetworkPolicy baseline`: as NodeDatapaths and reports name it. */
export type PodPolicyKey = `${PodPolicyKind} ${string}`;

/** What is reported of a policy of pods is made of this, besides what nodes say. */
export interface PodPolicyFacts {
  readonly kind: PodPolicyKind;
  /** Of a NetworkPolicy. */
  readonly namespace: string | undefined;
  readonly name: string;
  readonly uid: string;
  readonly generation: number;
  readonly isAudit: boolean;
  /** What admission found in this generation. */
  readonly problems: readonly Problem[];
  /** {@link POD_POLICY_CONDITION}, as it stands in the API server. */
  readonly condition: Condition | undefined;
}

export function isPodPolicyKind(kind: string): kind is PodPolicyKind {
  return kind === "NetworkPolicy" || kind === "ClusterNetworkPolicy";
}

/** @param path name, of a NetworkPolicy `NAMESPACE/NAME` */
export function podPolicyKey(kind: PodPolicyKind, path: string): PodPolicyKey {
  return `${kind} ${path}`;
}

/** Reads an object as the API server gave it, also one that was refused. */
export function readPodPolicyFacts(
  kind: PodPolicyKind,
  { metadata, status }: KubeObject,
  problems: readonly Problem[],
): PodPolicyFacts {
  const { namespace, name, uid = "", generation = 0, annotations } = metadata;
  return {
    kind,
    ...{ namespace, name, uid, generation },
    isAudit: annotations?.["sluice.dev/mode"] === "audit",
    problems,
    condition: kind === "ClusterNetworkPolicy" ? ownCondition(status) : undefined,
  };
}

/** Ours among those of a status that anybody may have written. */
export function ownCondition(status: unknown): Condition | undefined {
  const { conditions } = (status ?? {}) as { conditions?: readonly Condition[] };
  if (!Array.isArray(conditions)) return undefined;
  return (conditions as readonly Condition[]).find((one) => one?.type === POD_POLICY_CONDITION);
}
