import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  clusterPolicy,
  inputOf,
  networkPolicy,
  type TestCluster,
} from "../../test/support/policy-cluster.js";
import { compilePodRules } from "../compile/pod-rules.js";
import { PodRulesCache } from "../compile/pod-rules-cache.js";
import type { Problem } from "../model/records.js";
import type { PodPolicy } from "./pod-objects.js";
import { describePodPolicies, type PodPolicyPicture } from "./pod-policy-report.js";

const PODS: TestCluster["pods"] = {
  "web/a": { labels: { app: "a" }, ips: ["10.0.0.1/32"] },
  "web/b": { labels: { app: "b" }, ips: ["10.0.0.2/32"] },
  "web/far": { labels: { app: "a" }, ips: ["10.0.1.1/32"], isRemote: true },
};

function problem(kind: string, name: string, severity: Problem["severity"] = "error"): Problem {
  const origin = { source: "api" };
  return { severity, code: "SLUICE_X", origin, kind, name, message: "wrong", remedy: "Right it" };
}

/** All policies are in force, as far as `more` does not say otherwise. */
function describeAll(manifests: readonly object[], more: Partial<PodPolicyPicture> = {}) {
  const cache = new PodRulesCache();
  const input = inputOf({ pods: PODS, namespaces: { web: {} }, policies: manifests });
  compilePodRules(input, cache);
  const policies: readonly PodPolicy[] = [
    ...input.networkPolicies,
    ...input.clusterNetworkPolicies,
  ];
  const inForce = new Map(
    policies.map((policy) => [
      policy.kind === "NetworkPolicy"
        ? `NetworkPolicy ${policy.namespace}/${policy.name}`
        : `ClusterNetworkPolicy ${policy.name}`,
      policy,
    ]),
  );
  return {
    inForce,
    states: describePodPolicies({
      newest: inForce,
      inForce,
      blocks: cache.last?.blocks ?? [],
      problems: [],
      applyError: undefined,
      ...more,
    }),
  };
}

const all = networkPolicy("web/all", { podSelector: {}, ingress: [{}, {}] });
const audited = networkPolicy(
  "web/audited",
  { podSelector: { matchLabels: { app: "a" } } },
  "audit",
);
const nobody = clusterPolicy("nobody", { subject: { namespaces: { matchLabels: { x: "y" } } } });

describe("the state of a policy of pods", () => {
  it("says on which pods of this node it acts, and whether it enforces", () => {
    const { states } = describeAll([all, audited, nobody]);
    assert.deepEqual(
      states.map(({ name, mode, state, pods, rules, places, tier }) => [
        ...[name, mode, state, pods.join(), rules, places, tier],
      ]),
      [
        ["nobody", "Enforce", "Idle", "", 0, 0, "Admin"],
        ["all", "Enforce", "Enforcing", "web/a,web/b", 2, 2, undefined],
        ["audited", "Audit", "Auditing", "web/a", 0, 0, undefined],
      ],
    );
    assert.deepEqual([states[1]?.namespace, states[0]?.namespace], ["web", undefined]);
  });

  it("is Refused with what stays in force of it, or with nothing", () => {
    const { inForce } = describeAll([all]);
    const [[key, old]] = [...inForce] as [[string, PodPolicy]];
    const newest = new Map([[key, { ...old, generation: 2 }]]);
    const problems = [
      problem("NetworkPolicy", "web/all"),
      problem("ClusterNetworkPolicy", "never"),
      problem("XdpPolicy", "web/all"),
    ];
    const [never, kept, ...others] = describeAll([all], { newest, problems }).states;
    assert.deepEqual(others, []);
    assert.deepEqual(
      [kept?.state, kept?.generation, kept?.generationInForce, kept?.problems.length],
      ["Refused", 2, 1, 1],
    );
    assert.equal(kept?.pods.length, 2);
    assert.deepEqual(
      [never?.state, never?.generation, never?.generationInForce],
      ["Refused", 0, 0],
    );
  });

  it("is Pending before it is in force, and Failing when the kernel refuses it", () => {
    const { inForce } = describeAll([all]);
    const nothing = { inForce: new Map(), blocks: [], newest: inForce };
    assert.equal(describeAll([all], nothing).states[0]?.state, "Pending");
    const applyError = "no space";
    assert.equal(describeAll([all], { ...nothing, applyError }).states[0]?.state, "Failing");
    assert.equal(describeAll([all], { applyError }).states[0]?.state, "Enforcing");
  });

  it("has warnings beside it: a port name that no pod has", () => {
    const named = networkPolicy("web/named", { ingress: [{ ports: [{ port: "http" }] }] });
    const [state] = describeAll([named]).states;
    assert.equal(state?.state, "Enforcing");
    assert.deepEqual(
      state.problems.map(({ severity, code, name }) => [severity, code, name]),
      [["warning", "SLUICE_NO_SUCH_PORT", "web/named"]],
    );
    assert.match(
      state.problems[0]?.message ?? "",
      /no pod here that it selects has a port named http/,
    );
  });
});
