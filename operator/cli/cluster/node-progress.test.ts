import assert from "node:assert/strict";
import { test } from "node:test";
import type { EngineStatus, PolicyState, SetObjectState } from "../../api/engine.js";
import type { Problem } from "../../model/records.js";
import { nodeProgress } from "./node-progress.js";

const name = "sluice-blocked";
const inForce = { state: "in force" };
const notSelected = { state: "not selected" };
const missing = (why: string) => ({ state: "missing", why });

interface Answer {
  /** Undefined: the agent knows no such policy. */
  readonly policy?: Partial<PolicyState> | undefined;
  readonly object?: Partial<SetObjectState> | undefined;
  readonly usedBy?: readonly string[];
  readonly status?: Partial<EngineStatus>;
}

/** Of a node that has generation 2 of the policy and 5 of the set in force, but for what is given. */
function progress(wanted: { set?: number; policy?: number | undefined }, answer: Answer = {}) {
  const policies: readonly PolicyState[] =
    "policy" in answer && answer.policy === undefined
      ? []
      : [
          {
            name,
            generation: 2,
            priority: 0,
            mode: "Enforce",
            selected: true,
            inForce: true,
            interfaces: ["eth0"],
            rules: 1,
            problems: [],
            ...answer.policy,
          },
        ];
  const objects =
    "object" in answer && answer.object === undefined
      ? []
      : [{ name, generation: 5, generationInForce: 5, ...answer.object }];
  const { usedBy = [name] } = answer;
  const { set = 5 } = wanted;
  const policyGeneration = "policy" in wanted ? wanted.policy : 2;
  return nodeProgress(
    { setGeneration: set, ...(policyGeneration !== undefined && { policyGeneration }) },
    {
      node: "a",
      version: "0",
      startedAt: "2026-01-01T00:00:00.000Z",
      inSync: true,
      generation: 1,
      layout: "",
      pinFolder: "",
      interfaces: [],
      policies,
      tables: [],
      problems: [],
      ...answer.status,
    },
    [{ name, objects, ipv4Prefixes: 1, ipv6Prefixes: 0, usedBy }],
  );
}

function problem(kind: string, message: string): Problem {
  const origin = { source: "API server" };
  const remedy = "Use fewer rules";
  return { severity: "error", code: "SLUICE_FULL", origin, kind, name, message, remedy };
}

test("the generations asked for, or newer ones, are in force", () => {
  assert.deepEqual(progress({}), inForce);
  assert.deepEqual(progress({ set: 4, policy: 1 }), inForce);
  assert.deepEqual(progress({ set: 4 }, { object: { generationInForce: 4 } }), inForce);
});

test("what the agent has not read, or not applied, is missing", () => {
  const unread = (kind: string) => missing(`the agent has not read the ${kind} yet`);
  assert.deepEqual(progress({ set: 6 }), unread("XdpCidrSet"));
  assert.deepEqual(progress({}, { object: undefined }), unread("XdpCidrSet"));
  assert.deepEqual(progress({ policy: 3 }), unread("XdpPolicy"));
  assert.deepEqual(progress({}, { policy: undefined }), unread("XdpPolicy"));
  const late = missing("the XdpCidrSet is not in force yet");
  assert.deepEqual(progress({}, { object: { generationInForce: 4 } }), late);
  const older = { generationInForce: 1 };
  assert.deepEqual(progress({}, { policy: older }), missing("the XdpPolicy is not in force yet"));
});

test("an object that was made anew is not taken for the one before it", () => {
  const object = { generation: 1, generationInForce: 9 };
  assert.deepEqual(progress({ set: 1 }, { object }), missing("the XdpCidrSet is not in force yet"));
});

test("a node that the policy does not select does not count, once it is the policy asked for", () => {
  const policy = { selected: false, inForce: false };
  assert.deepEqual(progress({}, { policy, usedBy: [] }), notSelected);
  assert.equal(progress({ policy: 3 }, { policy, usedBy: [] }).state, "missing");
});

test("a policy that does not drop is missing, with the agent's own words", () => {
  const audits = missing("the XdpPolicy only audits there");
  assert.deepEqual(progress({}, { policy: { mode: "Audit" } }), audits);
  const full = { problems: [problem("XdpPolicy", "it is too large")], inForce: false };
  assert.deepEqual(progress({}, { policy: full }), missing("it is too large. Use fewer rules"));
  const failing = progress({}, { status: { applyError: "no memory" } });
  assert.deepEqual(failing, missing("no memory"));
});

test("why the set is missing is told when the agent knows", () => {
  const object = { generationInForce: 4 };
  const status = { problems: [problem("XdpCidrSet", "too many prefixes")] };
  assert.deepEqual(progress({}, { object, status }), missing("too many prefixes"));
  const source = {
    type: "kubernetes" as const,
    from: "https://192.0.2.1:6443",
    isSynced: true,
    isConnected: false,
    since: "2026-01-01T00:00:00.000Z",
    errors: [],
    kinds: [],
  };
  const cut = missing("the agent has not read the XdpCidrSet yet: it has lost the API server");
  assert.deepEqual(progress({ set: 6 }, { status: { source } }), cut);
});

test("to take back needs no policy: only the set counts, where somebody uses it", () => {
  const policy = undefined;
  assert.deepEqual(progress({ policy }, { policy: { mode: "Audit" } }), inForce);
  const object = { generationInForce: 4 };
  assert.equal(progress({ policy }, { policy, object, usedBy: ["other"] }).state, "missing");
  assert.deepEqual(progress({ policy }, { policy, usedBy: ["other"] }), inForce);
  assert.deepEqual(progress({ policy }, { policy, usedBy: [] }), notSelected);
  assert.deepEqual(progress({ policy }, { usedBy: [] }), inForce);
});
