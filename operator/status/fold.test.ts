import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { KubeObject } from "../kube/object.js";
import { findCrd, type JsonSchema } from "../model/schema.js";
import { compileStructural } from "../model/structural.js";
import type { Problem } from "../model/records.js";
import type { NodeStatus } from "./describe-node.js";
import { foldPolicy, foldSet, type Nodes, type PolicyStatus } from "./fold.js";
import { NodeViews } from "./node-view.js";
import { type ObjectStatus, type PolicyFacts, readFacts, type SetFacts } from "./object-facts.js";

const nowMs = Date.UTC(2026, 0, 1);
type Entry = NonNullable<NodeStatus["policies"]>[number];

/** Nodes by name; each says this of the policy `edge`, or nothing at all. */
function nodesOf(says: Readonly<Record<string, Partial<Entry> | undefined>>): Nodes {
  const views = new NodeViews();
  for (const [name, entry] of Object.entries(says)) {
    if (entry === undefined) continue;
    const policies = [
      { name: "edge", generation: 2, observedGeneration: 2, state: "Enforcing" as const, ...entry },
    ];
    views.set(name, { policies });
  }
  const labels = new Map(Object.keys(says).map((name) => [name, { name }]));
  return { labels, view: (node) => views.get(node) };
}

function edge(
  spec: object = {},
  problems: readonly Problem[] = [],
  status?: ObjectStatus,
): PolicyFacts {
  const object: KubeObject = { metadata: { name: "edge", uid: "u1", generation: 2 }, spec, status };
  return readFacts("XdpPolicy", object, problems) as PolicyFacts;
}

function fold(nodes: Nodes, facts = edge(), atMs = nowMs): PolicyStatus {
  const status = foldPolicy(facts, nodes, atMs);
  const schema = findCrd("XdpPolicy")?.schema.properties?.["status"] as JsonSchema;
  assert.deepEqual(compileStructural(schema)(structuredClone(status)), []);
  return status;
}

function summary(status: PolicyStatus) {
  const conditions = (status.conditions ?? []).map(
    ({ type, status, reason }) => `${type}=${status} ${reason}`,
  );
  return [status.enforcing, ...conditions];
}

function message(status: { conditions?: PolicyStatus["conditions"] }, type: string): string {
  return status.conditions?.find((condition) => condition.type === type)?.message ?? "";
}

const refused = { state: "Refused", generation: 1, code: "SLUICE_TOO_MANY_RULES" } as const;

describe("the status of a policy", () => {
  it("is enforced when all selected nodes enforce this generation", () => {
    const status = fold(nodesOf({ a: {}, b: { state: "Auditing" } }));
    assert.deepEqual(summary(status), [
      "2/2",
      "Accepted=True Valid",
      "Enforced=True OnAllNodes",
      "Degraded=False AsExpected",
    ]);
    assert.deepEqual(status.nodes, { desired: 2, enforcing: 2, failing: 0 });
    assert.equal(status.observedGeneration, 2);
    assert.equal(status.conditions?.[1]?.observedGeneration, 2);
  });

  it("counts only the nodes that it selects", () => {
    const facts = edge({ nodeSelector: { matchLabels: { name: "a" } } });
    assert.equal(fold(nodesOf({ a: {}, b: {}, c: undefined }), facts).enforcing, "1/1");
    const none = fold(nodesOf({ b: {} }), facts);
    assert.deepEqual(summary(none).slice(0, 3), [
      "0/0",
      "Accepted=True Valid",
      "Enforced=False NoNodes",
    ]);
  });

  it("makes progress while nodes have an older generation, wait, or have not reported", () => {
    const status = fold(
      nodesOf({
        a: {},
        b: { generation: 1, observedGeneration: 1 },
        c: { state: "Pending", generation: 0 },
        d: undefined,
      }),
    );
    assert.deepEqual(summary(status), [
      "1/4",
      "Accepted=True Valid",
      "Enforced=False Progressing",
      "Degraded=False AsExpected",
    ]);
    assert.equal(
      message(status, "Enforced"),
      "in force on 1 of 4 nodes; 1 with an older generation, 1 about to, 1 without a report (is the agent running there?)",
    );
  });

  it("explains a node without an interface that matches, and does not count it", () => {
    const status = fold(nodesOf({ a: {}, b: { state: "Idle" } }));
    assert.deepEqual(summary(status).slice(0, 3), [
      "1/2",
      "Accepted=True Valid",
      "Enforced=False NoInterface",
    ]);
    assert.match(message(status, "Enforced"), /1 without an interface that matches/);
  });

  it("names failing nodes, five at most, in order", () => {
    const says = Object.fromEntries(
      ["g", "f", "e", "d", "c", "b"].map((name) => [name, { ...refused, message: "does not fit" }]),
    );
    const status = fold(nodesOf({ ...says, a: {} }));
    assert.deepEqual(status.nodes, { desired: 7, enforcing: 1, failing: 6 });
    assert.deepEqual(
      status.failingNodes?.map(({ name }) => name),
      ["b", "c", "d", "e", "f"],
    );
    assert.deepEqual(status.failingNodes?.[0], {
      name: "b",
      code: "SLUICE_TOO_MANY_RULES",
      message: "does not fit",
    });
    assert.deepEqual(summary(status).slice(2), [
      "Enforced=False NodesFailing",
      "Degraded=True NodesFailing",
    ]);
    assert.equal(message(status, "Degraded"), "6 of 7 nodes; b: does not fit");
  });

  it("does not hold a refusal of an older generation against the newest", () => {
    const status = fold(nodesOf({ a: { ...refused, generation: 0, observedGeneration: 1 } }));
    assert.deepEqual(summary(status).slice(2), [
      "Enforced=False Progressing",
      "Degraded=False AsExpected",
    ]);
  });

  it("tells of a trial and of its roll-back", () => {
    const trial = fold(nodesOf({ a: { state: "Unconfirmed" } }));
    assert.deepEqual(summary(trial).slice(0, 3), [
      "1/1",
      "Accepted=True Valid",
      "Enforced=True Unconfirmed",
    ]);
    const after = fold(nodesOf({ a: { state: "RolledBack", generation: 1 } }));
    assert.deepEqual(summary(after).slice(2), [
      "Enforced=False NodesFailing",
      "Degraded=True RolledBack",
    ]);
  });

  it("is not accepted when admission refused it; the generation before stays", () => {
    const problem: Problem = {
      severity: "error",
      code: "SLUICE_CIDR",
      origin: { source: "api" },
      field: "spec.ingress[0].from[0].cidr",
      message: "is no CIDR",
      remedy: "Write one",
    };
    const status = fold(
      nodesOf({ a: { generation: 1, observedGeneration: 1 } }),
      edge({}, [problem]),
    );
    assert.deepEqual(summary(status), [
      "0/1",
      "Accepted=False Invalid",
      "Enforced=False Invalid",
      "Degraded=True Invalid",
    ]);
    assert.equal(
      message(status, "Accepted"),
      "spec.ingress[0].from[0].cidr: is no CIDR. Write one",
    );
    assert.match(message(status, "Enforced"), /an older one stays in force on 1 node$/);
    const warned = fold(nodesOf({ a: {} }), edge({}, [{ ...problem, severity: "warning" }]));
    assert.match(message(warned, "Accepted"), /^valid; 1 warning: spec/);
    assert.equal(warned.conditions?.[0]?.status, "True");
  });

  it("keeps the time of conditions that do not turn", () => {
    const before = fold(nodesOf({ a: {} }));
    const facts = edge({}, [], before);
    const after = fold(nodesOf({ a: { ...refused, message: "x" } }), facts, nowMs + 5000);
    assert.deepEqual(
      after.conditions?.map(({ lastTransitionTime }) => lastTransitionTime),
      ["2026-01-01T00:00:00Z", "2026-01-01T00:00:05Z", "2026-01-01T00:00:05Z"],
    );
    assert.deepEqual(fold(nodesOf({ a: {} }), facts, nowMs + 9000), before);
  });

  it("has messages of 256 characters at most", () => {
    const status = fold(nodesOf({ a: { ...refused, message: "long ".repeat(51) } }));
    assert.ok(message(status, "Degraded").length <= 256);
    assert.match(message(status, "Degraded"), /…$/);
  });
});

describe("the status of a set", () => {
  const facts = readFacts(
    "XdpCidrSet",
    {
      metadata: { name: "bad", uid: "u2", generation: 4 },
      spec: {
        cidrs: ["192.0.2.0/24", "2001:db8::/32", "198.51.100.7"],
        expiring: [{ cidr: "2001:db8::1", expiresAt: "2030-01-01T00:00:00Z" }],
      },
    },
    [],
  ) as SetFacts;

  it("counts its entries by family", () => {
    const status = foldSet(facts, nodesOf({}), nowMs);
    assert.deepEqual(status.entries, { ipv4: 2, ipv6: 2, total: 4 });
    assert.deepEqual(
      status.conditions?.map(({ type, status }) => `${type}=${status}`),
      ["Accepted=True", "Degraded=False"],
    );
  });

  it("names a node that cannot hold it", () => {
    const views = new NodeViews();
    const failure = { kind: "XdpCidrSet", name: "bad", code: "SLUICE_FULL", message: "no room" };
    views.set("a", { failures: [failure] });
    const nodes: Nodes = {
      labels: new Map([
        ["a", {}],
        ["b", {}],
      ]),
      view: (name) => views.get(name),
    };
    const status = foldSet(facts, nodes, nowMs);
    assert.equal(message(status, "Degraded"), "1 node cannot hold it; a: no room");
    const schema = findCrd("XdpCidrSet")?.schema.properties?.["status"] as JsonSchema;
    assert.deepEqual(compileStructural(schema)(structuredClone(status)), []);
  });
});

describe("views of nodes", () => {
  it("that say the same are one object, and go when no node says it any more", () => {
    const views = new NodeViews();
    const policies = [{ name: "edge", generation: 2, state: "Enforcing" as const }];
    for (let node = 0; node < 100; node += 1) views.set(`n${node}`, { policies });
    assert.equal(views.distinct, 1);
    assert.equal(views.get("n1"), views.get("n99"));
    views.set("n1", { policies: [] });
    assert.equal(views.distinct, 2);
    assert.equal(views.get("n2")?.policies.get("edge")?.generation, 2);
    views.delete("n1");
    assert.equal(views.distinct, 1);
    assert.equal(views.get("n1"), undefined);
  });
});
