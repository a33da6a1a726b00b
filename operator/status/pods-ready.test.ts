import assert from "node:assert/strict";
import { test } from "node:test";
import { podNetwork } from "../../test/agent/fixture-pods.js";
import type { PodProblem } from "../api/engine.js";
import { PodEvents } from "./pods-ready.js";

const closed: PodProblem = podNetwork.podProblems[0]!;
const sinceMs = Date.parse(closed.since);

test("a pod without network is an Event of the pod once, when it lasts, and again after it was over", () => {
  const events = new PodEvents();
  const at = (afterMs: number, ...podProblems: readonly PodProblem[]) =>
    events
      .occurrences({ ...podNetwork, podProblems }, sinceMs + afterMs)
      .map(({ object: { namespace, name, uid }, reason }) => [`${namespace}/${name}`, uid, reason]);
  const told = [["web/server-2", "2", "NetworkClosed"]];
  assert.deepEqual(at(5000, closed), []);
  assert.deepEqual(at(16_000, closed), told);
  assert.deepEqual(at(18_000, closed), []);
  assert.deepEqual(at(20_000), []);
  const since = new Date(sinceMs + 30_000).toISOString();
  assert.deepEqual(at(46_000, { ...closed, since }), told);
});

test("one that nobody has named is in no Event", () => {
  const { namespace: _, name: __, ...nameless } = closed;
  const podProblems: readonly PodProblem[] = [nameless, { ...closed, type: "NotAttached" }];
  const found = new PodEvents().occurrences({ ...podNetwork, podProblems }, sinceMs + 60_000);
  assert.deepEqual(
    found.map(({ reason, message }) => [reason, message]),
    [["NetworkNotAttached", closed.message]],
  );
  assert.deepEqual(new PodEvents().occurrences(undefined, sinceMs), []);
});
