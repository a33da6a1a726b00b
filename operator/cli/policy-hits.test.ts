import assert from "node:assert/strict";
import { test } from "node:test";
import { podPolicies } from "../../test/agent/fixture-pods.js";
import type { PodPolicyState, RuleState } from "../api/engine.js";
import { countPolicies, rulesOf } from "./policy-hits.js";

const policy: PodPolicyState = podPolicies.find(({ name }) => name === "allow-client")!;

const rule = (name: string, rule: string, packets: number, more: Partial<RuleState> = {}) => ({
  policy: name,
  rule,
  action: "Accept" as const,
  mode: "Enforce" as const,
  interfaces: ["web/server-1"],
  match: "any packet",
  matched: { packets, bytes: packets },
  exceeded: { packets: 0, bytes: 0 },
  countedSince: "2026-01-02T00:00:00.000Z",
  ...more,
});
const isolation = (text: string, packets: number, more: Partial<RuleState> = {}) =>
  rule("isolation", text, packets, { action: "Drop", ...more });

const rules: readonly RuleState[] = [
  rule("NetworkPolicy web/allow-client", "ingress[0]", 5, {
    countedSince: "2026-01-01T00:00:00.000Z",
  }),
  rule("NetworkPolicy web/allow-client-2", "ingress[0]", 100),
  isolation("ingress: web/allow-client", 1),
  isolation("egress: web/a, web/allow-client, web/z", 2),
  isolation("ingress: web/allow-client-2", 400),
  isolation("ingress: web/allow-client", 800, { mode: "Audit" }),
];

test("a policy counts its rules and every isolation in its name, of its own mode", () => {
  const [counted] = countPolicies([policy], rules);
  assert.deepEqual(counted?.matched, { packets: 5, bytes: 5 });
  assert.deepEqual(counted.dropped, { packets: 3, bytes: 3 });
  assert.equal(counted.countedSince, "2026-01-01T00:00:00.000Z");
  assert.equal(rulesOf(policy, rules).length, 3);
  const [audited] = countPolicies([{ ...policy, mode: "Audit" }], rules);
  assert.deepEqual(audited?.dropped, { packets: 800, bytes: 800 });
});

test("since when is not known when a rule counts since before the agent, or there is none", () => {
  const { countedSince: _, ...older } = rules[0]!;
  assert.equal(countPolicies([policy], [...rules, older])[0]?.countedSince, undefined);
  assert.equal(countPolicies([policy], [])[0]?.countedSince, undefined);
});
