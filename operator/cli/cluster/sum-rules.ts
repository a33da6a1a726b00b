import type { Counter, RuleState } from "../../api/engine.js";
import type { NodeAnswer } from "../agents.js";

/** A rule with its packets of all nodes that have it in this form. */
export interface SummedRule extends RuleState {
  readonly nodes: number;
}

/** Policies of the agents themselves, judged before all others. */
const builtIn = ["fail-safe", "node-local"];
const defaultRule = "default";

/**
 * Sums by policy and rule, in the order of judgement. Nodes that do not have the newest form of a rule yet are a row of
 * their own when its action or mode differs; other differences are shown as the first node has them.
 */
export function sumRules(
  answers: readonly NodeAnswer<readonly RuleState[]>[],
): readonly SummedRule[] {
  const sums = new Map<string, SummedRule>();
  for (const rule of answers.flatMap(({ value }) => value)) {
    const key = JSON.stringify([rule.policy, rule.rule, rule.action, rule.mode]);
    const sum = sums.get(key);
    sums.set(key, sum === undefined ? { ...rule, nodes: 1 } : add(sum, rule));
  }
  // Sorting is stable, so the rules of a policy stay in the order of the first node that has them.
  return [...sums.values()].toSorted(
    (a, b) =>
      rank(a) - rank(b) ||
      (a.priority ?? 0) - (b.priority ?? 0) ||
      compare(a.policy, b.policy) ||
      Number(a.rule === defaultRule) - Number(b.rule === defaultRule),
  );
}

function add(sum: SummedRule, rule: RuleState): SummedRule {
  return {
    ...sum,
    interfaces: [...new Set([...sum.interfaces, ...rule.interfaces])],
    matched: plus(sum.matched, rule.matched),
    exceeded: plus(sum.exceeded, rule.exceeded),
    nodes: sum.nodes + 1,
  };
}

function plus(a: Counter, b: Counter): Counter {
  return { packets: a.packets + b.packets, bytes: a.bytes + b.bytes };
}

function rank({ policy }: RuleState): number {
  const at = builtIn.indexOf(policy);
  return at < 0 ? builtIn.length : at;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
