import type { Finding } from "./condition.js";
import { isActing, isFailing } from "./describe-pod-policies.js";
import { listProblems } from "./fold.js";
import type { PodPolicyOnNode } from "./pod-policy-view.js";
import { POD_POLICY_CONDITION, type PodPolicyFacts } from "./pod-policy-facts.js";
import { count } from "./ready.js";

/** What nodes say of one policy of pods; nodes without pods of it say nothing. */
export interface PodPolicyTally {
  /** Nodes where the newest generation acts. */
  readonly acting: number;
  /** Nodes that have pods of it, or where it fails. */
  readonly concerned: number;
  /** Nodes whose failure was with an older generation. */
  readonly outdated: number;
  /** In the order of the nodes' names. */
  readonly failing: readonly (readonly [node: string, entry: PodPolicyOnNode])[];
}

/** @param says of each node, in the order of their names */
export function tallyPodPolicy(
  { generation }: PodPolicyFacts,
  says: Iterable<readonly [node: string, entry: PodPolicyOnNode]>,
): PodPolicyTally {
  let acting = 0;
  let concerned = 0;
  let outdated = 0;
  const failing: (readonly [string, PodPolicyOnNode])[] = [];
  for (const [node, entry] of says) {
    concerned += 1;
    if (isFailing(entry.state)) {
      if (entry.observedGeneration < generation) outdated += 1;
      else failing.push([node, entry]);
    } else if (isActing(entry.state) && entry.generation >= generation) {
      acting += 1;
    }
  }
  return { acting, concerned, outdated, failing };
}

/** {@link POD_POLICY_CONDITION} of a ClusterNetworkPolicy. */
export function podPolicyFinding(facts: PodPolicyFacts, tally: PodPolicyTally): Finding {
  const type = POD_POLICY_CONDITION;
  const { generation, problems, isAudit } = facts;
  const { acting, concerned } = tally;
  const found = (status: Finding["status"], reason: string, message: string): Finding => {
    const warnings = problems.filter(({ severity }) => severity === "warning");
    const more =
      warnings.length === 0
        ? ""
        : `; ${count(warnings.length, "warning")}: ${listProblems(warnings)}`;
    return { type, status, reason, message: message + more, observedGeneration: generation };
  };
  const errors = problems.filter(({ severity }) => severity === "error");
  if (errors.length > 0) {
    const message = `refused, what was in force before stays: ${listProblems(errors)}`;
    return { type, status: "False", reason: "Invalid", message, observedGeneration: generation };
  }
  const nodes = `${acting}/${concerned} nodes that have pods of it`;
  if (tally.failing.length > 0) {
    return found("False", "NodesFailing", `in force on ${nodes}; ${failureText(tally)}`);
  }
  if (concerned === 0) return found("Unknown", "NoPods", "no node reports pods that it selects");
  if (acting < concerned) return found("False", "Progressing", `in force on ${nodes}`);
  return isAudit
    ? found("False", "Audit", `counted on ${nodes}, and not enforced`)
    : found("True", "OnAllNodes", `in force on ${nodes}`);
}

/** What of a policy is worth an Event: one for each change of `reason` or generation. */
export interface PodPolicyOccurrence {
  readonly type: "Normal" | "Warning";
  readonly reason: "NotEnforced" | "Degraded" | "PolicyWarning" | "Enforced";
  readonly message: string;
}

/**
 * What is wrong with a policy now; undefined: nothing.
 *
 * - `NotEnforced`: it is invalid, or on some node nothing of it is in force
 * - `Degraded`: nodes that refuse the newest generation have an older one in force
 * - `PolicyWarning`: it is in force, but something in it is probably not meant
 */
export function podPolicyTrouble(
  { problems }: PodPolicyFacts,
  tally: PodPolicyTally,
): PodPolicyOccurrence | undefined {
  const errors = problems.filter(({ severity }) => severity === "error");
  if (errors.length > 0) {
    const message = `refused, what was in force before stays: ${listProblems(errors)}`;
    return { type: "Warning", reason: "NotEnforced", message };
  }
  if (tally.failing.length > 0) {
    const isBare = tally.failing.some(([, { generation }]) => generation === 0);
    const reason = isBare ? "NotEnforced" : "Degraded";
    return { type: "Warning", reason, message: failureText(tally) };
  }
  if (problems.length === 0) return undefined;
  return { type: "Warning", reason: "PolicyWarning", message: listProblems(problems) };
}

function failureText({ failing }: PodPolicyTally): string {
  const [first] = failing;
  if (first === undefined) return "";
  const [node, { message = "it is not in force" }] = first;
  return `${count(failing.length, "node")} cannot act by this generation; ${node}: ${message}`;
}
