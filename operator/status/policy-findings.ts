import type { Finding } from "./condition.js";
import type { PolicyOnNode } from "./node-view.js";
import { count } from "./ready.js";

/** The nodes that a policy selects, by what they do with its newest generation. */
export interface Tally {
  readonly desired: number;
  readonly enforcing: number;
  /** Of those enforcing: until confirmWithin ends. */
  readonly unconfirmed: number;
  /** No interface there matches. */
  readonly idle: number;
  /** An older generation acts. */
  readonly older: number;
  /** Have not reported at all. */
  readonly silent: number;
  /** In order of their names. */
  readonly failing: readonly (readonly [node: string, entry: PolicyOnNode])[];
}

/** Whether every selected node does what the newest generation asks for. */
export function enforcedFinding(tally: Tally, accepted: Finding): Finding {
  const { desired, enforcing, unconfirmed, failing, idle } = tally;
  const of = `${enforcing} of ${count(desired, "node")}`;
  const no = (reason: string, message: string): Finding => ({
    type: "Enforced",
    status: "False",
    reason,
    message,
  });
  if (accepted.status === "False") {
    return no("Invalid", `the newest generation is refused (see Accepted)${olderStays(tally)}`);
  }
  if (desired === 0) return no("NoNodes", "spec.nodeSelector selects no node");
  if (enforcing === desired) {
    const isTrial = unconfirmed > 0;
    return {
      type: "Enforced",
      status: "True",
      reason: isTrial ? "Unconfirmed" : "OnAllNodes",
      message: isTrial
        ? `in force on ${of}, on ${unconfirmed} until confirmWithin ends; confirm it with sluicectl confirm`
        : `in force on ${of}`,
    };
  }
  const rest = describeRest(tally);
  if (failing.length > 0) return no("NodesFailing", `in force on ${of}; ${rest}`);
  if (enforcing + idle === desired) return no("NoInterface", `in force on ${of}; ${rest}`);
  return no("Progressing", `in force on ${of}; ${rest}`);
}

/** Whether something is wrong that waiting does not mend. */
export function policyDegradedFinding({ failing, desired }: Tally, accepted: Finding): Finding {
  const type = "Degraded";
  const [first] = failing;
  if (first !== undefined) {
    const [node, { code, message }] = first;
    const why = message ?? code ?? "no reason given";
    return {
      type,
      status: "True",
      reason: failing.every(([, { state }]) => state === "RolledBack")
        ? "RolledBack"
        : "NodesFailing",
      message: `${failing.length} of ${count(desired, "node")}; ${node}: ${why}`,
    };
  }
  if (accepted.status === "False") {
    return {
      type,
      status: "True",
      reason: "Invalid",
      message: "the newest generation is refused (see Accepted); what was in force before stays",
    };
  }
  return { type, status: "False", reason: "AsExpected", message: "no node reports a failure" };
}

function olderStays({ older }: Tally): string {
  return older === 0 ? "" : `; an older one stays in force on ${count(older, "node")}`;
}

function describeRest({ desired, enforcing, failing, idle, older, silent }: Tally): string {
  const waiting = desired - enforcing - failing.length - idle - older - silent;
  const parts = [
    [failing.length, "failing"],
    [idle, "without an interface that matches (compare spec.interfaces with ip link there)"],
    [older, "with an older generation"],
    [waiting, "about to"],
    [silent, "without a report (is the agent running there?)"],
  ] as const;
  return parts
    .filter(([number]) => number > 0)
    .map(([number, text]) => `${number} ${text}`)
    .join(", ");
}
