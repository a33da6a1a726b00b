/** Each trait of docs/xdp-policy.md §4 on the real program: packets that have it beside packets that almost do. */

import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import type { Trait } from "../../operator/model/records.js";
import { limit, policy, rule } from "../oracle/build.js";
import {
  destinationOptions,
  eth,
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
import { icmp, icmpv6, sctp, tcp, type TcpFlag, udp } from "../support/transports.js";
import { openUplink } from "./harness.js";

const TRAITS: readonly Trait[] = [
  "Fragment",
  "IPOptions",
  "SameAddress",
  "MartianSource",
  "ZeroPort",
  "ImpossibleTCPFlags",
  "Bogon",
];
/** A limit that is never reached counts and goes on, so that one packet shows all its traits. */
const RULES = TRAITS.map((trait) =>
  rule(trait.toLowerCase(), limit({ rate: 1e6, burst: 1e6 }), { traits: [trait] }),
);

const uplink = await openUplink();
after(() => uplink.close());
await uplink.apply({ policies: [policy("edge", RULES)] });

function in4(fields: Ipv4Fields, ...inner: readonly Layer[]): Buffer {
  return packet(eth(), ipv4(fields), ...inner);
}

function in6(fields: Ipv6Fields, ...inner: readonly Layer[]): Buffer {
  return packet(eth(), ipv6(fields), ...inner);
}

/** `Bogon` comes along with the four traits that make one. */
function assertTraits(frame: Buffer, ...traits: readonly Exclude<Trait, "Bogon">[]): void {
  const isBogon = traits.some((trait) => trait !== "Fragment" && trait !== "IPOptions");
  const expected = new Set([...traits, ...(isBogon ? ["Bogon"] : [])]);
  // A fragment would follow one of before.
  uplink.forget();
  const { verdict, reason, counted } = uplink.judge(frame);
  const found = TRAITS.filter((trait) => counted.includes(`edge/${trait.toLowerCase()}`));
  assert.deepEqual([verdict, reason], ["pass", "no-rule"], frame.toString("hex"));
  assert.deepEqual(new Set(found), expected, frame.toString("hex"));
}

it("an ordinary packet has none", () => {
  for (const inner of [tcp(), udp(), sctp(), payload(8)]) {
    assertTraits(in4({}, inner));
    assertTraits(in6({}, inner));
    assertTraits(packet(eth(), vlan(), vlan(), ipv4(), inner));
  }
  assertTraits(in4({ dontFragment: true }, icmp()));
  assertTraits(in6({}, icmpv6()));
});

describe("Fragment", () => {
  it("any fragment has it, an IPv6 fragment header alone does not", () => {
    const big = udp({ length: 1400 });
    assertTraits(in4({ moreFragments: true }, big), "Fragment");
    assertTraits(in4({ fragmentOffset: 8, protocol: 17 }, payload(8)), "Fragment");
    assertTraits(in4({ fragmentOffset: 65528, protocol: 17 }, payload(8)), "Fragment");
    assertTraits(in6({}, fragment({ more: true }), big), "Fragment");
    assertTraits(in6({}, fragment({ offset: 8, nextHeader: 17 }), payload(8)), "Fragment");
    assertTraits(in6({}, fragment(), udp()));
  });
});

describe("IPOptions", () => {
  it("IPv4 options have it, of any length", () => {
    assertTraits(in4({ options: Buffer.alloc(4, 1) }, tcp()), "IPOptions");
    assertTraits(in4({ options: Buffer.alloc(40, 1) }, udp()), "IPOptions");
  });

  it("IPv6 hop-by-hop, routing and destination options have it, a fragment header does not", () => {
    for (const header of [hopByHop(), routing(), destinationOptions()]) {
      assertTraits(in6({}, header, tcp()), "IPOptions");
      assertTraits(in6({}, fragment(), header, tcp()), "IPOptions");
    }
    const first = in6({}, hopByHop(), fragment({ more: true }), udp({ length: 1400 }));
    assertTraits(first, "IPOptions", "Fragment");
  });

  it("TCP options are none", () => assertTraits(in4({}, tcp({ options: Buffer.alloc(8, 1) }))));
});

describe("SameAddress", () => {
  it("source and destination are equal in all bits", () => {
    const same = { source: "198.51.100.1", destination: "198.51.100.1" };
    assertTraits(in4(same, tcp()), "SameAddress");
    assertTraits(in4({ ...same, destination: "198.51.100.0" }, tcp()));
    const source = "2001:db8:1:2:3:4:5:6";
    assertTraits(in6({ source, destination: source }, tcp()), "SameAddress");
    for (const near of ["2001:db9:1:2:3:4:5:6", "2001:db8:1:3:3:4:5:6", "2001:db8:1:2:3:4:5:7"]) {
      assertTraits(in6({ source, destination: near }, tcp()));
    }
  });

  it("a later fragment has it, too", () => {
    const same = { source: "198.51.100.1", destination: "198.51.100.1" };
    const later = in4({ ...same, fragmentOffset: 8, protocol: 6 }, payload(8));
    assertTraits(later, "SameAddress", "Fragment");
  });
});

describe("MartianSource", () => {
  const martians = ["0.0.0.0", "0.255.255.255", "127.0.0.1", "127.255.255.255", "224.0.0.1"];
  const ordinary = ["1.0.0.0", "126.255.255.255", "128.0.0.0", "223.255.255.255", "10.0.0.1"];
  const martians6 = ["::", "::1", "::ffff:192.0.2.1", "ff00::1", "ffff::1"];
  const ordinary6 = [
    "::2",
    "::1:0:1",
    "1::",
    "::fffe:c000:201",
    "0:0:0:1::1",
    "fe80::1",
    "fec0::1",
  ];

  it("IPv4: 0/8, 127/8, 224/4 and 240/4 to their edges", () => {
    for (const source of [...martians, "239.255.255.255", "240.0.0.0", "255.255.255.255"]) {
      assertTraits(in4({ source }, tcp()), "MartianSource");
    }
    for (const source of ordinary) assertTraits(in4({ source }, tcp()));
  });

  it("IPv6: ::, ::1, mapped addresses and multicast, not their neighbours", () => {
    for (const source of martians6) assertTraits(in6({ source }, tcp()), "MartianSource");
    for (const source of ordinary6) assertTraits(in6({ source }, tcp()));
  });

  it("a destination is none", () => {
    for (const destination of martians) assertTraits(in4({ destination }, tcp()));
    for (const destination of martians6) assertTraits(in6({ destination }, tcp()));
  });

  it("0.0.0.0 asking for DHCP is none; from elsewhere in 0/8, to another port, or by TCP, it is", () => {
    const dhcp = udp({ sourcePort: 68, destinationPort: 67 });
    assertTraits(in4({ source: "0.0.0.0" }, dhcp));
    assertTraits(in4({ source: "0.0.0.1" }, dhcp), "MartianSource");
    const back = udp({ sourcePort: 67, destinationPort: 68 });
    assertTraits(in4({ source: "0.0.0.0" }, back), "MartianSource");
    const overTcp = tcp({ sourcePort: 68, destinationPort: 67 });
    assertTraits(in4({ source: "0.0.0.0" }, overTcp), "MartianSource");
    const later = in4({ source: "0.0.0.0", fragmentOffset: 8, protocol: 17 }, payload(8));
    assertTraits(later, "MartianSource", "Fragment");
  });

  it(":: speaking ICMPv6 is none; speaking anything else it is", () => {
    assertTraits(in6({ source: "::" }, icmpv6({ type: 135 })));
    assertTraits(in6({ source: "::" }, udp()), "MartianSource");
    assertTraits(in6({ source: "::1" }, icmpv6({ type: 135 })), "MartianSource");
  });
});

describe("ZeroPort", () => {
  it("port 0 on either side of TCP, UDP and SCTP", () => {
    for (const transport of [tcp, udp, sctp]) {
      for (const zero of [{ sourcePort: 0 }, { destinationPort: 0 }]) {
        assertTraits(in4({}, transport(zero)), "ZeroPort");
        assertTraits(in6({}, transport(zero)), "ZeroPort");
      }
      assertTraits(in4({}, transport({ sourcePort: 1, destinationPort: 1 })));
      assertTraits(in4({}, transport({ sourcePort: 256, destinationPort: 65535 })));
    }
  });

  it("an ICMP identifier of 0 and a later fragment's zeros are none", () => {
    assertTraits(in4({}, icmp({ rest: 0 })));
    assertTraits(in6({}, icmpv6({ rest: 0 })));
    const later = in4({ fragmentOffset: 8, protocol: 17 }, payload(Buffer.alloc(16)));
    assertTraits(later, "Fragment");
    assertTraits(in4({ protocol: Protocol.gre }, payload(Buffer.alloc(8))));
  });
});

describe("ImpossibleTCPFlags", () => {
  /** docs/xdp-policy.md §4, written the other way round: what a stack sends. */
  function isPossible(flags: readonly TcpFlag[]): boolean {
    const has = (flag: TcpFlag) => flags.includes(flag);
    const kinds = [has("SYN"), has("RST"), has("FIN")].filter(Boolean).length;
    if (kinds > 1) return false;
    if (has("FIN")) return has("ACK");
    if (has("SYN") || has("RST")) return true;
    return has("ACK");
  }

  it("all 256 combinations", () => {
    const all = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"] as const;
    for (let bits = 0; bits < 256; bits++) {
      const flags = all.filter((_, bit) => ((bits >> bit) & 1) === 1);
      const frame = in4({}, tcp({ flags }));
      if (isPossible(flags)) assertTraits(frame);
      else assertTraits(frame, "ImpossibleTCPFlags");
    }
    assertTraits(in6({}, tcp({ flags: [] })), "ImpossibleTCPFlags");
  });

  it("a later fragment has no flags", () => {
    const later = in4({ fragmentOffset: 8, protocol: 6 }, payload(Buffer.alloc(24)));
    assertTraits(later, "Fragment");
  });
});

it("a packet may have many at once", () => {
  const everything = in4(
    {
      source: "127.0.0.1",
      destination: "127.0.0.1",
      options: Buffer.alloc(4, 1),
      moreFragments: true,
    },
    tcp({ sourcePort: 0, flags: [] }),
  );
  const fragmentTraits = ["Fragment", "IPOptions"] as const;
  const bogon = ["SameAddress", "MartianSource", "ZeroPort", "ImpossibleTCPFlags"] as const;
  assertTraits(everything, ...fragmentTraits, ...bogon);
});

it("a rule with several traits wants one of them, and a rule with none takes any packet", async () => {
  const rules = [
    rule("two", limit({ rate: 1e6, burst: 1e6 }), { traits: ["IPOptions", "ZeroPort"] }),
    rule("any", limit({ rate: 1e6, burst: 1e6 })),
  ];
  await uplink.apply({ policies: [policy("edge", rules)] });
  const counted = (frame: Buffer) => uplink.judge(frame).counted;
  assert.deepEqual(counted(in4({}, tcp())), ["edge/any"]);
  assert.deepEqual(counted(in4({}, tcp({ sourcePort: 0 }))), ["edge/two", "edge/any"]);
  const options = in4({ options: Buffer.alloc(4, 1) }, tcp());
  assert.deepEqual(counted(options), ["edge/two", "edge/any"]);
});
