/** Events of pods' packets: whose rules they are about, and what becomes of those that are too many. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, beforeEach, it } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { EventState } from "../../operator/api/engine.js";
import { captureEvents } from "../../operator/apply/capture-events.js";
import { tcp } from "../support/transports.js";
import { openFixture } from "./fixture.js";
import type { PodRule } from "./harness.js";

const UNLIMITED = 1_000_000;

/* Each CPU has its own budget: on one CPU its size is exact. */
execFileSync("taskset", ["--pid", "--cpu-list", "0", String(process.pid)]);

const f = await openFixture();
const events: EventState[] = [];
const stop = captureEvents(
  f.pods.takeRing(),
  (slot) => f.pods.slots.owner(slot),
  (event) => events.push(event),
  (slot) => {
    const pod = ["a", "b", "c"].find((name) => {
      const { slotOut, slotIn } = f.pods.pod(name);
      return slot === slotOut || slot === slotIn;
    });
    if (pod === undefined) return undefined;
    return { pod, direction: slot === f.pods.pod(pod).slotOut ? "egress" : "ingress" };
  },
);
after(() => {
  stop();
  return f.close();
});
beforeEach(() => f.pods.forget());

async function toldOf(send: () => void): Promise<readonly string[]> {
  const before = events.length;
  send();
  for (let turn = 0; turn < 20; turn++) await nextTurn();
  return events.slice(before).map(({ direction, pod, rule, effect, audit }) => {
    return `${direction} of ${pod} by ${rule}: ${effect}${audit ? " (audit)" : ""}`;
  });
}

const refusing = (more: Partial<PodRule>): readonly PodRule[] => [
  { rule: "out", action: "Drop", egressOf: ["a"], logOneIn: 1, ...more },
  { rule: "in", action: "Drop", ingressOf: ["b"], logOneIn: 1, ...more },
];
const frame = (from: string, to: string) => f.packetOf(from, to, 6, tcp());

it("is about the pod whose policies judged: also where a sender's program asks the receiver's", async () => {
  await f.pods.apply(refusing({}), { eventsPerSecond: UNLIMITED });
  assert.deepEqual(await toldOf(() => f.out("a", frame("a", "b"))), ["egress of a by out: drop"]);
  assert.deepEqual(await toldOf(() => f.out("c", frame("c", "b"))), ["ingress of b by in: drop"]);
  assert.deepEqual(await toldOf(() => f.in("b", frame("c", "b"), "uplink")), [
    "ingress of b by in: drop",
  ]);
  assert.deepEqual(await toldOf(() => f.out("c", frame("c", "a"))), []);
});

it("tells what rules in audit mode would refuse", async () => {
  await f.pods.apply(refusing({ audit: true }), { eventsPerSecond: UNLIMITED });
  assert.deepEqual(await toldOf(() => f.out("a", frame("a", "b"))), [
    "egress of a by out: drop (audit)",
    "ingress of b by in: drop (audit)",
  ]);
});

it("are capped in the kernel, and what is too much is counted", async () => {
  await f.pods.apply(refusing({}), { eventsPerSecond: 1 });
  const lost = f.pods.datapath.eventsLost();
  const told = await toldOf(() => {
    for (let count = 0; count < 50; count++) f.out("a", frame("a", "b"));
  });
  assert.ok(told.length >= 1 && told.length < 10, String(told.length));
  assert.equal(Number(f.pods.datapath.eventsLost() - lost) + told.length, 50);
});
