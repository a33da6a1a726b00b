import { isDeepStrictEqual } from "node:util";
import type { PodPolicyState } from "../api/engine.js";
import type { Problem } from "../model/records.js";
import type { NodeStatus } from "./describe-node.js";
import { limitList } from "./limit-list.js";
import { shorten } from "./shorten.js";
import { isToldElsewhere } from "./told-elsewhere.js";

export type PodPoliciesStatus = NonNullable<NodeStatus["podPolicies"]>;
export type PodPolicyEntry = NonNullable<PodPoliciesStatus["entries"]>[number];

/** As `maxItems` in crds/nodedatapaths.yaml. */
const MOST_ENTRIES = 256;

export interface PodPoliciesReport {
  readonly status: PodPoliciesStatus;
  readonly omitted: number;
}

/**
 * What the NodeDatapath says of policies of pods: those that have pods here and those that fail, so that a policy
 * makes only nodes write that it concerns.
 */
export function describePodPolicies(policies: readonly PodPolicyState[]): PodPoliciesReport {
  const all = policies.flatMap((policy) => describe(policy) ?? []);
  const { entries, omitted } = limitList(all, MOST_ENTRIES, rank);
  return {
    status: {
      acting: all.filter(({ state }) => isActing(state)).length,
      failing: all.filter(({ state }) => isFailing(state)).length,
      entries,
    },
    omitted,
  };
}

export function isActing(state: string): boolean {
  return state === "Enforcing" || state === "Auditing";
}

export function isFailing(state: string): boolean {
  return state === "Refused" || state === "Failing";
}

function rank({ state, kind }: PodPolicyEntry): number {
  if (!isActing(state)) return 0;
  return kind === "ClusterNetworkPolicy" ? 1 : 2;
}

function describe(policy: PodPolicyState): PodPolicyEntry | undefined {
  const { kind, namespace, name, generation, generationInForce, pods } = policy;
  const problems = policy.problems.filter(({ code }) => !isToldElsewhere(code));
  const state = stateOf(policy, problems);
  if (state === undefined) return undefined;
  const problem = problems.find(({ severity }) => severity === "error") ?? problems[0];
  return {
    kind,
    name: namespace === undefined ? name : `${namespace}/${name}`,
    generation: generationInForce,
    observedGeneration: generation,
    pods: pods.length,
    state,
    ...(problem !== undefined && {
      code: problem.code.slice(0, 64),
      message: shorten(`${problem.message}. ${problem.remedy}`),
    }),
  };
}

/** Undefined: it is no matter of this node. */
function stateOf(
  { state, mode, pods, generation, generationInForce }: PodPolicyState,
  problems: readonly Problem[],
): PodPolicyEntry["state"] | undefined {
  if (state === "Failing") return "Failing";
  if (problems.some(({ severity }) => severity === "error")) return "Refused";
  if (pods.length === 0) return undefined;
  // A version that is invalid everywhere is refused by its object, and not by each node: what is in force is the newest valid one.
  if (state === "Pending" || generationInForce !== generation) return "Pending";
  return mode === "Audit" ? "Auditing" : "Enforcing";
}

/** Whether nothing differs but pods: how many there are, and that a policy that acts has its first or lost its last. */
export function differInPodsAlone(before: PodPoliciesStatus, now: PodPoliciesStatus): boolean {
  const [then, next] = [byKey(before), byKey(now)];
  return [...new Set([...then.keys(), ...next.keys()])].every((key) => {
    const [old, entry] = [then.get(key), next.get(key)];
    const only = old ?? entry;
    if (only === undefined) return true;
    if (old === undefined || entry === undefined) {
      return isActing(only.state) && only.code === undefined;
    }
    return isDeepStrictEqual({ ...old, pods: 0 }, { ...entry, pods: 0 });
  });
}

function byKey({ entries = [] }: PodPoliciesStatus): ReadonlyMap<string, PodPolicyEntry> {
  return new Map(entries.map((entry) => [`${entry.kind} ${entry.name}`, entry]));
}
