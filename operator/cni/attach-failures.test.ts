import assert from "node:assert/strict";
import { test } from "node:test";
import { AttachFailures } from "./attach-failures.js";

function pod(name: string, uid = "1") {
  return { namespace: "web", name, uid };
}

test("a pod that could not be attached is known since its first failure, until it is attached", () => {
  let nowMs = 1000;
  const failures = new AttachFailures(() => nowMs);
  failures.note(pod("a"), new Error("no address"));
  nowMs = 5000;
  failures.note(pod("a"), new Error("no link"));
  failures.note(pod("b"), new Error("odd"));
  assert.deepEqual(failures.list(), [
    { pod: pod("a"), sinceMs: 1000, message: "no link" },
    { pod: pod("b"), sinceMs: 5000, message: "odd" },
  ]);
  failures.note(pod("a"), undefined);
  assert.deepEqual(
    failures.list().map((failure) => failure.pod.name),
    ["b"],
  );
});

test("a pod that is gone is forgotten", () => {
  const failures = new AttachFailures();
  for (const name of ["a", "b"]) failures.note(pod(name), new Error("x"));
  failures.note({ ...pod("a"), namespace: "other" }, new Error("x"));
  failures.forget("web", "a");
  assert.deepEqual(
    failures.list().map((failure) => `${failure.pod.namespace}/${failure.pod.name}`),
    ["web/b", "other/a"],
  );
});

test("one that nobody tries to attach any more is forgotten, another of its name is another pod", () => {
  let nowMs = 0;
  const failures = new AttachFailures(() => nowMs);
  failures.note(pod("a", "1"), new Error("x"));
  nowMs = 500_000;
  failures.note(pod("a", "2"), new Error("x"));
  nowMs = 700_000;
  assert.deepEqual(
    failures.list().map((failure) => failure.pod.uid),
    ["2"],
  );
});

test("what no pod is named of is let by, and no more are kept than fit on a node", () => {
  const failures = new AttachFailures();
  failures.note({ namespace: undefined, name: undefined, uid: "1" }, new Error("x"));
  for (let index = 0; index < 600; index++) failures.note(pod(`p${index}`), new Error("x"));
  const names = failures.list().map((failure) => failure.pod.name);
  assert.deepEqual([names.length, names[0], names.at(-1)], [511, "p89", "p599"]);
});
