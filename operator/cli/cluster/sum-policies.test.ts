import assert from "node:assert/strict";
import { test } from "node:test";
import type { CountedPolicy } from "../policy-hits.js";
import { sumPolicies } from "./sum-policies.js";

const policy = (more: Partial<CountedPolicy> = {}): CountedPolicy => ({
  kind: "NetworkPolicy",
  namespace: "web",
  name: "a",
  generation: 2,
  generationInForce: 2,
  mode: "Enforce",
  state: "Enforcing",
  pods: ["web/x"],
  rules: 3,
  places: 3,
  problems: [],
  matched: { packets: 5, bytes: 50 },
  dropped: { packets: 1, bytes: 10 },
  countedSince: "2026-01-02T00:00:00.000Z",
  ...more,
});
const none = { packets: 0, bytes: 0 };
const idle = (more: Partial<CountedPolicy> = {}): CountedPolicy => {
  const { countedSince: _, ...rest } = policy();
  return { ...rest, state: "Idle", pods: [], places: 0, matched: none, dropped: none, ...more };
};
const problem = {
  severity: "error",
  code: "SLUICE_CAPACITY",
  origin: { source: "api" },
  message: "does not fit",
  remedy: "Use fewer rules",
} as const;

test("nodes, pods and packets are summed; nodes without pods of it do not count", () => {
  const [sum, ...others] = sumPolicies([
    { node: "a", value: [idle()] },
    { node: "b", value: [policy()] },
    {
      node: "c",
      value: [policy({ pods: ["web/y", "web/z"], countedSince: "2026-01-01T00:00:00.000Z" })],
    },
  ]);
  assert.deepEqual(others, []);
  assert.deepEqual(sum?.nodes, { acting: 2, concerned: 2 });
  assert.deepEqual([sum.state, sum.pods.length, sum.rules, sum.places], ["Enforcing", 3, 3, 6]);
  assert.deepEqual(sum.matched, { packets: 10, bytes: 100 });
  assert.deepEqual(sum.dropped, { packets: 2, bytes: 20 });
  assert.equal(sum.countedSince, "2026-01-01T00:00:00.000Z");
});

test("a node that refuses it makes it refused, with the node's name at the problem", () => {
  const [sum] = sumPolicies([
    { node: "a", value: [policy()] },
    {
      node: "b",
      value: [policy({ state: "Refused", generationInForce: 1, problems: [problem] })],
    },
  ]);
  assert.deepEqual([sum?.state, sum?.generationInForce], ["Refused", 1]);
  assert.deepEqual(sum?.nodes, { acting: 1, concerned: 2 });
  assert.deepEqual(sum.problems, [{ node: "b", ...problem }]);
});

test("what a node counted since before its agent leaves no common moment", () => {
  const { countedSince: _, ...older } = policy();
  const [sum] = sumPolicies([
    { node: "a", value: [policy()] },
    { node: "b", value: [older] },
  ]);
  assert.equal(sum?.countedSince, undefined);
});

test("policies are in the order of their names, the newest version as its node has it", () => {
  const sums = sumPolicies([
    { node: "a", value: [policy({ name: "b" }), policy({ generation: 1, rules: 1 })] },
    { node: "b", value: [policy({ rules: 4 })] },
  ]);
  assert.deepEqual(
    sums.map(({ name, generation, rules }) => [name, generation, rules]),
    [
      ["a", 2, 4],
      ["b", 2, 3],
    ],
  );
});
