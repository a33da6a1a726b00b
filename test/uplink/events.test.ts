/** Sampled events: which packets make one, what it holds, and what becomes of those that are too many. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, beforeEach, describe, it } from "node:test";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import type { EventState } from "../../operator/api/engine.js";
import { captureEvents } from "../../operator/apply/capture-events.js";
import type { RuleRecord } from "../../operator/model/records.js";
import { limit, policy, rule } from "../oracle/build.js";
import { eth, ipv4, packet, payload } from "../support/packets.js";
import { tcp, udp } from "../support/transports.js";
import { openUplink } from "./harness.js";

const UNLIMITED = 1_000_000;
const FRAME = packet(eth(), ipv4(), tcp());

/* Each CPU has its own budget: on one CPU its size is exact. */
execFileSync("taskset", ["--pid", "--cpu-list", "0", String(process.pid)]);

const uplink = await openUplink();
const events: EventState[] = [];
const stop = captureEvents(
  uplink.takeRing(),
  (slot) => uplink.slots.owner(slot),
  (event) => events.push(event),
);
after(() => {
  stop();
  return uplink.close();
});
beforeEach(() => uplink.forget());

async function apply(
  rules: readonly RuleRecord[],
  eventsPerSecond = UNLIMITED,
  mode: "Enforce" | "Audit" = "Enforce",
): Promise<void> {
  await uplink.apply({ policies: [policy("edge", rules, { mode })], eventsPerSecond });
}

/** Events of so many runs, and how many were lost. */
async function collect(frame: Uint8Array, runs = 1) {
  const before = { events: events.length, lost: uplink.datapath.eventsLost() };
  for (let run = 0; run < runs; run++) uplink.run(frame);
  const lost = Number(uplink.datapath.eventsLost() - before.lost);
  for (let turn = 0; turn < 20; turn++) await nextTurn();
  return { seen: events.slice(before.events), lost };
}

describe("an event", () => {
  it("names rule, effect, interface, length and bytes, and the time", async () => {
    await apply([rule("web", "Drop", { logOneIn: 1 })]);
    const from = Date.now();
    const { seen } = await collect(FRAME);
    const { time, ...rest } = seen[0]!;
    assert.equal(seen.length, 1);
    assert.deepEqual(rest, {
      policy: "edge",
      rule: "web",
      effect: "drop",
      audit: false,
      interface: "lo",
      length: FRAME.length,
      bytes: FRAME.toString("base64"),
    });
    const at = Date.parse(time);
    assert.ok(at >= from - 5 && at <= Date.now() + 5, `${time}, from ${from}`);
  });

  it("holds the first 128 bytes, or all of a shorter frame, to the byte", async () => {
    await apply([rule("any", "Accept", { logOneIn: 1 })]);
    const head = packet(eth(), ipv4(), udp()).length;
    for (const length of [
      head,
      43,
      44,
      45,
      46,
      47,
      48,
      49,
      50,
      119,
      120,
      121,
      127,
      128,
      129,
      135,
      136,
      1514,
    ]) {
      const frame = packet(eth(), ipv4(), udp(), payload(length - head));
      assert.equal(frame.length, length);
      const { seen } = await collect(frame);
      assert.equal(seen[0]?.length, length);
      const expected = frame.subarray(0, 128).toString("base64");
      assert.equal(seen[0]?.bytes, expected, `${length} bytes`);
    }
  });

  it("says what the rule did, or would have done", async () => {
    const redirect = { kind: "Redirect", target: { kind: "interface", name: "eth1" } } as const;
    for (const mode of ["Enforce", "Audit"] as const) {
      for (const [action, effect] of [
        ["Accept", "accept"],
        ["Drop", "drop"],
        ["Pass", "pass"],
        [redirect, "redirect"],
        [limit({ unit: "bytes", rate: 1, burst: 1 }), "above limit"],
      ] as const) {
        await apply([rule("hit", action, { logOneIn: 1 })], UNLIMITED, mode);
        const { seen } = await collect(FRAME);
        const parts = seen.map((event) => [event.effect, event.audit]);
        assert.deepEqual(parts, [[effect, mode === "Audit"]]);
      }
    }
  });

  it("comes from every rule on the way that reports, in order", async () => {
    await apply([
      rule("first", limit({ rate: 1e6, burst: 1e6 }), { logOneIn: 1 }),
      rule("silent", limit({ unit: "bytes", rate: 1e6, burst: 1e6 })),
      rule("last", "Drop", { logOneIn: 1 }),
    ]);
    const { seen } = await collect(FRAME);
    // A limit reports what is above it.
    assert.deepEqual(
      seen.map((event) => event.rule),
      ["last"],
    );
  });
});

describe("sampling", () => {
  it("one in N on average, none at 0", async () => {
    const runs = 4000;
    for (const [oneIn, least, most] of [
      [0, 0, 0],
      [1, runs, runs],
      // Five standard deviations to either side.
      [10, 305, 495],
      [100, 9, 72],
    ] as const) {
      await apply([rule("any", "Drop", { logOneIn: oneIn })]);
      const { seen, lost } = await collect(FRAME, runs);
      assert.equal(lost, 0);
      assert.ok(
        seen.length >= least && seen.length <= most,
        `${seen.length} of ${runs}, 1 in ${oneIn}`,
      );
    }
  });

  it("what is above the cap is counted as lost, and judged like all others", async () => {
    const [perSecond, atOnce] = [50, 5];
    const runs = 200;
    await apply([rule("any", "Drop", { logOneIn: 1 })], perSecond);
    // The budget that earlier events used up is whole again.
    await sleep(100);
    const before = uplink.counterOf("edge", "any").packets;
    const start = performance.now();
    const { seen, lost } = await collect(FRAME, runs);
    const refilled = Math.floor(((performance.now() - start) / 1000) * perSecond);
    assert.equal(seen.length + lost, runs);
    assert.ok(seen.length >= atOnce, `${seen.length} seen`);
    assert.ok(seen.length <= atOnce + refilled, `${seen.length} seen, ${refilled} more allowed`);
    assert.equal(uplink.counterOf("edge", "any").packets - before, BigInt(runs));
  });

  it("a cap of 0 turns events off: all are lost", async () => {
    await apply([rule("any", "Drop", { logOneIn: 1 })], 0);
    const { seen, lost } = await collect(FRAME, 10);
    assert.deepEqual([seen.length, lost], [0, 10]);
  });

  it("a ring that nobody empties fills up: what does not fit is lost, the rest arrives", async () => {
    await apply([rule("any", "Drop", { logOneIn: 1 })]);
    // The reader runs between turns of the event loop, so all of this is one turn.
    const { seen, lost } = await collect(FRAME, 8000);
    assert.ok(lost > 0, "the ring holds fewer than 8,000 events");
    assert.equal(seen.length + lost, 8000);
    const after = await collect(FRAME, 3);
    assert.deepEqual([after.seen.length, after.lost], [3, 0]);
  });
});
