/** The token buckets of pods by test run: what is above a rate, in which direction, and by how many bytes (docs/pods.md). */

import assert from "node:assert/strict";
import { after, beforeEach, describe, it } from "node:test";
import { PodRate } from "../../datapath/generated/layout.js";
import { eventually } from "../support/eventually.js";
import { tcp, udp } from "../support/transports.js";
import { openFixture } from "./fixture.js";
import type { Met, PodRule } from "./harness.js";

const f = await openFixture();
after(() => f.close());

const unlimited = { ingress: undefined, egress: undefined };
/** Ten bytes in a second: nothing comes back while a test runs. */
const trickle = (burstBytes?: number) => ({
  bitsPerSecond: 80,
  burstBits: burstBytes === undefined ? undefined : burstBytes * 8,
});

beforeEach(async () => {
  await f.pods.apply([]);
  for (const name of ["a", "b", "c"]) f.pods.limit(name, unlimited);
});

const steps = ({ steps: found }: Met) =>
  found.map(({ at, verdict, reason }) => `${at} ${verdict} ${reason}`);
/** A frame of 100 bytes. */
const hundred = (from: string, to: string, family: 4 | 6 = 4) => {
  const head = f.packetOf(from, to, family, udp());
  return Buffer.concat([head, Buffer.alloc(100 - head.length)]);
};
const send = (from: string, to: string, family: 4 | 6 = 4) =>
  f.out(from, hundred(from, to, family));
const fullAt = (slot: number) => {
  const { podRates } = f.pods.datapath;
  return PodRate.decode(podRates.view, slot * podRates.stride);
};

describe("what a pod sends", () => {
  it("passes up to its burst, and is dropped above it, whoever receives it", () => {
    f.pods.limit("a", { ...unlimited, egress: trickle(1000) });
    for (let number = 0; number < 10; number++) {
      assert.equal(send("a", "b", number % 2 === 0 ? 4 : 6).action, "redirect", `${number}`);
    }
    for (const [to, family] of [
      ["b", 4],
      ["b", 6],
      ["c", 4],
    ] as const) {
      const met = send("a", to, family);
      assert.deepEqual([met.action, steps(met)], ["drop", ["a:out drop limit"]]);
    }
  });

  it("leaves what it receives, and what others send, alone", () => {
    f.pods.limit("a", { ...unlimited, egress: trickle(100) });
    send("a", "b");
    assert.equal(send("a", "b").action, "drop");
    for (let number = 0; number < 20; number++) {
      assert.equal(send("b", "a").action, "redirect");
      assert.equal(send("c", "b").action, "redirect");
    }
  });
});

describe("what a pod receives", () => {
  it("is dropped above its rate, when another pod sends it and when the stack hands it on", () => {
    f.pods.limit("b", { ...unlimited, ingress: trickle(200) });
    assert.equal(send("a", "b").action, "redirect");
    assert.equal(send("a", "b").action, "redirect");
    assert.deepEqual(steps(send("a", "b")), ["a:out pass flow", "b:in drop limit"]);
    const outside = hundred("c", "b");
    assert.deepEqual(steps(f.in("b", outside, "uplink")), ["b:in drop limit"]);
    assert.equal(send("b", "a").action, "redirect");
  });

  it("passes when its own node sends it: probes are not the network's", () => {
    f.pods.limit("b", { ...unlimited, ingress: trickle(100) });
    send("a", "b");
    assert.deepEqual(steps(send("a", "b")), ["a:out pass flow", "b:in drop limit"]);
    assert.deepEqual(steps(f.in("b", hundred("a", "b"))), ["b:in pass not-judged"]);
  });

  it("costs nothing when the rules refuse it", async () => {
    const rules: readonly PodRule[] = [{ rule: "closed", action: "Drop", ingressOf: ["b"] }];
    f.pods.limit("b", { ...unlimited, ingress: trickle(100) });
    await f.pods.apply(rules);
    for (let number = 0; number < 5; number++) {
      assert.deepEqual(steps(send("c", "b")).at(-1), "b:in drop rule");
    }
    await f.pods.apply([]);
    assert.equal(send("c", "b").action, "redirect");
  });
});

describe("a bucket", () => {
  it("lets one packet through that is larger than its burst, and the next ones pay for it", () => {
    f.pods.limit("a", { ...unlimited, egress: trickle(20) });
    assert.equal(send("a", "b").action, "redirect");
    assert.equal(send("a", "b").action, "drop");
  });

  it("of a rate without a burst holds what 500 ms take", () => {
    f.pods.limit("a", { ...unlimited, egress: { bitsPerSecond: 8_000_000, burstBits: undefined } });
    const { cost, burst } = fullAt(f.pods.pod("a").slotOut);
    assert.equal((burst * 1024n) / cost, 500_000n);
  });

  it("fills again in time", async () => {
    f.pods.limit("a", { ...unlimited, egress: { bitsPerSecond: 1600, burstBits: 800 } });
    send("a", "b");
    assert.equal(send("a", "b").action, "drop");
    /* 100 bytes are half a second. */
    await eventually(() => assert.equal(send("a", "b").action, "redirect"));
  });

  it("keeps what it holds when the same rate is written again", () => {
    f.pods.limit("a", { ...unlimited, egress: trickle(1000) });
    send("a", "b");
    const before = fullAt(f.pods.pod("a").slotOut);
    assert.ok(before.fullAt > 0n);
    f.pods.relimit("a", { ...unlimited, egress: trickle(1000) });
    assert.deepEqual(fullAt(f.pods.pod("a").slotOut), before);
  });

  for (const [kind, transport, headers] of [
    ["TCP", tcp({ flags: ["ACK"] }), 14 + 20 + 20],
    ["UDP", udp(), 14 + 20 + 8],
  ] as const) {
    it(`takes a large packet of ${kind} for the frames that it becomes`, () => {
      f.pods.limit("a", { ...unlimited, egress: { bitsPerSecond: 1000, burstBits: 1e9 } });
      const frame = f.packetOf("a", "b", 4, transport);
      assert.equal(frame.length, headers);
      const large = Buffer.concat([frame, Buffer.alloc(1001)]);
      const { slotOut, index: ifIndex } = f.pods.pod("a");
      const cost = (gsoSize: number) => {
        f.pods.run(f.node, "podOut", large, { ifIndex, gsoSize });
        const before = fullAt(slotOut);
        f.pods.run(f.node, "podOut", large, { ifIndex, gsoSize });
        const after = fullAt(slotOut);
        return Math.round(Number(((after.fullAt - before.fullAt) * 1024n) / after.cost));
      };
      assert.equal(cost(0), headers + 1001);
      /* 100 bytes in each of ten frames, and the last byte in another. */
      assert.equal(cost(100), 11 * headers + 1001);
    });
  }
});
