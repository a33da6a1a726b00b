/** Fragments (docs/xdp-policy.md §4) on the real program: what first and later ones meet, and what is remembered. */

import assert from "node:assert/strict";
import { after, beforeEach, describe, it } from "node:test";
import type { ProtocolMatch } from "../../operator/model/records.js";
import { limit, policy, rule } from "../oracle/build.js";
import {
  destinationOptions,
  eth,
  fragment,
  ipv4,
  ipv6,
  type Layer,
  packet,
  payload,
  Protocol,
} from "../support/packets.js";
import { icmp, icmpv6, tcp, udp } from "../support/transports.js";
import { openUplink } from "./harness.js";
import { assertOutcome, type Outcome } from "./outcome.js";

const port = (kind: "tcp" | "udp", number: number): readonly ProtocolMatch[] => [
  { kind, destinationPort: { start: number, end: number } },
];

const RULES = [
  rule("closed", "Drop", { protocols: port("udp", 9) }),
  rule("open", "Accept", { protocols: port("udp", 53) }),
  rule("slow", limit({ rate: 1, burst: 1 }), { protocols: port("udp", 5000) }),
  rule("slow-open", "Accept", { protocols: port("udp", 5000) }),
  rule(
    "aside",
    { kind: "Redirect", target: { kind: "interface", name: "eth1" } },
    {
      protocols: port("udp", 6000),
    },
  ),
  rule(
    "gone",
    { kind: "Redirect", target: { kind: "interface", name: "nowhere" } },
    {
      protocols: port("udp", 6001),
    },
  ),
  rule("web", "Accept", { protocols: port("tcp", 80) }),
  rule("any-port", "Drop", {
    protocols: [{ kind: "tcp", destinationPort: { start: 0, end: 65535 } }],
  }),
  rule("syn", "Drop", { protocols: [{ kind: "tcp", flags: { set: ["SYN"], unset: [] } }] }),
  rule("ping", "Accept", {
    protocols: [
      { kind: "icmp", type: 8 },
      { kind: "icmpv6", type: 128 },
    ],
  }),
  rule("all-sctp", "Drop", { protocols: [{ kind: "sctp" }] }),
  rule("options-first", "Accept", { protocols: [{ kind: "protocol", number: 60 }] }),
];

const uplink = await openUplink();
after(() => uplink.close());
await uplink.apply({ policies: [policy("edge", RULES)] });
beforeEach(() => uplink.forget());

interface Datagram {
  readonly id?: number;
  readonly source?: string;
  readonly destination?: string;
  /** Of the whole datagram. */
  readonly protocol?: number;
}

/** The two families, so that every behaviour is shown for both. */
const FAMILIES = {
  IPv4: {
    source: "192.0.2.7",
    destination: "192.0.2.8",
    other: "192.0.2.9",
    first: ({ id = 1, source, destination }: Datagram, ...inner: readonly Layer[]) =>
      packet(
        eth(),
        ipv4({ id, moreFragments: true, ...addresses("IPv4", source, destination) }),
        ...inner,
      ),
    later: (
      { id = 1, source, destination, protocol = 17 }: Datagram,
      offset: number,
      last = true,
    ) =>
      packet(
        eth(),
        ipv4({
          id,
          protocol,
          fragmentOffset: offset,
          moreFragments: !last,
          ...addresses("IPv4", source, destination),
        }),
        payload(16),
      ),
  },
  IPv6: {
    source: "2001:db8::7",
    destination: "2001:db8::8",
    other: "2001:db8::9",
    first: ({ id = 1, source, destination }: Datagram, ...inner: readonly Layer[]) =>
      packet(
        eth(),
        ipv6(addresses("IPv6", source, destination)),
        fragment({ id, more: true }),
        ...inner,
      ),
    later: (
      { id = 1, source, destination, protocol = 17 }: Datagram,
      offset: number,
      last = true,
    ) =>
      packet(
        eth(),
        ipv6(addresses("IPv6", source, destination)),
        fragment({ id, offset, more: !last, nextHeader: protocol }),
        payload(16),
      ),
  },
} as const;

function addresses(family: keyof typeof FAMILIES, source?: string, destination?: string) {
  const defaults = FAMILIES[family];
  return { source: source ?? defaults.source, destination: destination ?? defaults.destination };
}

const DROPPED_BY_CLOSED: Outcome = {
  verdict: "drop",
  reason: "rule",
  protocol: Protocol.udp,
  counted: ["edge/closed"],
};
const UNMATCHED: Outcome = { verdict: "pass", reason: "no-rule", protocol: 17, counted: [] };

for (const [family, { first, later, other }] of Object.entries(FAMILIES)) {
  describe(`${family} fragments`, () => {
    const toPort = (destinationPort: number) => udp({ destinationPort, length: 1400 });

    it("the first has ports; the later ones get its verdict and count on its rule", () => {
      assert.deepEqual(uplink.judge(first({}, toPort(9), payload(16))), DROPPED_BY_CLOSED);
      assert.deepEqual(uplink.judge(later({}, 24, false)), DROPPED_BY_CLOSED);
      assert.deepEqual(uplink.judge(later({}, 40)), DROPPED_BY_CLOSED);

      const accepted: Partial<Outcome> = { verdict: "pass", counted: ["edge/open"] };
      assertOutcome(uplink.judge(first({ id: 2 }, toPort(53), payload(16))), accepted);
      assertOutcome(uplink.judge(later({ id: 2 }, 24)), accepted);
    });

    it("a later one without its first is judged by the rules, by addresses and protocol alone", () => {
      assert.deepEqual(uplink.judge(later({}, 24)), UNMATCHED);
      const expected: readonly (readonly [number, Partial<Outcome>])[] = [
        [Protocol.tcp, { verdict: "pass", reason: "no-rule" }],
        [family === "IPv4" ? Protocol.icmp : Protocol.icmpv6, { reason: "no-rule" }],
        [Protocol.sctp, { verdict: "drop", reason: "rule", counted: ["edge/all-sctp"] }],
      ];
      for (const [protocol, outcome] of expected) {
        assertOutcome(uplink.judge(later({ protocol }, 24)), { protocol, ...outcome });
      }
    });

    it("a later one follows only a first of its own datagram", () => {
      uplink.judge(first({}, toPort(9), payload(16)));
      for (const datagram of [{ id: 2 }, { source: other }, { destination: other }]) {
        assert.deepEqual(uplink.judge(later(datagram, 24)), UNMATCHED);
      }
      assertOutcome(uplink.judge(later({ protocol: 6 }, 24)), { reason: "no-rule", protocol: 6 });
      assert.deepEqual(uplink.judge(later({}, 24)), DROPPED_BY_CLOSED);
    });

    it("the memory ends after 30 s", () => {
      const { fragments } = uplink.datapath;
      uplink.judge(first({}, toPort(9), payload(16)));
      const [[key, remembered] = []] = [...fragments.entries()];
      assert.ok(key !== undefined && remembered !== undefined);
      const leftNs = remembered.untilNs - process.hrtime.bigint();
      assert.ok(leftNs > 25_000_000_000n && leftNs <= 30_000_000_000n, `${leftNs} ns are left`);
      fragments.update(key, { ...remembered, untilNs: process.hrtime.bigint() - 1n });
      assert.deepEqual(uplink.judge(later({}, 24)), UNMATCHED);
    });

    it("a datagram above its rate is above it whole", () => {
      const within = { verdict: "pass", counted: ["edge/slow", "edge/slow-open"] } as const;
      const above = { verdict: "drop", reason: "limit", counted: ["edge/slow above"] } as const;
      assertOutcome(uplink.judge(first({ id: 1 }, toPort(5000), payload(16))), within);
      assertOutcome(uplink.judge(first({ id: 2 }, toPort(5000), payload(16))), above);
      assertOutcome(uplink.judge(later({ id: 2 }, 24)), above);
      assertOutcome(uplink.judge(later({ id: 1 }, 24)), {
        verdict: "pass",
        counted: ["edge/slow-open"],
      });
    });

    it("a datagram is redirected whole, and dropped whole when the target is missing", () => {
      const aside = { verdict: "redirect", reason: "rule", counted: ["edge/aside"] } as const;
      assertOutcome(uplink.judge(first({ id: 1 }, toPort(6000), payload(16))), aside);
      assertOutcome(uplink.judge(later({ id: 1 }, 24)), aside);
      const gone = { verdict: "drop", reason: "redirect", counted: ["edge/gone"] } as const;
      assertOutcome(uplink.judge(first({ id: 2 }, toPort(6001), payload(16))), gone);
      assertOutcome(uplink.judge(later({ id: 2 }, 24)), gone);
    });

    it("a first that no rule matched lets its later ones pass", () => {
      assert.deepEqual(uplink.judge(first({}, toPort(7), payload(16))), UNMATCHED);
      assert.deepEqual(uplink.judge(later({}, 24)), UNMATCHED);
      assert.equal([...uplink.datapath.fragments.keys()].length, 1);
    });

    it("one that overlaps the header of an accepted first cannot show other ports", () => {
      uplink.judge(first({}, toPort(53), payload(16)));
      assertOutcome(uplink.judge(later({}, 8)), { verdict: "pass", counted: ["edge/open"] });
      // A second first fragment is judged for itself, and from then on decides.
      assert.deepEqual(uplink.judge(first({}, toPort(9), payload(16))), DROPPED_BY_CLOSED);
      assert.deepEqual(uplink.judge(later({}, 8)), DROPPED_BY_CLOSED);
    });

    it("a first that is cut inside its header is dropped as truncated and not remembered", () => {
      for (let length = 0; length < 20; length++) {
        const header = packet(tcp({ destinationPort: 80 })).subarray(0, length);
        const inner =
          family === "IPv4"
            ? [ipv4({ id: 3, moreFragments: true, protocol: 6 })]
            : [ipv6(), fragment({ id: 3, more: true, nextHeader: 6 })];
        const frame = packet(eth(), ...inner, payload(header));
        assertOutcome(uplink.judge(frame), { verdict: "drop", reason: "truncated", counted: [] });
      }
      assert.equal([...uplink.datapath.fragments.keys()].length, 0);
    });

    it("in a first, UDP's length and TCP's options may point beyond the fragment", () => {
      assertOutcome(uplink.judge(first({}, toPort(53))), { verdict: "pass", reason: "rule" });
      const cut = tcp({ destinationPort: 80, headerWords: 15 });
      assertOutcome(uplink.judge(first({ id: 2 }, cut)), { counted: ["edge/web"] });
      const short = tcp({ destinationPort: 80, headerWords: 4 });
      assertOutcome(uplink.judge(first({ id: 3 }, short)), { reason: "truncated" });
      const small = udp({ length: 7 });
      assertOutcome(uplink.judge(first({ id: 4 }, small)), { reason: "truncated" });
    });

    it("flags, types and even a range of all ports match the first only", () => {
      const syn = tcp({ destinationPort: 81 });
      assertOutcome(uplink.judge(first({}, syn)), { counted: ["edge/any-port"] });
      uplink.forget();
      assertOutcome(uplink.judge(later({ protocol: 6 }, 24)), { counted: [] });
      const echo = family === "IPv4" ? icmp() : icmpv6();
      assertOutcome(uplink.judge(first({}, echo)), { counted: ["edge/ping"] });
    });
  });
}

describe("IPv6 fragment headers", () => {
  it("one with offset 0 and no more to come is a whole packet, which nothing remembers", () => {
    const whole = packet(eth(), ipv6(), fragment(), udp({ destinationPort: 9 }));
    assert.deepEqual(uplink.judge(whole), DROPPED_BY_CLOSED);
    assert.equal([...uplink.datapath.fragments.keys()].length, 0);
    // Two reserved bits stand between offset and "more".
    const reserved = packet(eth(), ipv6(), fragment({ offset: 6 }), udp({ destinationPort: 9 }));
    assert.deepEqual(uplink.judge(reserved), DROPPED_BY_CLOSED);
    assert.equal([...uplink.datapath.fragments.keys()].length, 0);
    const lying = packet(eth(), ipv6(), fragment(), udp({ length: 1400 }));
    assertOutcome(uplink.judge(lying), { verdict: "drop", reason: "truncated" });
  });

  it("later ones are told apart by the protocol of the fragment header, which the first has too", () => {
    const addresses = { source: "2001:db8::7", destination: "2001:db8::8" };
    const first = packet(
      eth(),
      ipv6(addresses),
      fragment({ id: 1, more: true }),
      destinationOptions(),
      udp({ destinationPort: 9, length: 1400 }),
    );
    assert.deepEqual(uplink.judge(first), DROPPED_BY_CLOSED);
    const { later } = FAMILIES.IPv6;
    const follows = uplink.judge(later({ protocol: Protocol.destinationOptions }, 24));
    assert.deepEqual(follows, { ...DROPPED_BY_CLOSED, protocol: Protocol.destinationOptions });
    assert.deepEqual(uplink.judge(later({ protocol: Protocol.udp }, 24)), UNMATCHED);
  });

  it("the protocol of a later one is what its fragment header names, extension or not", () => {
    const { later } = FAMILIES.IPv6;
    const outcome = uplink.judge(later({ protocol: Protocol.destinationOptions }, 24));
    assertOutcome(outcome, { protocol: 60, counted: ["edge/options-first"] });
  });
});

it("IPv4 and IPv6 datagrams of one id do not meet", () => {
  uplink.judge(FAMILIES.IPv4.first({}, udp({ destinationPort: 9, length: 1400 })));
  assert.deepEqual(uplink.judge(FAMILIES.IPv6.later({}, 24)), UNMATCHED);
});

it("a later fragment follows its first to another interface that is judged, and to no other", () => {
  uplink.judge(FAMILIES.IPv4.first({}, udp({ destinationPort: 9, length: 1400 })));
  const outcome = uplink.judge(FAMILIES.IPv4.later({}, 24), "eth1");
  assertOutcome(outcome, { verdict: "pass", reason: "not-judged", counted: [] });
});
