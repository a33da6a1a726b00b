import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Problem } from "../model/records.js";
import { podPolicyFinding, podPolicyTrouble, tallyPodPolicy } from "./fold-pod-policy.js";
import { type PodPolicyFacts, readPodPolicyFacts } from "./pod-policy-facts.js";
import type { PodPolicyOnNode } from "./pod-policy-view.js";

const problem = (severity: Problem["severity"], message: string): Problem => ({
  severity,
  code: "SLUICE_RULE",
  origin: { source: "api" },
  message,
  field: "spec.egress[0]",
  remedy: "Right it",
});

function facts(
  problems: readonly Problem[] = [],
  annotations: Readonly<Record<string, string>> = {},
): PodPolicyFacts {
  const metadata = { name: "deny", uid: "u1", generation: 3, annotations };
  return readPodPolicyFacts("ClusterNetworkPolicy", { metadata }, problems);
}

const acting: PodPolicyOnNode = { generation: 3, observedGeneration: 3, state: "Enforcing" };
const refused: PodPolicyOnNode = {
  generation: 2,
  observedGeneration: 3,
  state: "Refused",
  message: "does not fit",
};

function says(nodes: Readonly<Record<string, PodPolicyOnNode>>) {
  return Object.entries(nodes);
}

/** Condition and Event of what the nodes say. */
function fold(nodes: Readonly<Record<string, PodPolicyOnNode>>, of = facts()) {
  const tally = tallyPodPolicy(of, says(nodes));
  const { status, reason, message } = podPolicyFinding(of, tally);
  const trouble = podPolicyTrouble(of, tally);
  return {
    condition: [status, reason, message],
    trouble: trouble && [trouble.reason, trouble.message],
  };
}

describe("a ClusterNetworkPolicy", () => {
  it("is enforced when its newest generation acts on all nodes that have pods of it", () => {
    assert.deepEqual(fold({ a: acting, b: acting }), {
      condition: ["True", "OnAllNodes", "in force on 2/2 nodes that have pods of it"],
      trouble: undefined,
    });
    const older = { ...acting, generation: 2 };
    assert.deepEqual(fold({ a: acting, b: older }).condition, [
      "False",
      "Progressing",
      "in force on 1/2 nodes that have pods of it",
    ]);
    assert.deepEqual(fold({}).condition, [
      "Unknown",
      "NoPods",
      "no node reports pods that it selects",
    ]);
  });

  it("is not called enforced in audit mode", () => {
    const audit = facts([], { "sluice.dev/mode": "audit" });
    const auditing = { ...acting, state: "Auditing" } as const;
    assert.deepEqual(fold({ a: auditing }, audit), {
      condition: ["False", "Audit", "counted on 1/1 nodes that have pods of it, and not enforced"],
      trouble: undefined,
    });
  });

  it("names the first node that refuses it, and whether anything of it is left there", () => {
    assert.deepEqual(fold({ a: acting, b: refused, c: refused }), {
      condition: [
        "False",
        "NodesFailing",
        "in force on 1/3 nodes that have pods of it; 2 nodes cannot act by this generation; b: does not fit",
      ],
      trouble: ["Degraded", "2 nodes cannot act by this generation; b: does not fit"],
    });
    const bare = { ...refused, generation: 0 };
    assert.equal(fold({ a: acting, b: bare }).trouble?.[0], "NotEnforced");
  });

  it("does not hold a failure with an older generation against the newest", () => {
    const before = { ...refused, observedGeneration: 2 };
    const { condition, trouble } = fold({ a: before });
    assert.deepEqual([condition[1], trouble], ["Progressing", undefined]);
    assert.equal(tallyPodPolicy(facts(), says({ a: before })).outdated, 1);
  });

  it("that is invalid says why; warnings are told beside what is in force", () => {
    const invalid = fold({ a: acting }, facts([problem("error", "is wrong")]));
    assert.deepEqual(invalid.condition, [
      "False",
      "Invalid",
      "refused, what was in force before stays: spec.egress[0]: is wrong. Right it",
    ]);
    assert.equal(invalid.trouble?.[0], "NotEnforced");
    const warned = fold({ a: acting }, facts([problem("warning", "is odd")]));
    assert.deepEqual(warned, {
      condition: [
        "True",
        "OnAllNodes",
        "in force on 1/1 nodes that have pods of it; 1 warning: spec.egress[0]: is odd. Right it",
      ],
      trouble: ["PolicyWarning", "spec.egress[0]: is odd. Right it"],
    });
  });
});
