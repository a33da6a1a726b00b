import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../test/status/manual-clock.js";
import { PacedQueue } from "./paced-queue.js";

function createQueue(run: (key: string) => Promise<boolean> = async () => true) {
  const clock = new ManualClock();
  const runs: string[] = [];
  const failures: string[] = [];
  const queue = new PacedQueue({
    clock,
    debounceMs: 1000,
    intervalMs: 10_000,
    soonMs: 3000,
    run: (key) => {
      runs.push(`${key}@${clock.monotonicMs() / 1000}`);
      return run(key);
    },
    onFailure: (key) => failures.push(key),
  });
  return { clock, queue, runs, failures };
}

test("marks within a second are one run, and the next comes 10 s after it", async () => {
  const { clock, queue, runs } = createQueue();
  queue.mark("a");
  queue.mark("a");
  queue.mark("b");
  await clock.advance(2000);
  queue.mark("a");
  await clock.advance(60_000);
  assert.deepEqual(runs, ["a@1", "b@1", "a@11"]);
});

test("an urgent mark is not held back, also when a patient one waits", async () => {
  const { clock, queue, runs } = createQueue();
  queue.mark("a");
  await clock.advance(2000);
  queue.mark("a");
  queue.mark("a", true);
  await clock.advance(60_000);
  assert.deepEqual(runs, ["a@1", "a@3"]);
});

test("what follows an urgent write follows soon, and what follows that in its time", async () => {
  const { clock, queue, runs } = createQueue();
  queue.mark("a", true);
  await clock.advance(1500);
  queue.mark("a");
  await clock.advance(4000);
  queue.mark("a");
  await clock.advance(60_000);
  assert.deepEqual(runs, ["a@1", "a@4", "a@14"]);
});

test("a run that found nothing to write does not hold back the next", async () => {
  const { clock, queue, runs } = createQueue(async () => false);
  queue.mark("a");
  await clock.advance(2000);
  queue.mark("a");
  await clock.advance(2000);
  assert.deepEqual(runs, ["a@1", "a@3"]);
});

test("what fails is tried again by itself, told once, and does not hold back others", async () => {
  let isBroken = true;
  const { clock, queue, runs, failures } = createQueue(async (key) => {
    if (isBroken && key === "a") throw new Error("broken");
    return true;
  });
  queue.mark("a");
  queue.mark("b");
  await clock.advance(5000);
  assert.ok(runs.filter((run) => run.startsWith("a")).length >= 2);
  assert.equal(runs.filter((run) => run.startsWith("b")).length, 1);
  assert.deepEqual(failures, ["a"]);
  isBroken = false;
  await clock.advance(60_000);
  const after = runs.length;
  await clock.advance(60_000);
  assert.equal(runs.length, after);
});

test("what is forgotten or closed runs no more", async () => {
  const { clock, queue, runs } = createQueue();
  queue.mark("a");
  queue.forget("a");
  queue.mark("b");
  await queue.close();
  queue.mark("c");
  await clock.advance(60_000);
  assert.deepEqual(runs, []);
  assert.equal(clock.pending, 0);
});
