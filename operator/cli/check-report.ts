import { describeRule } from "../compile/describe-rule.js";
import { DEFAULT_RULE, orderPolicies } from "../compile/rule-list.js";
import { selectorMatches } from "../compile/selectors.js";
import type { Problem, XdpCidrSetRecord, XdpPolicyRecord } from "../model/records.js";
import { crossProblems } from "./cross-problems.js";
import { readManifests } from "./read-manifests.js";

export interface CheckedRule {
  /** Place in the order of judgement, from 1. */
  readonly place: number;
  readonly policy: string;
  readonly rule: string;
  readonly action: string;
  readonly mode: string;
  readonly interfaces: readonly string[];
  readonly match: string;
}

export interface CheckReport {
  readonly files: number;
  readonly policies: number;
  readonly sets: Readonly<Record<string, number>>;
  readonly errors: number;
  readonly warnings: number;
  readonly problems: readonly Problem[];
  readonly rules: readonly CheckedRule[];
}

/**
 * Validates the manifests of a folder or file, as an agent would.
 *
 * @param labels only policies for a node with these labels are put in order; undefined: all
 * @throws SluiceError SLUICE_FILE when the path itself cannot be read
 */
export async function checkManifests(
  path: string,
  labels: Readonly<Record<string, string>> | undefined,
): Promise<CheckReport> {
  const { files, records, problems } = await readManifests([path]);
  const policies = records.filter((record) => record.kind === "XdpPolicy");
  const sets = records.filter((record) => record.kind === "XdpCidrSet");
  const nodes = records.filter((record) => record.kind === "Node");
  const all = [...problems, ...crossProblems({ policies, sets, nodes })];
  const count = (wanted: Problem["severity"]) =>
    all.filter(({ severity }) => severity === wanted).length;
  const judging = orderPolicies(policies).filter(
    ({ nodeSelector }) => labels === undefined || selectorMatches(nodeSelector, labels),
  );
  return {
    files: files.length,
    policies: policies.length,
    sets: setSizes(sets),
    errors: count("error"),
    warnings: count("warning"),
    problems: all,
    rules: judging.flatMap(rulesOf).map((rule, index) => ({ place: index + 1, ...rule })),
  };
}

function setSizes(sets: readonly XdpCidrSetRecord[]): Readonly<Record<string, number>> {
  const sizes = new Map<string, number>();
  for (const { setName, entries } of sets) {
    const size = entries.v4.address.length + entries.v6.high.length;
    sizes.set(setName, (sizes.get(setName) ?? 0) + size);
  }
  return Object.fromEntries([...sizes].toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function rulesOf(policy: XdpPolicyRecord): readonly Omit<CheckedRule, "place">[] {
  const common = {
    policy: policy.name,
    mode: policy.mode,
    interfaces: policy.interfaces.length === 0 ? ["(uplinks)"] : policy.interfaces,
  };
  const nowMs = Date.now();
  const rules = policy.rules
    .filter(({ expiresAtMs }) => expiresAtMs === undefined || expiresAtMs > nowMs)
    .map((rule) => ({
      ...common,
      rule: rule.name,
      action: rule.action.kind,
      match: describeRule(rule),
    }));
  const fallback = {
    ...common,
    rule: DEFAULT_RULE,
    action: policy.defaultAction,
    match: "any packet",
  };
  return [...rules, fallback];
}
