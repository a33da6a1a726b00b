import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { status as fixture } from "../../test/agent/fixture-engine.js";
import type { EngineStatus, PolicyState } from "../api/engine.js";
import { findCrd, type JsonSchema } from "../model/schema.js";
import { compileStructural } from "../model/structural.js";
import type { Problem } from "../model/records.js";
import { describeNode, type NodeFacts, type NodeStatus } from "./describe-node.js";

const facts: NodeFacts = {
  kernelVersion: "6.12.1",
  features: [
    { name: "tcx links", answer: "yes", since: "6.6" },
    { name: "helper bpf_set_retval", answer: "no", since: "5.18" },
    { name: "XDP links", answer: "unknown", since: "5.9" },
  ],
};

const nowMs = Date.UTC(2026, 0, 1);

function said(changes: Partial<EngineStatus> = {}, before?: NodeStatus, atMs = nowMs): NodeStatus {
  return describeNode({ ...fixture, ...changes }, undefined, facts, before, atMs);
}

function policy(changes: Partial<PolicyState>): readonly PolicyState[] {
  return [{ ...fixture.policies[0]!, ...changes }];
}

function problem(changes: Partial<Problem> = {}): Problem {
  return {
    severity: "error",
    code: "SLUICE_TOO_MANY_RULES",
    origin: { source: "api" },
    kind: "XdpPolicy",
    name: "edge",
    message: "does not fit",
    remedy: "Use fewer rules",
    ...changes,
  };
}

function readyOf({ conditions }: NodeStatus) {
  const [ready] = conditions ?? [];
  return [ready?.status, ready?.reason, ready?.message];
}

/** The status as its CRD defines it, checked by the same code that checks manifests. */
function assertValid(status: NodeStatus): void {
  const schema = findCrd("NodeDatapath")?.schema.properties?.["status"] as JsonSchema;
  assert.deepEqual(compileStructural(schema)(structuredClone(status)), []);
}

describe("the status of a node", () => {
  it("tells its interfaces with the mode asked for and granted, programs, features and tables", () => {
    const status = said();
    assertValid(status);
    assert.deepEqual(status.interfaces, [
      {
        name: "eth0",
        requestedMode: "Native",
        mode: "Generic",
        state: "Attached",
        programId: 12,
        message: "the driver refuses native mode",
      },
    ]);
    assert.deepEqual(status.programs, [{ name: "uplink", id: 12, hook: "xdp" }]);
    assert.deepEqual(status.features, [
      { name: "tcx links", available: "Yes" },
      { name: "helper bpf_set_retval", available: "No", remark: "since kernel 5.18" },
      {
        name: "XDP links",
        available: "Unknown",
        remark: "not permitted to ask; since kernel 5.9",
      },
    ]);
    assert.deepEqual(status.tables, [{ name: "rules", used: 4000, capacity: 4096 }]);
    assert.equal(status.attached, "1/1");
    assert.deepEqual(readyOf(status), ["True", "InSync", "1 policy on 1 interface"]);
  });

  it("does not change with packets", () => {
    const busy = fixture.interfaces.map((state) => ({
      ...state,
      verdicts: { ...state.verdicts, drop: { packets: 1e9, bytes: 1e12 } },
    }));
    const before = said();
    assert.deepEqual(said({ interfaces: busy }, before, nowMs + 60_000), before);
  });

  it("changes with the use of a table by steps of 5 per cent, and when it crosses 90 per cent", () => {
    const table = (used: number) => ({ tables: [{ name: "rules", used, capacity: 1000 }] });
    const usedAfter = (...uses: readonly number[]) => {
      const last = uses.reduce<NodeStatus | undefined>(
        (before, used) => said(table(used), before),
        undefined,
      );
      return last?.tables?.[0]?.used;
    };
    assert.equal(usedAfter(100, 149), 100);
    assert.equal(usedAfter(100, 149, 150), 150);
    assert.equal(usedAfter(100, 50), 50);
    assert.equal(usedAfter(890, 899), 890);
    assert.equal(usedAfter(890, 900), 900);
    assert.equal(usedAfter(905, 899), 899);
  });

  it("cuts long lists and texts, counts what is left out, and keeps what is not in force", () => {
    const policies = Array.from({ length: 1005 }, (_, index) => ({
      ...fixture.policies[0]!,
      name: `p${index}`,
      inForce: index >= 10,
    }));
    const problems = Array.from({ length: 103 }, () =>
      problem({ kind: "XdpCidrSet", message: "word ".repeat(200) }),
    );
    const status = said({ policies, problems });
    assertValid(status);
    assert.deepEqual(status.omitted, { policies: 5, failures: 3 });
    assert.equal(status.policies?.filter(({ state }) => state === "Pending").length, 10);
    assert.equal(status.policies?.length, 1000);
    assert.equal(said().omitted, undefined);
  });

  it("does not repeat what is wrong on all nodes alike", () => {
    const told = said({
      problems: [
        problem({ code: "SLUICE_SCHEMA" }),
        problem({ code: "SLUICE_KUBE_UNREACHABLE" }),
        problem({ code: "SLUICE_KUBE_FORBIDDEN", message: "not allowed" }),
        problem({ severity: "warning" }),
        problem({ kind: "XdpCidrSet", name: "bad" }),
      ],
    }).failures;
    assert.deepEqual(
      told?.map(({ code, name }) => [code, name]),
      [
        ["SLUICE_KUBE_FORBIDDEN", "edge"],
        ["SLUICE_TOO_MANY_RULES", "bad"],
      ],
    );
  });

  it("keeps the time of its condition until the condition turns", () => {
    const before = said();
    const turned = (status: NodeStatus) => status.conditions?.[0]?.lastTransitionTime;
    assert.equal(turned(said({ policies: [] }, before, nowMs + 5000)), "2026-01-01T00:00:00Z");
    const bad = said({ applyError: "no memory" }, before, nowMs + 5000);
    assert.equal(turned(bad), "2026-01-01T00:00:05Z");
  });
});

describe("a node is not ready", () => {
  const dark = [{ ...fixture.interfaces[0]!, attached: false, mode: "none" as const }];
  for (const [what, changes, reason, message] of [
    ["before everything has come", { inSync: false }, "NotInSync", /not delivered/],
    ["while the kernel refuses", { applyError: "no memory" }, "ApplyFailed", /^no memory$/],
    ["with a dark interface", { interfaces: dark }, "NotAttached", /eth0: the driver refuses/],
    [
      "with a policy that does not fit",
      { policies: policy({ inForce: false, problems: [problem()] }) },
      "PoliciesFailing",
      /1 policy not in force: edge/,
    ],
  ] as const) {
    it(what, () => {
      const [status, why, text] = readyOf(said(changes));
      assert.deepEqual([status, why], ["False", reason]);
      assert.match(text ?? "", message);
    });
  }
});

describe("a policy on a node", () => {
  const dark = [{ ...fixture.interfaces[0]!, attached: false, mode: "none" as const }];
  const idle = problem({ severity: "warning", code: "SLUICE_NO_INTERFACE_MATCHES" });
  const cases: readonly (readonly [
    state: string,
    generation: number,
    changes: Partial<PolicyState>,
    node?: Partial<EngineStatus>,
  ])[] = [
    ["Enforcing", 3, {}],
    ["Auditing", 3, { mode: "Audit" }],
    ["Unconfirmed", 3, { confirmBy: "2026-01-01T00:05:00.000Z" }],
    ["Idle", 3, { inForce: false, interfaces: [], problems: [idle] }],
    ["Pending", 0, { inForce: false }],
    ["Pending", 2, { generationInForce: 2 }],
    ["RolledBack", 2, { generationInForce: 2, rolledBack: true }],
    ["Refused", 0, { inForce: false, problems: [problem()] }],
    ["Refused", 2, { generationInForce: 2, problems: [problem()] }],
    ["Failing", 3, {}, { interfaces: dark }],
    ["Failing", 2, { generationInForce: 2 }, { applyError: "no memory" }],
  ];
  for (const [state, generation, changes, node] of cases) {
    it(`is ${state} with generation ${generation} for ${JSON.stringify(Object.keys({ ...changes, ...node }))}`, () => {
      const told = said({ policies: policy(changes), ...node });
      assertValid(told);
      const [entry] = told.policies ?? [];
      assert.deepEqual(
        [entry?.state, entry?.generation, entry?.observedGeneration],
        [state, generation, 3],
      );
    });
  }

  it("that does not act says why", () => {
    const [entry] = said({ policies: policy({ inForce: false, problems: [problem()] }) }).policies!;
    assert.equal(entry?.code, "SLUICE_TOO_MANY_RULES");
    assert.equal(entry?.message, "does not fit. Use fewer rules");
  });

  it("that does not select the node is not told", () => {
    assert.deepEqual(said({ policies: policy({ selected: false, inForce: false }) }).policies, []);
  });
});
