/** Token buckets (docs/xdp-policy.md §5) on the real program. Expectations allow for the time that really passes. */

import assert from "node:assert/strict";
import { after, beforeEach, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { RateLimit } from "../../operator/model/records.js";
import { limit, policy, rule } from "../oracle/build.js";
import { eth, ipv4, ipv6, packet, payload, vlan } from "../support/packets.js";
import { tcp, udp } from "../support/transports.js";
import { openUplink } from "./harness.js";
import { assertOutcome } from "./outcome.js";

const uplink = await openUplink();
after(() => uplink.close());
beforeEach(() => uplink.forget());

const FRAME = from("192.0.2.1");

function from(source: string): Buffer {
  return packet(eth(), source.includes(":") ? ipv6({ source }) : ipv4({ source }), udp());
}

async function apply(rateLimit: Partial<RateLimit>, mode: "Enforce" | "Audit" = "Enforce") {
  const rules = [rule("slow", limit(rateLimit)), rule("rest", "Accept")];
  await uplink.apply({ policies: [policy("edge", rules, { mode })] });
}

function isWithin(frame: Buffer): boolean {
  return uplink.judge(frame).verdict === "pass";
}

/** Judges a frame many times, and says how many were within the rate and how long that took. */
function spend(
  frame: Buffer,
  times: number,
): { readonly within: number; readonly seconds: number } {
  const start = performance.now();
  let within = 0;
  for (let i = 0; i < times; i++) if (uplink.run(frame).verdict === 2) within++;
  return { within, seconds: (performance.now() - start) / 1000 };
}

/** A bucket of `burst` that refills at `rate` gives between these in so many seconds. */
function assertWithin(
  { within, seconds }: { readonly within: number; readonly seconds: number },
  burst: number,
  rate: number,
): void {
  const most = burst + Math.floor(seconds * rate) + 1;
  assert.ok(within >= burst && within <= most, `${within} within, not ${burst} to ${most}`);
}

describe("a bucket", () => {
  it("lets exactly its burst through at once, and drops the next with reason limit", async () => {
    for (const burst of [1, 2, 7, 100]) {
      uplink.forget();
      await apply({ rate: 1, burst });
      assertWithin(spend(FRAME, burst + 5), burst, 1);
    }
    const outcome = uplink.judge(FRAME);
    const above = { verdict: "drop", reason: "limit", counted: ["edge/slow above"] } as const;
    assertOutcome(outcome, above);
  });

  it("counts all it matched, and apart from that what was above", async () => {
    await apply({ rate: 1, burst: 3 });
    const earlier = uplink.counterOf("edge", "slow");
    const { within } = spend(FRAME, 10);
    const later = uplink.counterOf("edge", "slow");
    assert.equal(later.packets - earlier.packets, 10n);
    assert.equal(later.bytes - earlier.bytes, BigInt(10 * FRAME.length));
    assert.equal(later.exceededPackets - earlier.exceededPackets, BigInt(10 - within));
    assert.equal(later.exceededBytes - earlier.exceededBytes, BigInt((10 - within) * FRAME.length));
  });

  it("a packet above the rate takes no token: what is left is for the next that fits", async () => {
    const small = packet(eth(), ipv4(), udp(), payload(58));
    const large = packet(eth(), ipv4(), udp(), payload(958));
    assert.deepEqual([small.length, large.length], [100, 1000]);
    await apply({ unit: "bytes", rate: 1, burst: 1050 });
    assert.deepEqual([large, large, small].map(isWithin), [true, false, false]);
    uplink.forget();
    assert.deepEqual([small, large, large, small].map(isWithin), [true, false, false, true]);
  });

  it("of bytes is spent by the length of the frame from its Ethernet header", async () => {
    await apply({ unit: "bytes", rate: 1, burst: 1000 });
    const plain = packet(eth(), ipv4(), udp(), payload(58));
    assertWithin(spend(plain, 15), 10, 1 / plain.length);
    uplink.forget();
    const tagged = packet(eth(), vlan(), vlan(), ipv4(), udp(), payload(75));
    assert.equal(tagged.length, 125);
    assertWithin(spend(tagged, 15), 8, 1 / tagged.length);
  });

  it("smaller than a packet lets none through", async () => {
    await apply({ unit: "bytes", rate: 1, burst: FRAME.length - 1 });
    assert.equal(spend(FRAME, 3).within, 0);
    await apply({ unit: "bytes", rate: 1, burst: FRAME.length, per: "SourceAddress" });
    assert.equal(spend(FRAME, 3).within, 1);
    await apply({ unit: "bytes", rate: 1, burst: FRAME.length - 1, per: "SourceAddress" });
    assert.equal(spend(from("192.0.2.9"), 3).within, 0);
  });

  for (const per of ["Node", "SourceAddress"] as const) {
    it(`per ${per} refills at its rate, up to the burst and no further`, async () => {
      const [rate, burst] = [200, 20];
      await apply({ rate, burst, per });
      assertWithin(spend(FRAME, 60), burst, rate);
      const drained = performance.now();
      await sleep(50);
      const least = Math.floor(((performance.now() - drained) / 1000) * rate);
      const { within } = spend(FRAME, 60);
      const most = Math.ceil(((performance.now() - drained) / 1000) * rate) + 1;
      assert.ok(within >= Math.min(burst, least), `${within} within, not ${least}`);
      assert.ok(within <= most, `${within} within, not at most ${most}`);
      await sleep((1000 * burst) / rate + 200);
      assertWithin(spend(FRAME, 60), burst, rate);
    });
  }

  it("runs at high rates as at low ones", async () => {
    await apply({ rate: 1e9, burst: 1e9 });
    assert.equal(spend(FRAME, 200).within, 200);
    await apply({ unit: "bytes", rate: 1e11, burst: 1e11 });
    assert.equal(spend(FRAME, 200).within, 200);
  });
});

describe("what has a bucket of its own", () => {
  const sources = ["192.0.2.1", "192.0.2.2", "192.0.3.1", "10.0.0.1"];
  const sources6 = ["2001:db8:1:2::1", "2001:db8:1:2::2", "2001:db8:1:3::1", "fe80::1"];

  async function withinOnce(rateLimit: Partial<RateLimit>): Promise<readonly boolean[]> {
    uplink.forget();
    await apply({ rate: 1, burst: 1, ...rateLimit });
    return [...sources, ...sources6].map((source) => isWithin(from(source)));
  }

  it("per Node: one for all sources of both families", async () => {
    const [first, ...others] = await withinOnce({ per: "Node" });
    assert.equal(first, true);
    assert.ok(others.every((within) => !within));
  });

  it("per SourceAddress: one for each", async () => {
    assert.ok((await withinOnce({ per: "SourceAddress" })).every((within) => within));
    assert.ok(sources.every((source) => !isWithin(from(source))));
    assert.ok(sources6.every((source) => !isWithin(from(source))));
  });

  it("per SourcePrefix: one for each prefix of the given length, by default /24 and /64", async () => {
    const byDefault = await withinOnce({ per: "SourcePrefix" });
    assert.deepEqual(byDefault, [true, false, true, true, true, false, true, true]);
    const wide = { per: "SourcePrefix", ipv4PrefixLength: 16, ipv6PrefixLength: 48 } as const;
    assert.deepEqual(await withinOnce(wide), [true, false, false, true, true, false, false, true]);
    const whole = { per: "SourcePrefix", ipv4PrefixLength: 32, ipv6PrefixLength: 128 } as const;
    assert.ok((await withinOnce(whole)).every((within) => within));
  });

  it("per SourcePrefix at any length: the last bit inside counts, the first bit behind does not", async () => {
    const address4 = (bit: number) => {
      const value = bit === 0 ? 0 : 2 ** (32 - bit);
      return [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join(".");
    };
    const address6 = (bit: number) => {
      const value = bit === 0 ? 0n : 1n << BigInt(128 - bit);
      return Array.from({ length: 8 }, (_, at) =>
        ((value >> BigInt(112 - 16 * at)) & 0xffffn).toString(16),
      ).join(":");
    };
    for (const length of [1, 7, 8, 9, 31, 32]) {
      uplink.forget();
      await apply({ rate: 1, burst: 1, per: "SourcePrefix", ipv4PrefixLength: length });
      assert.equal(isWithin(from(address4(0))), true);
      assert.equal(isWithin(from(address4(length))), true, `bit ${length} of /${length}`);
      if (length < 32) assert.equal(isWithin(from(address4(length + 1))), false, `/${length}`);
    }
    for (const length of [1, 31, 32, 33, 63, 64, 65, 96, 97, 127, 128]) {
      uplink.forget();
      await apply({ rate: 1, burst: 1, per: "SourcePrefix", ipv6PrefixLength: length });
      assert.equal(isWithin(from(address6(0))), true);
      assert.equal(isWithin(from(address6(length))), true, `bit ${length} of /${length}`);
      if (length < 128) assert.equal(isWithin(from(address6(length + 1))), false, `/${length}`);
    }
  });

  it("an IPv4 and an IPv6 source of the same leading bits share none", async () => {
    await apply({ rate: 1, burst: 1, per: "SourceAddress" });
    assert.equal(isWithin(from("32.1.13.184")), true);
    assert.equal(isWithin(from("2001:db8::")), true);
    uplink.forget();
    await apply({ rate: 1, burst: 1, per: "SourcePrefix", ipv6PrefixLength: 32 });
    assert.equal(isWithin(from("32.1.13.0")), true);
    assert.equal(isWithin(from("2001:d00::")), true);
  });

  it("two rules share none, though they see the same packet", async () => {
    const rules = [
      rule("first", limit({ rate: 1, burst: 3, per: "SourceAddress" })),
      rule("second", limit({ rate: 1, burst: 2, per: "SourceAddress" })),
    ];
    await uplink.apply({ policies: [policy("edge", rules)] });
    const counted = Array.from({ length: 4 }, () => uplink.judge(FRAME).counted);
    assert.deepEqual(counted, [
      ["edge/first", "edge/second"],
      ["edge/first", "edge/second"],
      ["edge/first", "edge/second above"],
      ["edge/first above"],
    ]);
  });

  it("a rule that takes several bits spends from one", async () => {
    const port = (start: number, end = start) => ({ start, end });
    const slow = rule("slow", limit({ rate: 1, burst: 2 }), {
      protocols: [
        { kind: "tcp", destinationPort: port(1), sourcePort: port(2) },
        { kind: "tcp", destinationPort: port(3), sourcePort: port(4) },
      ],
    });
    await uplink.apply({ policies: [policy("edge", [slow])] });
    const one = packet(eth(), ipv4(), tcp({ destinationPort: 1, sourcePort: 2 }));
    const other = packet(eth(), ipv4(), tcp({ destinationPort: 3, sourcePort: 4 }));
    assert.deepEqual([one, other, one, other].map(isWithin), [true, true, false, false]);
  });
});

describe("a bucket and changes", () => {
  it("it keeps its level when rules around it change, and starts full for a source that is new", async () => {
    await apply({ rate: 1, burst: 1, per: "SourceAddress" });
    assert.deepEqual([FRAME, FRAME].map(isWithin), [true, false]);
    const rules = [
      rule("new", "Drop", { protocols: [{ kind: "protocol", number: 89 }] }),
      rule("slow", limit({ rate: 1, burst: 1, per: "SourceAddress" })),
    ];
    await uplink.apply({ policies: [policy("edge", rules)] });
    assert.equal(isWithin(FRAME), false);
    assert.equal(isWithin(from("192.0.2.200")), true);
  });

  it("an audit policy spends, counts what it would have dropped, and drops nothing", async () => {
    await apply({ rate: 1, burst: 1 }, "Audit");
    const outcomes = [FRAME, FRAME].map((frame) => uplink.judge(frame));
    assertOutcome(outcomes[0]!, { verdict: "pass", counted: ["edge/slow", "edge/rest"] });
    assertOutcome(outcomes[1]!, { verdict: "pass", counted: ["edge/slow above"] });
  });
});
