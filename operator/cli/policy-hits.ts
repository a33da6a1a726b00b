import type { Counter, PodPolicyState, RuleState } from "../api/engine.js";

/** A policy of pods with what its rules counted. */
export interface CountedPolicy extends PodPolicyState {
  /** By rules that are written in it. */
  readonly matched: Counter;
  /**
   * By its rules that deny, and by isolation in its name, which policies that isolate the same pods share. In audit mode
   * nothing of it was dropped: it is what enforcing the policy would drop.
   */
  readonly dropped: Counter;
  /** Of the rule that has counted for longest, RFC 3339; missing: some count since before the agent, or there is no rule. */
  readonly countedSince?: string;
}

/** As `policy` of a rule has it. */
export function policyTitle({ kind, namespace, name }: PodPolicyState): string {
  return `${kind} ${namespace === undefined ? name : `${namespace}/${name}`}`;
}

/** Policies of one node with the sums of their rules. */
export function countPolicies(
  policies: readonly PodPolicyState[],
  rules: readonly RuleState[],
): readonly CountedPolicy[] {
  const byTitle = new Map<string, RuleState[]>();
  for (const rule of rules) {
    for (const title of titlesOf(rule)) {
      const list = byTitle.get(title);
      if (list === undefined) byTitle.set(title, [rule]);
      else list.push(rule);
    }
  }
  return policies.map((policy) => {
    const own = (byTitle.get(policyTitle(policy)) ?? []).filter(({ mode }) => mode === policy.mode);
    const [first, ...more] = own.map(({ countedSince }) => countedSince);
    const oldest = more.reduce(earlier, first);
    return {
      ...policy,
      matched: sum(own.filter((rule) => !isIsolation(rule))),
      dropped: sum(own.filter(({ action }) => action === "Drop")),
      ...(oldest !== undefined && { countedSince: oldest }),
    };
  });
}

/** Rules of one policy, with the isolation in its name. */
export function rulesOf(policy: PodPolicyState, rules: readonly RuleState[]): readonly RuleState[] {
  const title = policyTitle(policy);
  return rules.filter((rule) => rule.mode === policy.mode && titlesOf(rule).includes(title));
}

function isIsolation({ policy }: RuleState): boolean {
  return policy === "isolation";
}

/** Of isolation, all policies that it names: `ingress: web/allow-dns, web/deny-all`. */
function titlesOf(rule: RuleState): readonly string[] {
  if (!isIsolation(rule)) return [rule.policy];
  const names = rule.rule.slice(rule.rule.indexOf(": ") + 2).split(", ");
  return names.map((name) => `NetworkPolicy ${name}`);
}

/** Undefined when one of them is not known. */
export function earlier(a: string | undefined, b: string | undefined): string | undefined {
  if (a === undefined || b === undefined) return undefined;
  return a < b ? a : b;
}

export function plus(a: Counter, b: Counter): Counter {
  return { packets: a.packets + b.packets, bytes: a.bytes + b.bytes };
}

function sum(rules: readonly RuleState[]): Counter {
  return rules.reduce((total, { matched }) => plus(total, matched), { packets: 0, bytes: 0 });
}
