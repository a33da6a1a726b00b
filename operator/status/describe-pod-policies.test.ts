import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { status as fixture } from "../../test/agent/fixture-engine.js";
import { podNetwork, podPolicies } from "../../test/agent/fixture-pods.js";
import type { PodPolicyState } from "../api/engine.js";
import { findCrd, type JsonSchema } from "../model/schema.js";
import { compileStructural } from "../model/structural.js";
import { describeNode, type NodeStatus } from "./describe-node.js";
import { describePodPolicies, differInPodsAlone } from "./describe-pod-policies.js";

const [refused, enforcing, idle] = podPolicies as readonly [
  PodPolicyState,
  PodPolicyState,
  PodPolicyState,
];
const sinceMs = Date.parse(podNetwork.podProblems[0]?.since ?? "");

function said(policies: readonly PodPolicyState[], afterMs = 0): NodeStatus {
  const status = { ...fixture, podNetwork };
  const facts = { kernelVersion: "6.12.1", features: [] };
  const node = describeNode(status, policies, facts, undefined, sinceMs + afterMs);
  const schema = findCrd("NodeDatapath")?.schema.properties?.["status"] as JsonSchema;
  assert.deepEqual(compileStructural(schema)(structuredClone(node)), []);
  return node;
}

describe("what a NodeDatapath says of policies of pods", () => {
  it("are those with pods on the node, and those that fail", () => {
    const { podPolicies: told, conditions } = said([refused, enforcing, idle]);
    assert.deepEqual(told, {
      acting: 1,
      failing: 1,
      entries: [
        {
          kind: "ClusterNetworkPolicy",
          name: "baseline",
          generation: 1,
          observedGeneration: 2,
          pods: 1,
          state: "Refused",
          code: "SLUICE_CAPACITY",
          message: "does not fit: too many rules. Use fewer or broader rules",
        },
        {
          kind: "NetworkPolicy",
          name: "web/allow-client",
          generation: 1,
          observedGeneration: 1,
          pods: 2,
          state: "Enforcing",
        },
      ],
    });
    assert.deepEqual(
      conditions?.map(({ type, status, reason, message }) => [type, status, reason, message])[0],
      ["Ready", "False", "PoliciesFailing", "1 policy not in force: baseline"],
    );
  });

  it("leaves out what the object says itself: an invalid version, of which the one before acts", () => {
    const problems = [{ ...refused.problems[0]!, code: "SLUICE_RULE" }];
    const invalid = { ...enforcing, state: "Refused", problems } as const;
    const never = { ...invalid, name: "never", generation: 0, generationInForce: 0, pods: [] };
    const { entries } = describePodPolicies([invalid, never]).status;
    assert.deepEqual(
      entries?.map(({ name, state, code }) => [name, state, code]),
      [["web/allow-client", "Enforcing", undefined]],
    );
  });

  it("is bounded: failing ones are kept first, then ClusterNetworkPolicies, and the rest is counted", () => {
    const many = Array.from({ length: 1000 }, (_, index) => ({ ...enforcing, name: `p${index}` }));
    const cluster = { ...enforcing, kind: "ClusterNetworkPolicy", name: "last" } as const;
    const { namespace: _, ...clusterWide } = cluster;
    const node = said([...many, clusterWide, refused]);
    const { entries = [], acting, failing } = node.podPolicies ?? {};
    assert.deepEqual([entries.length, acting, failing], [256, 1001, 1]);
    assert.deepEqual(
      entries.slice(-2).map(({ name }) => name),
      ["last", "baseline"],
    );
    assert.deepEqual(node.omitted, { podPolicies: 1002 - 256 });
    assert.ok(JSON.stringify(node).length < 50_000);
  });

  it("has pods without network in a condition, when that lasts", () => {
    const podsReady = (afterMs: number) => {
      const found = said([], afterMs).conditions?.find(({ type }) => type === "PodsReady");
      return [found?.status, found?.reason, found?.message];
    };
    assert.deepEqual(podsReady(14_000).slice(0, 2), ["True", "AllReady"]);
    assert.deepEqual(podsReady(15_000), [
      "False",
      "PodsClosed",
      "1 pod without network; web/server-2: its policies are not in the kernel yet",
    ]);
  });

  it("knows numbers of pods from what matters more", () => {
    const status = (policies: readonly PodPolicyState[]) => describePodPolicies(policies).status;
    const before = status([enforcing]);
    const differs = (...policies: readonly PodPolicyState[]) =>
      !differInPodsAlone(before, status(policies));
    assert.equal(differs({ ...enforcing, pods: ["web/a"] }), false);
    assert.equal(differs({ ...enforcing, pods: [] }), false);
    assert.equal(differs(enforcing, { ...idle, state: "Enforcing", pods: ["web/a"] }), false);
    assert.equal(differs(enforcing, refused), true);
    assert.equal(differs({ ...enforcing, generation: 2, state: "Pending" }), true);
    assert.equal(differs({ ...enforcing, mode: "Audit", state: "Auditing" }), true);
  });
});
