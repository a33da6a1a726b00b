import assert from "node:assert/strict";
import { test } from "node:test";
import type { RuleState } from "../../api/engine.js";
import { sumRules } from "./sum-rules.js";

const rule = (policy: string, name: string, more: Partial<RuleState> = {}): RuleState => ({
  policy,
  rule: name,
  action: "Drop",
  mode: "Enforce",
  interfaces: ["eth0"],
  match: "any packet",
  matched: { packets: 1, bytes: 10 },
  exceeded: { packets: 2, bytes: 20 },
  ...more,
});

test("packets and bytes are summed, interfaces united, nodes counted", () => {
  const [sum, ...others] = sumRules([
    { node: "a", value: [rule("p", "r", { priority: 1 })] },
    { node: "b", value: [rule("p", "r", { priority: 1, interfaces: ["eth1", "eth0"] })] },
  ]);
  assert.deepEqual(others, []);
  assert.deepEqual(sum?.matched, { packets: 2, bytes: 20 });
  assert.deepEqual(sum?.exceeded, { packets: 4, bytes: 40 });
  assert.deepEqual(sum?.interfaces, ["eth0", "eth1"]);
  assert.equal(sum?.nodes, 2);
});

test("the order is that of judgement, also for policies that only later nodes have", () => {
  const sums = sumRules([
    {
      node: "a",
      value: [
        rule("fail-safe", "ssh"),
        rule("late", "one", { priority: 500 }),
        rule("late", "default", { priority: 500 }),
      ],
    },
    {
      node: "b",
      value: [
        rule("fail-safe", "ssh"),
        rule("node-local", "blocked"),
        rule("early", "z", { priority: 5 }),
        rule("late", "one", { priority: 500 }),
        rule("late", "two", { priority: 500 }),
        rule("late", "default", { priority: 500 }),
      ],
    },
  ]);
  assert.deepEqual(
    sums.map((sum) => `${sum.policy}/${sum.rule}`),
    ["fail-safe/ssh", "node-local/blocked", "early/z", "late/one", "late/two", "late/default"],
  );
});

test("a rule that audits on some nodes and acts on others is two rows", () => {
  const sums = sumRules([
    { node: "a", value: [rule("p", "r")] },
    { node: "b", value: [rule("p", "r", { mode: "Audit" })] },
  ]);
  assert.deepEqual(
    sums.map(({ mode, nodes }) => [mode, nodes]),
    [
      ["Enforce", 1],
      ["Audit", 1],
    ],
  );
});
