import assert from "node:assert/strict";
import { test } from "node:test";
import type { Condition } from "./condition.js";
import { type ObjectStatus, readFacts } from "./object-facts.js";
import { objectOccurrences } from "./object-transitions.js";

function status(types: Readonly<Record<string, Condition["status"]>>, reason = "R"): ObjectStatus {
  const conditions = Object.entries(types).map(([type, status]) => ({
    ...{ type, status, reason, message: `${type} ${status}` },
    lastTransitionTime: "2026-01-01T00:00:00Z",
  }));
  return { conditions };
}

function turns(before: ObjectStatus | undefined, now: ObjectStatus): readonly string[] {
  const object = { metadata: { name: "edge", uid: "u1", generation: 2 }, status: before };
  return objectOccurrences(readFacts("XdpPolicy", object, []), now).map(
    ({ type, reason, message }) => `${type} ${reason}: ${message}`,
  );
}

const good = { Accepted: "True", Enforced: "True", Degraded: "False" } as const;

test("a new policy that is enforced is one event, and nothing more while it stays so", () => {
  assert.deepEqual(turns(undefined, status({ ...good, Enforced: "False" })), []);
  assert.deepEqual(turns(status({ ...good, Enforced: "False" }), status(good)), [
    "Normal Enforced: generation 2: Enforced True",
  ]);
  assert.deepEqual(turns(status(good), status(good)), []);
});

test("making progress after an edit is none", () => {
  assert.deepEqual(turns(status(good), status({ ...good, Enforced: "False" })), []);
});

test("a failing node is one, and its recovery another", () => {
  const bad = { ...good, Degraded: "True" } as const;
  assert.deepEqual(turns(status(good), status(bad)), [
    "Warning Degraded: generation 2: Degraded True",
  ]);
  assert.deepEqual(turns(status(bad), status(good)), [
    "Normal Recovered: generation 2: Degraded False",
  ]);
});

test("an object that is refused is told once, not as degraded, too", () => {
  const bad = status({ Accepted: "False", Degraded: "True" }, "Invalid");
  assert.deepEqual(turns(undefined, bad), ["Warning Refused: generation 2: Accepted False"]);
});
