/** Connections the node opened (docs/xdp-policy.md §8), by test runs of both programs; real ones are in connections-wire.test.ts. */

import assert from "node:assert/strict";
import { after, beforeEach, describe, it } from "node:test";
import type { Connection, ConnectionKey } from "../../datapath/generated/layout.js";
import { policy, rule } from "../oracle/build.js";
import {
  eth,
  fragment,
  hopByHop,
  ipv4,
  ipv6,
  type Layer,
  packet,
  payload,
  Protocol,
  vlan,
} from "../support/packets.js";
import { icmp, icmpv6, sctp, tcp, type TcpFlag, udp } from "../support/transports.js";
import { openUplink } from "./harness.js";
import { assertOutcome } from "./outcome.js";

const SECOND_NS = 1_000_000_000n;
const ESTABLISHED = { verdict: "pass", reason: "established", counted: [] } as const;
const DROPPED = { verdict: "drop", reason: "default", counted: ["closed/default"] } as const;
const SETUP = {
  policies: [
    policy(
      "closed",
      [
        rule("never", "Drop", {
          protocols: [{ kind: "udp", sourcePort: { start: 666, end: 666 } }],
        }),
      ],
      { defaultAction: "Drop" },
    ),
  ],
} as const;

const uplink = await openUplink();
after(() => uplink.close());
beforeEach(async () => {
  await uplink.apply(SETUP);
  uplink.forget();
});

interface Family {
  readonly node: string;
  readonly peer: string;
  readonly other: string;
  readonly ip: (source: string, destination: string) => Layer;
  readonly icmp: typeof icmp;
  readonly echo: number;
  readonly echoReply: number;
  /** Types that report an error, and some that do not. */
  readonly errors: readonly number[];
  readonly notErrors: readonly number[];
}

const FAMILIES: Readonly<Record<string, Family>> = {
  IPv4: {
    node: "192.0.2.1",
    peer: "198.51.100.1",
    other: "198.51.100.2",
    ip: (source, destination) => ipv4({ source, destination }),
    icmp,
    echo: 8,
    echoReply: 0,
    errors: [3, 11, 12],
    notErrors: [4, 5, 9, 13],
  },
  IPv6: {
    node: "2001:db8::1",
    peer: "2001:db8:1::1",
    other: "2001:db8:1::2",
    ip: (source, destination) => ipv6({ source, destination }),
    icmp: icmpv6,
    echo: 128,
    echoReply: 129,
    errors: [1, 2, 3, 4],
    notErrors: [0, 5, 137, 130],
  },
};

/** The one connection that is known. */
function theEntry(): readonly [ConnectionKey, Connection] {
  const entries = [...uplink.datapath.connections.entries()];
  assert.equal(entries.length, 1);
  return entries[0]!;
}

function count(): number {
  return [...uplink.datapath.connections.keys()].length;
}

/** Makes the last packet out as old as this. */
function age(seconds: number): void {
  const [key, { lifetimeNs }] = theEntry();
  const lastOutNs = process.hrtime.bigint() - BigInt(Math.round(seconds * 1000)) * 1_000_000n;
  uplink.datapath.connections.update(key, { lifetimeNs, lastOutNs });
}

for (const [name, family] of Object.entries(FAMILIES)) {
  const { node, peer, other, ip, icmp: icmpOf } = family;
  const out = (...inner: readonly Layer[]) => packet(eth(), ip(node, peer), ...inner);
  const back = (...inner: readonly Layer[]) => packet(eth(), ip(peer, node), ...inner);
  const ports = { sourcePort: 40000, destinationPort: 443 };
  const mirrored = { sourcePort: 443, destinationPort: 40000 };

  describe(`${name}: replies`, () => {
    for (const [protocol, transport] of [
      ["TCP", tcp],
      ["UDP", udp],
      ["SCTP", sctp],
    ] as const) {
      it(`${protocol} from the address and ports that the node spoke to, and from no others`, () => {
        assertOutcome(uplink.judge(back(transport(mirrored))), DROPPED);
        uplink.send(out(transport(ports)));
        assertOutcome(uplink.judge(back(transport(mirrored))), ESTABLISHED);
        const strangers = [
          back(transport({ ...mirrored, sourcePort: 444 })),
          back(transport({ ...mirrored, destinationPort: 40001 })),
          back(transport(ports)),
          packet(eth(), ip(other, node), transport(mirrored)),
          packet(eth(), ip(peer, other), transport(mirrored)),
          back(protocol === "TCP" ? udp(mirrored) : tcp(mirrored)),
        ];
        for (const frame of strangers) assertOutcome(uplink.judge(frame), DROPPED);
      });
    }

    it("echo replies of the node's own identifier, and no other ICMP", () => {
      const { echo, echoReply } = family;
      const rest = 0x12340001;
      uplink.send(out(icmpOf({ type: echo, rest })));
      assertOutcome(uplink.judge(back(icmpOf({ type: echoReply, rest: 0x12340009 }))), ESTABLISHED);
      for (const inner of [
        icmpOf({ type: echoReply, rest: 0x12350001 }),
        icmpOf({ type: echo, rest }),
        icmpOf({ type: family.notErrors[3]!, rest }),
      ]) {
        assertOutcome(uplink.judge(back(inner)), DROPPED);
      }
    });

    it("other protocols by their addresses", () => {
      const gre = payload(Buffer.alloc(8));
      const of = (source: string, destination: string, protocol: number) =>
        name === "IPv4"
          ? packet(eth(), ipv4({ source, destination, protocol }), gre)
          : packet(eth(), ipv6({ source, destination, nextHeader: protocol }), gre);
      uplink.send(of(node, peer, Protocol.gre));
      assertOutcome(uplink.judge(of(peer, node, Protocol.gre)), ESTABLISHED);
      assertOutcome(uplink.judge(of(peer, node, Protocol.esp)), DROPPED);
      assertOutcome(uplink.judge(of(other, node, Protocol.gre)), DROPPED);
    });

    it("by a tagged interface and behind options as well", () => {
      const tagged = (source: string, destination: string, inner: Layer) =>
        packet(eth(), vlan(), ip(source, destination), inner);
      uplink.send(tagged(node, peer, udp(ports)));
      assertOutcome(uplink.judge(tagged(peer, node, udp(mirrored))), ESTABLISHED);
      const options = { source: peer, destination: node, options: Buffer.alloc(8, 1) };
      const withOptions = name === "IPv4" ? [ipv4(options)] : [ip(peer, node), hopByHop()];
      assertOutcome(uplink.judge(packet(eth(), ...withOptions, udp(mirrored))), ESTABLISHED);
    });
  });

  describe(`${name}: ICMP errors`, () => {
    /** The head of a packet as a router quotes it. */
    const quote = (frame: Buffer, bytes = 28) =>
      payload(frame.subarray(14, 14 + (name === "IPv4" ? bytes : bytes + 20)));
    const errorAbout = (frame: Buffer, type = family.errors[0]!, bytes?: number) =>
      packet(eth(), ip(other, node), icmpOf({ type, code: 1, rest: 0 }), quote(frame, bytes));

    it("about what the node sent pass, from whichever router", () => {
      const echo = icmpOf({ type: family.echo, rest: 0x77770001 });
      for (const sent of [out(tcp(ports)), out(udp(ports)), out(sctp(ports)), out(echo)]) {
        uplink.forget();
        assertOutcome(uplink.judge(errorAbout(sent)), DROPPED);
        uplink.send(sent);
        for (const type of family.errors) {
          assertOutcome(uplink.judge(errorAbout(sent, type)), ESTABLISHED, `type ${type}`);
        }
      }
    });

    it("about anything else do not", () => {
      uplink.send(out(udp(ports)));
      const strangers = [
        out(udp({ ...ports, destinationPort: 444 })),
        out(tcp(ports)),
        back(udp(mirrored)),
        packet(eth(), ip(other, peer), udp(ports)),
      ];
      for (const frame of strangers) assertOutcome(uplink.judge(errorAbout(frame)), DROPPED);
    });

    it("are errors only: other types that quote the same do not pass", () => {
      const sent = out(udp(ports));
      uplink.send(sent);
      for (const type of family.notErrors) {
        assertOutcome(uplink.judge(errorAbout(sent, type)), DROPPED, `type ${type}`);
      }
    });

    it("need the quoted addresses and ports whole", () => {
      const sent = out(udp(ports));
      uplink.send(sent);
      for (let bytes = 0; bytes < 28; bytes++) {
        assertOutcome(uplink.judge(errorAbout(sent, undefined, bytes)), DROPPED, `${bytes} bytes`);
      }
      assertOutcome(uplink.judge(errorAbout(sent)), ESTABLISHED);
    });
  });

  describe(`${name}: fragments`, () => {
    it("a reply in fragments passes whole, and leaves the default's counter alone", () => {
      const addresses = { source: peer, destination: node };
      const inner = udp({ ...mirrored, length: 900 });
      const later =
        name === "IPv4"
          ? packet(eth(), ipv4({ ...addresses, fragmentOffset: 8, protocol: 17 }), payload(8))
          : packet(eth(), ipv6(addresses), fragment({ offset: 8, nextHeader: 17 }), payload(8));
      const first =
        name === "IPv4"
          ? packet(eth(), ipv4({ ...addresses, moreFragments: true }), inner)
          : packet(eth(), ipv6(addresses), fragment({ more: true }), inner);
      uplink.send(out(udp(ports)));
      assertOutcome(uplink.judge(later), DROPPED);
      assertOutcome(uplink.judge(first), ESTABLISHED);
      assertOutcome(uplink.judge(later), ESTABLISHED);
    });
  });
}

describe("lifetime", () => {
  const out = (inner: Layer) =>
    packet(eth(), ipv4({ source: "192.0.2.1", destination: "198.51.100.1" }), inner);
  const back = (inner: Layer) =>
    packet(eth(), ipv4({ source: "198.51.100.1", destination: "192.0.2.1" }), inner);
  const segment = (...flags: readonly TcpFlag[]) => out(tcp({ flags }));
  const reply = (flags: readonly TcpFlag[] = ["ACK"]) =>
    back(tcp({ sourcePort: 80, destinationPort: 40000, flags }));
  const answer = back(udp({ sourcePort: 53, destinationPort: 40000 }));

  function assertLives(seconds: number, frame: Buffer): void {
    assert.equal(theEntry()[1].lifetimeNs, BigInt(seconds) * SECOND_NS);
    age(seconds - 1);
    assertOutcome(uplink.judge(frame), ESTABLISHED, `after ${seconds - 1} s`);
    age(seconds + 0.001);
    assertOutcome(uplink.judge(frame), DROPPED, `after ${seconds} s`);
  }

  it("120 s after the last packet out, for all but TCP", () => {
    uplink.send(out(udp()));
    assertLives(120, answer);
    uplink.send(out(udp()));
    assertLives(120, answer);
  });

  it("an hour for TCP", () => {
    uplink.send(segment("SYN"));
    uplink.send(segment("ACK"));
    assertLives(3600, reply());
  });

  for (const flag of ["FIN", "RST"] as const) {
    it(`60 s after a ${flag} out`, () => {
      uplink.send(segment("SYN"));
      uplink.send(segment(flag, "ACK"));
      assertLives(60, reply(["FIN", "ACK"]));
    });
  }

  it("the acknowledgement of the peer's FIN does not bring the hour back, a new SYN does", () => {
    uplink.send(segment("SYN"));
    uplink.send(segment("FIN", "ACK"));
    uplink.send(segment("ACK"));
    assertLives(60, reply());
    uplink.send(segment("SYN"));
    assertLives(3600, reply());
  });

  it("packets in do not prolong it", () => {
    uplink.send(out(udp()));
    age(119);
    assertOutcome(uplink.judge(answer), ESTABLISHED);
    age(121);
    assertOutcome(uplink.judge(answer), DROPPED);
  });

  it("packets out do", () => {
    uplink.send(out(udp()));
    age(100);
    uplink.send(out(udp()));
    const ageNs = process.hrtime.bigint() - theEntry()[1].lastOutNs;
    assert.ok(ageNs < 5n * SECOND_NS, `${ageNs} ns old`);
  });
});

describe("what is not the node's own", () => {
  const address = (host: number) => `198.51.${host >> 8}.${host & 255}`;
  const to = (host: number, inner: Layer) =>
    packet(eth(), ipv4({ source: "192.0.2.1", destination: address(host) }), inner);

  it("answers to a flood of SYNs, pings and datagrams to closed ports do not fill the table", () => {
    uplink.send(to(0, tcp({ sourcePort: 50000 })));
    for (let host = 1; host <= 500; host++) {
      uplink.send(to(host, tcp({ sourcePort: 80, flags: ["SYN", "ACK"] })));
      uplink.send(to(host, tcp({ sourcePort: 81, flags: ["RST", "ACK"] })));
      uplink.send(to(host, icmp({ type: 0 })));
      uplink.send(to(host, icmp({ type: 3, code: 3 })));
    }
    assert.equal(count(), 1);
    const own = packet(
      eth(),
      ipv4({ source: address(0), destination: "192.0.2.1" }),
      tcp({ sourcePort: 80, destinationPort: 50000, flags: ["SYN", "ACK"] }),
    );
    assertOutcome(uplink.judge(own), ESTABLISHED);
  });

  it("later fragments and what cannot be read are not remembered", () => {
    const later = { fragmentOffset: 8, protocol: 17, destination: address(1) };
    uplink.send(packet(eth(), ipv4(later), payload(8)));
    uplink.send(packet(eth(), ipv4({ protocol: 6 }), payload(4)));
    assert.equal(count(), 0);
  });
});

describe("other rules", () => {
  const sent = packet(eth(), ipv4(), udp({ sourcePort: 40000, destinationPort: 666 }));
  const reply = packet(
    eth(),
    ipv4({ source: "192.0.2.2", destination: "192.0.2.1" }),
    udp({ sourcePort: 666, destinationPort: 40000 }),
  );

  it("an explicit Drop is not softened", () => {
    uplink.send(sent);
    assertOutcome(uplink.judge(reply), {
      verdict: "drop",
      reason: "rule",
      counted: ["closed/never"],
    });
  });

  it("an audit policy's default does not count what is established, and the walk goes on", async () => {
    const later = policy("later", [rule("any", "Accept")], { priority: 500 });
    const watch = policy("watch", [], { defaultAction: "Drop", mode: "Audit" });
    await uplink.apply({ policies: [watch, later] });
    assertOutcome(uplink.judge(reply), {
      verdict: "pass",
      counted: ["watch/default", "later/any"],
    });
    uplink.send(sent);
    assertOutcome(uplink.judge(reply), { verdict: "pass", reason: "rule", counted: ["later/any"] });
  });

  it("nothing is remembered while no policy has a default of Drop", async () => {
    await uplink.apply({
      policies: [policy("open", [rule("any", "Drop")], { defaultAction: "Accept" })],
    });
    uplink.send(sent);
    assert.equal(count(), 0);
  });

  it("a trace sees the connection, too", () => {
    uplink.send(packet(eth(), ipv4(), udp()));
    const answer = packet(
      eth(),
      ipv4({ source: "192.0.2.2", destination: "192.0.2.1" }),
      udp({ sourcePort: 53, destinationPort: 40000 }),
    );
    const before = theEntry();
    const { verdict, slot } = uplink.trace(answer);
    assert.deepEqual(
      [verdict, uplink.slots.owner(slot)],
      [0, { policy: "closed", rule: "default" }],
    );
    assert.deepEqual(theEntry(), before);
    assertOutcome(uplink.judge(answer), ESTABLISHED);
  });
});
