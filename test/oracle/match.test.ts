/** Each line of docs/xdp-policy.md §3, and the peers of §1. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type {
  LabelSelector,
  Peer,
  ProtocolMatch,
  RuleRecord,
} from "../../operator/model/records.js";
import { buildFrame, type FrameSpec, icmp, sctp, TCP_FLAG_BITS, tcp, udp } from "../fuzz/frame.js";
import { cidrListOf, parseAddress, parseCidr } from "./address.js";
import { node, rule } from "./build.js";
import { ruleMatches, selectorMatches } from "./match.js";
import { parseFrame } from "./parse.js";

const WORLD = {
  nodes: [
    node("one", { role: "edge" }, ["203.0.113.1", "2001:db8:f::1"]),
    node("two", { role: "worker" }, ["203.0.113.2"]),
    node("three", { role: "edge" }, ["203.0.113.3"]),
  ],
  sets: new Map([
    [
      "bad",
      cidrListOf([
        { cidr: parseCidr("192.0.2.0/25"), expiresAt: 0 },
        { cidr: parseCidr("198.51.100.7"), expiresAt: 50 },
        { cidr: parseCidr("2001:db8:bad::/48"), expiresAt: 0 },
      ]),
    ],
    ["empty", cidrListOf([])],
  ]),
};

const PORTS = { source: 50_000, destination: 443 };

interface Sent extends Partial<Omit<FrameSpec, "source" | "destination">> {
  readonly from?: string;
  readonly to?: string;
}

/** A UDP packet 192.0.2.1:50000 → 203.0.113.1:443 unless `sent` says otherwise. */
function matches(parts: Partial<RuleRecord>, sent: Sent = {}, nowMs = 0): boolean {
  const {
    from = "192.0.2.1",
    to = from.includes(":") ? "2001:db8::2" : "203.0.113.1",
    ...rest
  } = sent;
  const frame = buildFrame({
    source: parseAddress(from),
    destination: parseAddress(to),
    protocol: 17,
    payload: udp(PORTS),
    ...rest,
  });
  const parsed = parseFrame(frame);
  assert.equal(parsed.kind, "parsed");
  return ruleMatches(rule("r", "Drop", parts), parsed.packet, WORLD, nowMs);
}

function cidrPeer(cidr: string, ...except: readonly string[]): Peer {
  return { kind: "cidr", cidr: parseCidr(cidr), except: except.map(parseCidr) };
}

const set = (setName: string): Peer => ({ kind: "cidrSet", setName });
const nodes = (selector: LabelSelector): Peer => ({ kind: "nodes", selector });

describe("fields of a rule", () => {
  it("a rule without fields matches every packet of both families", () => {
    assert.equal(matches({}), true);
    assert.equal(matches({}, { from: "2001:db8::1" }), true);
  });

  it("all given fields must match", () => {
    const fields: Partial<RuleRecord> = {
      from: [cidrPeer("192.0.2.0/24")],
      to: [cidrPeer("203.0.113.0/24")],
      protocols: [{ kind: "udp" }],
      traits: ["Fragment"],
    };
    const fragment = { id: 1, offset: 0, more: true };
    assert.equal(matches(fields, { fragment }), true);
    assert.equal(matches(fields, { fragment, from: "192.0.3.1" }), false);
    assert.equal(matches(fields, { fragment, to: "203.0.114.1" }), false);
    assert.equal(matches(fields, { fragment, protocol: 47 }), false);
    assert.equal(matches(fields), false);
  });

  it("inside a field one entry is enough", () => {
    const fields: Partial<RuleRecord> = {
      from: [cidrPeer("10.0.0.0/8"), cidrPeer("192.0.2.0/24")],
      to: [cidrPeer("10.0.0.0/8"), cidrPeer("203.0.113.1")],
      protocols: [{ kind: "tcp" }, { kind: "udp" }],
      traits: ["Fragment", "IPOptions", "ZeroPort"],
    };
    assert.equal(matches(fields, { optionWords: 1 }), true);
  });
});

describe("peers", () => {
  it("a CIDR matches from its first to its last address", () => {
    const from = [cidrPeer("192.0.2.64/26")];
    for (const [address, expected] of [
      ["192.0.2.63", false],
      ["192.0.2.64", true],
      ["192.0.2.127", true],
      ["192.0.2.128", false],
    ] as const) {
      assert.equal(matches({ from }, { from: address }), expected, address);
    }
  });

  it("/0 matches its whole family and nothing of the other", () => {
    assert.equal(matches({ from: [cidrPeer("0.0.0.0/0")] }, { from: "255.255.255.255" }), true);
    assert.equal(matches({ from: [cidrPeer("0.0.0.0/0")] }, { from: "2001:db8::1" }), false);
    assert.equal(matches({ from: [cidrPeer("::/0")] }, { from: "2001:db8::1" }), true);
    assert.equal(matches({ from: [cidrPeer("::/0")] }, { from: "0.0.0.0" }), false);
  });

  it("source and destination of two families never match together", () => {
    const fields = { from: [cidrPeer("0.0.0.0/0")], to: [cidrPeer("::/0")] };
    assert.equal(matches(fields), false);
    assert.equal(matches(fields, { from: "2001:db8::1" }), false);
  });

  it("an IPv6 CIDR reaches across its 64-bit halves", () => {
    const from = [cidrPeer("2001:db8:0:0:8000::/65")];
    assert.equal(matches({ from }, { from: "2001:db8::8000:0:0:0" }), true);
    assert.equal(matches({ from }, { from: "2001:db8::7fff:ffff:ffff:ffff" }), false);
    assert.equal(matches({ from: [cidrPeer("2001:db8::7/128")] }, { from: "2001:db8::7" }), true);
    assert.equal(matches({ from: [cidrPeer("2001:db8::7/128")] }, { from: "2001:db8::6" }), false);
  });

  it("except takes its block out of its own peer only", () => {
    const holed = cidrPeer("192.0.2.0/24", "192.0.2.0/28", "192.0.2.0/30", "192.0.2.255");
    assert.equal(matches({ from: [holed] }, { from: "192.0.2.1" }), false);
    assert.equal(matches({ from: [holed] }, { from: "192.0.2.15" }), false);
    assert.equal(matches({ from: [holed] }, { from: "192.0.2.16" }), true);
    assert.equal(matches({ from: [holed] }, { from: "192.0.2.255" }), false);
    const other = cidrPeer("192.0.2.0/29");
    assert.equal(matches({ from: [holed, other] }, { from: "192.0.2.1" }), true);
    assert.equal(matches({ from: [holed, other] }, { from: "192.0.2.8" }), false);
  });

  it("a set matches the union of its entries, an empty one nothing", () => {
    assert.equal(matches({ from: [set("bad")] }, { from: "192.0.2.127" }), true);
    assert.equal(matches({ from: [set("bad")] }, { from: "192.0.2.128" }), false);
    assert.equal(matches({ from: [set("bad")] }, { from: "2001:db8:bad:ffff::1" }), true);
    assert.equal(matches({ from: [set("bad")] }, { from: "2001:db8:bae::1" }), false);
    assert.equal(matches({ from: [set("empty")] }), false);
  });

  it("an entry of a set exists until its second begins", () => {
    const parts = { from: [set("bad")] };
    assert.equal(matches(parts, { from: "198.51.100.7" }, 49_999), true);
    assert.equal(matches(parts, { from: "198.51.100.7" }, 50_000), false);
    assert.equal(matches(parts, { from: "192.0.2.1" }, 50_000), true);
  });

  it("nodes stand for the addresses of the selected nodes", () => {
    const edge = nodes({ matchLabels: { role: "edge" } });
    assert.equal(matches({ from: [edge] }, { from: "203.0.113.1" }), true);
    assert.equal(matches({ from: [edge] }, { from: "203.0.113.2" }), false);
    assert.equal(matches({ from: [edge] }, { from: "203.0.113.3" }), true);
    assert.equal(matches({ from: [edge] }, { from: "2001:db8:f::1" }), true);
    assert.equal(matches({ to: [nodes({})] }, { to: "203.0.113.2" }), true);
    assert.equal(matches({ to: [nodes({ matchLabels: { role: "none" } })] }), false);
  });
});

describe("label selectors", () => {
  const labels = { role: "edge", zone: "a" };
  it("hold when all labels and all expressions hold", () => {
    assert.equal(selectorMatches({}, labels), true);
    assert.equal(selectorMatches({}, {}), true);
    assert.equal(selectorMatches({ matchLabels: { role: "edge", zone: "a" } }, labels), true);
    assert.equal(selectorMatches({ matchLabels: { role: "edge", zone: "b" } }, labels), false);
    const zoneB = { key: "zone", operator: "In", values: ["b"] } as const;
    assert.equal(
      selectorMatches({ matchLabels: { role: "edge" }, matchExpressions: [zoneB] }, labels),
      false,
    );
  });

  it("know In, NotIn, Exists and DoesNotExist as Kubernetes does", () => {
    const holds = (operator: "In" | "NotIn" | "Exists" | "DoesNotExist", key: string) =>
      selectorMatches({ matchExpressions: [{ key, operator, values: ["a", "c"] }] }, labels);
    assert.deepEqual(
      [holds("In", "zone"), holds("In", "role"), holds("In", "none")],
      [true, false, false],
    );
    assert.deepEqual(
      [holds("NotIn", "zone"), holds("NotIn", "role"), holds("NotIn", "none")],
      [false, true, true],
    );
    assert.deepEqual([holds("Exists", "zone"), holds("Exists", "none")], [true, false]);
    assert.deepEqual([holds("DoesNotExist", "zone"), holds("DoesNotExist", "none")], [false, true]);
  });
});

describe("protocols", () => {
  const tcpSent = (flags: number): Sent => ({ protocol: 6, payload: tcp(PORTS, flags) });
  const v6 = { from: "2001:db8::1" };
  const has = (match: ProtocolMatch, sent: Sent = {}) => matches({ protocols: [match] }, sent);

  it("an empty tcp, udp or sctp matches every packet of it in both families", () => {
    assert.equal(has({ kind: "udp" }), true);
    assert.equal(has({ kind: "udp" }, v6), true);
    assert.equal(has({ kind: "tcp" }), false);
    assert.equal(has({ kind: "tcp" }, tcpSent(0)), true);
    assert.equal(has({ kind: "sctp" }, { protocol: 132, payload: sctp(PORTS) }), true);
    assert.equal(has({ kind: "sctp" }), false);
  });

  it("ports are ranges with both ends included; source and destination are not mixed up", () => {
    for (const [start, end, expected] of [
      [443, 443, true],
      [442, 443, true],
      [443, 444, true],
      [0, 65_535, true],
      [0, 442, false],
      [444, 65_535, false],
      [50_000, 50_000, false],
    ] as const) {
      assert.equal(
        has({ kind: "udp", destinationPort: { start, end } }),
        expected,
        `${start}-${end}`,
      );
    }
    const ephemeral = { start: 50_000, end: 50_000 };
    assert.equal(has({ kind: "udp", sourcePort: ephemeral }), true);
    const https = { start: 443, end: 443 };
    assert.equal(has({ kind: "udp", sourcePort: ephemeral, destinationPort: https }), true);
    assert.equal(has({ kind: "udp", sourcePort: https, destinationPort: https }), false);
  });

  it("set flags must be set, unset ones clear, the others do not matter", () => {
    const { SYN, ACK, PSH, FIN } = TCP_FLAG_BITS;
    const opening = { kind: "tcp", flags: { set: ["SYN"], unset: ["ACK", "FIN"] } } as const;
    assert.equal(has(opening, tcpSent(SYN)), true);
    assert.equal(has(opening, tcpSent(SYN | PSH)), true);
    assert.equal(has(opening, tcpSent(SYN | ACK)), false);
    assert.equal(has(opening, tcpSent(SYN | FIN)), false);
    assert.equal(has(opening, tcpSent(PSH)), false);
    assert.equal(has({ kind: "tcp", flags: { set: [], unset: ["ACK"] } }, tcpSent(0)), true);
  });

  it("icmp is protocol 1 of IPv4 with an optional type and an optional code", () => {
    const echo: Sent = { protocol: 1, payload: icmp(8, 3) };
    assert.equal(has({ kind: "icmp" }, echo), true);
    assert.equal(has({ kind: "icmp", type: 8 }, echo), true);
    assert.equal(has({ kind: "icmp", type: 8, code: 3 }, echo), true);
    assert.equal(has({ kind: "icmp", code: 3 }, echo), true);
    assert.equal(has({ kind: "icmp", type: 0 }, echo), false);
    assert.equal(has({ kind: "icmp", type: 8, code: 0 }, echo), false);
    assert.equal(has({ kind: "icmp" }, { ...echo, ...v6 }), false);
    assert.equal(has({ kind: "icmpv6" }, echo), false);
  });

  it("icmpv6 is protocol 58 of IPv6", () => {
    const solicitation: Sent = { protocol: 58, payload: icmp(135, 0) };
    assert.equal(has({ kind: "icmpv6", type: 135 }, { ...solicitation, ...v6 }), true);
    assert.equal(has({ kind: "icmpv6", type: 136 }, { ...solicitation, ...v6 }), false);
    assert.equal(has({ kind: "icmpv6" }, solicitation), false);
  });

  it("a number matches in either family", () => {
    for (const number of [0, 1, 6, 17, 47, 58, 132, 255]) {
      const payload = number === 17 ? udp(PORTS) : tcp(PORTS, 0);
      const sent: Sent = { protocol: number, payload };
      assert.equal(has({ kind: "protocol", number }, sent), true, String(number));
      if (number !== 0) {
        assert.equal(has({ kind: "protocol", number }, { ...sent, ...v6 }), true, String(number));
      }
      assert.equal(has({ kind: "protocol", number: number ^ 2 }, sent), false);
    }
  });

  it("for IPv6 the number is that behind the extension headers", () => {
    const sent: Sent = {
      ...v6,
      outerHeaders: [
        { type: 0, units: 0 },
        { type: 60, units: 2 },
      ],
    };
    assert.equal(has({ kind: "protocol", number: 17 }, sent), true);
    assert.equal(has({ kind: "protocol", number: 0 }, sent), false);
    assert.equal(has({ kind: "protocol", number: 60 }, sent), false);
  });
});

describe("a later fragment", () => {
  const later = { id: 1, offset: 1, more: false };
  const has = (match: ProtocolMatch, protocol: number, from = "192.0.2.1") =>
    matches({ protocols: [match] }, { protocol, fragment: later, from });

  it("is matched by an entry that asks for the protocol only", () => {
    assert.equal(has({ kind: "tcp" }, 6), true);
    assert.equal(has({ kind: "udp" }, 17), true);
    assert.equal(has({ kind: "sctp" }, 132), true);
    assert.equal(has({ kind: "icmp" }, 1), true);
    assert.equal(has({ kind: "icmpv6" }, 58, "2001:db8::1"), true);
    assert.equal(has({ kind: "protocol", number: 6 }, 6), true);
  });

  it("is not matched by an entry with ports, flags or an ICMP type or code", () => {
    const all = { start: 0, end: 65_535 };
    assert.equal(has({ kind: "tcp", destinationPort: all }, 6), false);
    assert.equal(has({ kind: "udp", sourcePort: all }, 17), false);
    assert.equal(has({ kind: "sctp", sourcePort: all }, 132), false);
    assert.equal(has({ kind: "tcp", flags: { set: [], unset: ["URG"] } }, 6), false);
    assert.equal(has({ kind: "icmp", type: 0 }, 1), false);
    assert.equal(has({ kind: "icmp", code: 0 }, 1), false);
    assert.equal(has({ kind: "icmpv6", type: 128 }, 58, "2001:db8::1"), false);
  });
});
