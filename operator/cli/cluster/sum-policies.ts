import type { NodeAnswer } from "../agents.js";
import { type CountedPolicy, earlier, plus, policyTitle } from "../policy-hits.js";

/** A policy of pods over the nodes that were asked. */
export interface SummedPolicy extends Omit<CountedPolicy, "problems"> {
  /** Where the newest version acts, and where it should: nodes with pods of it, and those where it is not in force. */
  readonly nodes: { readonly acting: number; readonly concerned: number };
  readonly problems: readonly NodeProblem[];
}

type NodeProblem = CountedPolicy["problems"][number] & { readonly node: string };

/** From what needs attention most to what needs none. */
const states = ["Refused", "Failing", "Pending", "Enforcing", "Auditing", "Idle"] as const;

/** Sums by kind and name; what else nodes differ in is shown as the node with the newest version has it. */
export function sumPolicies(
  answers: readonly NodeAnswer<readonly CountedPolicy[]>[],
): readonly SummedPolicy[] {
  const sums = new Map<string, SummedPolicy>();
  for (const { node, value } of answers) {
    for (const policy of value) {
      const key = policyTitle(policy);
      sums.set(key, add(sums.get(key), policy, node));
    }
  }
  return [...sums].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, sum]) => sum);
}

function add(sum: SummedPolicy | undefined, policy: CountedPolicy, node: string): SummedPolicy {
  const { countedSince: _, ...rest } = policy;
  const problems = policy.problems.map((problem) => ({ node, ...problem }));
  const isActing = policy.state === "Enforcing" || policy.state === "Auditing";
  const nodes = { acting: Number(isActing), concerned: Number(policy.state !== "Idle") };
  if (sum === undefined) {
    return { ...withSince(rest, policy.countedSince), nodes, problems };
  }
  // Missing where nothing counts is no statement about the other nodes' counts.
  const since =
    sum.pods.length === 0
      ? policy.countedSince
      : policy.pods.length === 0
        ? sum.countedSince
        : earlier(sum.countedSince, policy.countedSince);
  const { countedSince: __, ...before } = sum;
  const newest = policy.generation > sum.generation ? rest : before;
  return {
    ...withSince({ ...before, ...newest }, since),
    generationInForce: Math.min(sum.generationInForce, policy.generationInForce),
    state: states.find((state) => state === sum.state || state === policy.state) ?? sum.state,
    pods: [...sum.pods, ...policy.pods],
    places: sum.places + policy.places,
    matched: plus(sum.matched, policy.matched),
    dropped: plus(sum.dropped, policy.dropped),
    nodes: {
      acting: sum.nodes.acting + nodes.acting,
      concerned: sum.nodes.concerned + nodes.concerned,
    },
    problems: [...sum.problems, ...problems],
  };
}

function withSince<T extends object>(value: T, countedSince: string | undefined) {
  return { ...value, ...(countedSince !== undefined && { countedSince }) };
}
