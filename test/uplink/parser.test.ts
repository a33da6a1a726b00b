/** Each line of docs/xdp-policy.md §4 but fragments and traits, on the real program. */

import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import type { ProtocolMatch } from "../../operator/model/records.js";
import { policy, rule } from "../oracle/build.js";
import {
  arp,
  destinationOptions,
  eth,
  EtherType,
  fragment,
  hopByHop,
  ipv4,
  type Ipv4Fields,
  ipv6,
  type Ipv6Fields,
  type Layer,
  packet,
  payload,
  Protocol,
  routing,
  vlan,
} from "../support/packets.js";
import { esp, gre, icmp, icmpv6, sctp, tcp, udp } from "../support/transports.js";
import { openUplink } from "./harness.js";
import { assertOutcome, type Outcome } from "./outcome.js";

const AUTHENTICATION_HEADER = 51;

/** Each rule can only match when the parser found the right header at the right place. */
const MATCHES: Readonly<Record<string, ProtocolMatch>> = {
  web: { kind: "tcp", destinationPort: { start: 80, end: 80 } },
  dns: { kind: "udp", destinationPort: { start: 53, end: 53 } },
  diameter: { kind: "sctp", destinationPort: { start: 3868, end: 3868 } },
  ping: { kind: "icmp", type: 8, code: 0 },
  ping6: { kind: "icmpv6", type: 128, code: 0 },
  "icmp-by-number": { kind: "protocol", number: 1 },
  "icmpv6-by-number": { kind: "protocol", number: 58 },
  gre: { kind: "protocol", number: 47 },
  esp: { kind: "protocol", number: 50 },
  ah: { kind: "protocol", number: AUTHENTICATION_HEADER },
  ipip: { kind: "protocol", number: 4 },
  "ipv6-in-ip": { kind: "protocol", number: 41 },
  none: { kind: "protocol", number: 59 },
  experiment: { kind: "protocol", number: 253 },
};
const RULES = Object.entries(MATCHES).map(([name, match]) =>
  rule(name, "Drop", { protocols: [match] }),
);
const SETUP = {
  interfaces: ["eth0", "eth1", "eth2"],
  policies: [
    policy("edge", RULES, { interfaces: ["eth0"] }),
    policy("watch", RULES, { interfaces: ["eth1"], mode: "Audit" }),
    policy("closed", [], { interfaces: ["eth2"], defaultAction: "Drop" }),
  ],
} as const;

const uplink = await openUplink();
after(() => uplink.close());
await uplink.apply(SETUP);

function assertDropped(frame: Uint8Array, ruleName: string, protocol: number, what = ""): void {
  const expected: Outcome = {
    verdict: "drop",
    reason: "rule",
    protocol,
    counted: [`edge/${ruleName}`],
  };
  assert.deepEqual(uplink.judge(frame), expected, `${what} ${Buffer.from(frame).toString("hex")}`);
}

function assertUnparsable(frame: Uint8Array, reason: Outcome["reason"], what = ""): void {
  const message = `${what} ${Buffer.from(frame).toString("hex")}`;
  assertOutcome(uplink.judge(frame), { verdict: "drop", reason, counted: [] }, message);
}

function in4(fields: Ipv4Fields, ...inner: readonly Layer[]): Buffer {
  return packet(eth(), ipv4(fields), ...inner);
}

function in6(fields: Ipv6Fields, ...inner: readonly Layer[]): Buffer {
  return packet(eth(), ipv6(fields), ...inner);
}

describe("Ethernet and VLAN tags", () => {
  it("what is not IP passes, counted as such, even where the default is to drop", () => {
    const types = [EtherType.arp, 0x88cc, 0x0026, 0x9100];
    const frames = [
      packet(eth(), arp()),
      packet(eth(), vlan(), arp()),
      ...types.map((etherType) => packet(eth({ etherType }), ipv4(), tcp())),
    ];
    for (const frame of frames) {
      for (const name of SETUP.interfaces) {
        const expected = { verdict: "pass", reason: "not-ip", protocol: 256, counted: [] };
        assert.deepEqual(uplink.judge(frame, name), expected);
      }
    }
  });

  it("rules judge what is behind one tag or two, of either kind", () => {
    for (const qinq of [false, true]) {
      assertDropped(packet(eth(), vlan({ qinq, id: 4095, priority: 7 }), ipv4(), tcp()), "web", 6);
      for (const inner of [false, true]) {
        const tags = [vlan({ qinq }), vlan({ qinq: inner })];
        assertDropped(packet(eth(), ...tags, ipv4(), udp()), "dns", 17);
        assertDropped(packet(eth(), ...tags, ipv6(), tcp()), "web", 6);
      }
    }
  });

  it("a third tag is too deep, whether or not its bytes are there", () => {
    for (const qinq of [false, true]) {
      const frame = packet(eth(), vlan(), vlan(), vlan({ qinq }), ipv4(), tcp());
      assertUnparsable(frame, "vlan-depth");
      assertUnparsable(frame.subarray(0, 22), "vlan-depth");
    }
  });

  it("a tag cut short is truncated", () => {
    const frame = packet(eth(), vlan(), vlan(), ipv4(), tcp());
    for (let length = 14; length < 22; length++) {
      assertUnparsable(frame.subarray(0, length), "truncated");
    }
  });
});

describe("frames cut short", () => {
  const whole: Readonly<Record<string, Buffer>> = {
    "IPv4 with options, TCP with options": in4(
      { options: Buffer.alloc(8, 1) },
      tcp({ options: Buffer.alloc(4, 1) }),
    ),
    "IPv4 UDP behind two tags": packet(eth(), vlan(), vlan(), ipv4(), udp(), payload(3)),
    "IPv4 SCTP": in4({}, sctp()),
    "IPv4 ICMP": in4({}, icmp()),
    "IPv4 GRE": in4({}, gre(), payload(5)),
    "IPv6 with every header": in6(
      {},
      ...[hopByHop(), routing(), fragment(), destinationOptions(), tcp()],
    ),
    "IPv6 ICMPv6": in6({}, icmpv6()),
  };
  for (const [name, frame] of Object.entries(whole)) {
    it(`${name}: every byte that is missing makes it truncated`, () => {
      assertOutcome(uplink.judge(frame), { verdict: "drop", reason: "rule" });
      for (let length = 14; length < frame.length; length++) {
        assertUnparsable(frame.subarray(0, length), "truncated", `cut to ${length}`);
      }
    });
  }
});

describe("the IPv4 header", () => {
  it("is skipped by its length, from none to 40 bytes of options", () => {
    for (let words = 0; words <= 10; words++) {
      const options = Buffer.alloc(words * 4, 1);
      assertDropped(in4({ options }, tcp({ sourcePort: 53 })), "web", 6);
      assertDropped(in4({ options }, icmp()), "ping", 1);
    }
  });

  it("with a wrong version, or of less than 20 bytes, cannot be read", () => {
    for (const version of [0, 5, 6, 15]) assertUnparsable(in4({ version }, tcp()), "truncated");
    for (const headerWords of [0, 1, 4]) assertUnparsable(in4({ headerWords }, tcp()), "truncated");
  });

  it("with a total length below its own, or beyond the frame, cannot be read", () => {
    const frame = in4({}, tcp());
    const total = frame.length - 14;
    for (const totalLength of [0, 19, total + 1, 65535]) {
      assertUnparsable(in4({ totalLength }, tcp()), "truncated", `total length ${totalLength}`);
    }
    const options = Buffer.alloc(4, 1);
    assertUnparsable(in4({ options, totalLength: 23 }, tcp()), "truncated");
    assertDropped(in4({ totalLength: total }, tcp()), "web", 6);
  });

  it("with a length beyond its options' room cannot be read", () => {
    assertUnparsable(in4({ headerWords: 15 }, payload(10)), "truncated");
  });

  it("leaves the transport header what its options leave of the total length", () => {
    const options = Buffer.alloc(12, 1);
    for (let length = 0; length < 20; length++) {
      const totalLength = 20 + options.length + length;
      const frame = in4({ options, totalLength, protocol: Protocol.tcp }, tcp(), payload(20));
      assertUnparsable(frame, "truncated", `${length} bytes of TCP`);
    }
  });

  it("says where the packet ends: padding behind it is no header", () => {
    assertDropped(Buffer.concat([in4({}, tcp()), Buffer.alloc(6)]), "web", 6);
    for (let length = 0; length < 20; length++) {
      const frame = in4({ totalLength: 20 + length, protocol: Protocol.tcp }, tcp());
      assertUnparsable(frame, "truncated", `${length} bytes of TCP`);
    }
  });
});

describe("transport headers", () => {
  /** The first bytes of a transport header, as all that the IP packet holds; padding behind it. */
  function cut(family: 4 | 6, protocol: number, header: Layer, length: number): Buffer {
    const bytes = packet(header).subarray(0, length);
    const ip = family === 4 ? ipv4({ protocol }) : ipv6({ nextHeader: protocol });
    return Buffer.concat([packet(eth(), ip, payload(bytes)), Buffer.alloc(40)]);
  }

  const headers: readonly (readonly [string, number, 4 | 6, Layer, number, string])[] = [
    ["TCP", Protocol.tcp, 4, tcp(), 20, "web"],
    ["TCP", Protocol.tcp, 6, tcp(), 20, "web"],
    ["UDP", Protocol.udp, 4, udp(), 8, "dns"],
    ["UDP", Protocol.udp, 6, udp(), 8, "dns"],
    ["SCTP", Protocol.sctp, 4, sctp(), 12, "diameter"],
    ["SCTP", Protocol.sctp, 6, sctp(), 12, "diameter"],
    ["ICMP", Protocol.icmp, 4, icmp(), 8, "ping"],
    ["ICMPv6", Protocol.icmpv6, 6, icmpv6(), 8, "ping6"],
  ];
  for (const [name, protocol, family, header, size, ruleName] of headers) {
    it(`${name} over IPv${family} needs ${size} bytes inside the IP packet`, () => {
      assertDropped(cut(family, protocol, header, size), ruleName, protocol);
      for (let length = 0; length < size; length++) {
        const expected = { verdict: "drop", reason: "truncated", protocol, counted: [] };
        assert.deepEqual(uplink.judge(cut(family, protocol, header, length)), expected);
      }
    });
  }

  it("TCP's data offset is at least 5 and lies within the packet", () => {
    for (const headerWords of [0, 4, 6, 15]) {
      assertUnparsable(in4({}, tcp({ headerWords })), "truncated", `offset ${headerWords}`);
      assertUnparsable(in6({}, tcp({ headerWords })), "truncated", `offset ${headerWords}`);
    }
    assertDropped(in4({}, tcp({ headerWords: 6 }), payload(4)), "web", 6);
    assertDropped(in6({}, tcp({ options: Buffer.alloc(40, 1) })), "web", 6);
  });

  it("UDP's length is at least 8 and at most the payload of IP", () => {
    const room = 8 + 10;
    for (const length of [0, 7, room + 1, 65535]) {
      assertUnparsable(in4({}, udp({ length }), payload(10)), "truncated", `length ${length}`);
      assertUnparsable(in6({}, udp({ length }), payload(10)), "truncated", `length ${length}`);
    }
    for (const length of [8, 9, room]) {
      assertDropped(in4({}, udp({ length }), payload(10)), "dns", 17, `length ${length}`);
    }
  });

  it("ICMP of the other family is a mere protocol number, whatever its bytes", () => {
    for (const bytes of [0, 4, 8]) {
      assertDropped(in6({ nextHeader: Protocol.icmp }, payload(bytes)), "icmp-by-number", 1);
      assertDropped(in4({ protocol: Protocol.icmpv6 }, payload(bytes)), "icmpv6-by-number", 58);
    }
    assertDropped(in4({}, icmp({ type: 8, code: 1 })), "icmp-by-number", 1);
  });

  it("tunnels, IPsec and unknown protocols are their number, in both families, even when empty", () => {
    const inner = [ipv4(), tcp()];
    assertDropped(in4({}, gre(), ...inner), "gre", 47);
    assertDropped(in6({}, gre(), ...inner), "gre", 47);
    assertDropped(in4({}, esp(), payload(20)), "esp", 50);
    assertDropped(in4({}, ...inner), "ipip", 4);
    assertDropped(in6({}, ...inner), "ipip", 4);
    assertDropped(in6({}, ipv6(), tcp()), "ipv6-in-ip", 41);
    const numbers = [47, 50, AUTHENTICATION_HEADER, 4, 59, 253];
    const names = ["gre", "esp", "ah", "ipip", "none", "experiment"];
    for (const [index, number] of numbers.entries()) {
      assertDropped(in4({ protocol: number }), names[index]!, number);
      assertDropped(in6({ nextHeader: number }), names[index]!, number);
    }
  });

  it("nothing is read behind an authentication header", () => {
    const header = payload(Buffer.from([Protocol.tcp, 4, ...Buffer.alloc(22)]));
    assertDropped(in6({ nextHeader: AUTHENTICATION_HEADER }, header, tcp()), "ah", 51);
    assertDropped(in4({ protocol: AUTHENTICATION_HEADER }, header, tcp()), "ah", 51);
  });
});

describe("the IPv6 header and its extensions", () => {
  const kinds = { hopByHop, routing, destinationOptions };

  it("with a wrong version, or a payload beyond the frame, cannot be read", () => {
    for (const version of [0, 4, 15]) assertUnparsable(in6({ version }, tcp()), "truncated");
    for (const payloadLength of [0, 19, 21, 65535]) {
      assertUnparsable(in6({ payloadLength }, tcp()), "truncated", `payload ${payloadLength}`);
    }
    assertDropped(Buffer.concat([in6({}, tcp()), Buffer.alloc(9)]), "web", 6);
  });

  for (const [name, kind] of Object.entries(kinds)) {
    it(`${name}: one to eight headers are skipped, a ninth is one too many`, () => {
      for (let count = 1; count <= 8; count++) {
        assertDropped(in6({}, ...Array.from({ length: count }, () => kind()), udp()), "dns", 17);
      }
      const nine = Array.from({ length: 9 }, () => kind());
      assertUnparsable(in6({}, ...nine, udp()), "extension-headers");
    });

    it(`${name} is skipped by its length, to the longest`, () => {
      for (const length of [0, 1, 2, 31, 255]) {
        const body = Buffer.alloc(length * 8 + 6);
        assertDropped(in6({}, kind({ body }), tcp()), "web", 6, `length ${length}`);
        assertUnparsable(in6({}, kind({ body, length: length + 3 }), tcp()), "truncated");
      }
    });

    it(`${name} cut short by the payload length is truncated`, () => {
      for (let payloadLength = 0; payloadLength < 16; payloadLength++) {
        const frame = in6({ payloadLength }, kind({ body: Buffer.alloc(14) }), tcp());
        assertUnparsable(frame, "truncated", `payload ${payloadLength}`);
      }
    });
  }

  it("headers are skipped in any order and mixture, nine of them still too many", () => {
    const mixed = [destinationOptions(), hopByHop(), routing(), destinationOptions(), hopByHop()];
    assertDropped(in6({}, ...mixed, tcp()), "web", 6);
    assertDropped(in6({}, ...mixed, ...mixed.slice(0, 3), icmpv6()), "ping6", 58);
    assertUnparsable(in6({}, ...mixed, ...mixed.slice(0, 4), tcp()), "extension-headers");
  });

  it("a fragment header does not count as one of the eight; a second one cannot be read", () => {
    const eight = Array.from({ length: 8 }, () => destinationOptions());
    assertDropped(in6({}, fragment(), ...eight, tcp()), "web", 6);
    assertDropped(in6({}, ...eight, fragment(), tcp()), "web", 6);
    assertDropped(in6({}, ...eight.slice(4), fragment(), ...eight.slice(4), tcp()), "web", 6);
    assertUnparsable(in6({}, fragment(), ...eight, hopByHop(), tcp()), "extension-headers");
    assertUnparsable(in6({}, fragment(), fragment(), tcp()), "extension-headers");
    assertUnparsable(in6({}, fragment(), hopByHop(), fragment(), tcp()), "extension-headers");
  });

  it("a fragment header cut short is truncated", () => {
    for (let payloadLength = 0; payloadLength < 8; payloadLength++) {
      assertUnparsable(in6({ payloadLength }, fragment(), tcp()), "truncated");
    }
  });
});

describe("packets that cannot be read", () => {
  const frames = {
    truncated: in4({}, tcp()).subarray(0, 50),
    "vlan-depth": packet(eth(), vlan(), vlan(), vlan(), ipv4(), tcp()),
    "extension-headers": in6({}, ...Array.from({ length: 9 }, () => hopByHop()), tcp()),
  } as const;
  const reasons = Object.keys(frames) as (keyof typeof frames)[];

  it("are dropped where a policy enforces, before the default gets to see them", () => {
    for (const reason of reasons) {
      for (const name of ["eth0", "eth2"]) {
        const outcome = uplink.judge(frames[reason], name);
        assertOutcome(outcome, { verdict: "drop", reason, counted: [] });
      }
    }
  });

  it("pass where policies only audit, and are counted under their reason", () => {
    for (const reason of reasons) {
      assertOutcome(uplink.judge(frames[reason], "eth1"), { verdict: "pass", reason, counted: [] });
    }
  });

  it("pass everywhere when the agent is told so, and are still counted", async () => {
    await uplink.apply({ ...SETUP, unparsable: "Pass" });
    for (const reason of reasons) {
      for (const name of SETUP.interfaces) {
        assertOutcome(uplink.judge(frames[reason], name), { verdict: "pass", reason, counted: [] });
      }
    }
    await uplink.apply(SETUP);
  });
});
