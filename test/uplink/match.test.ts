/** Which policies judge an interface, and which packets a rule matches (docs/xdp-policy.md §2, §3). */

import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { ifIndex, testRun, XdpAction } from "../../datapath/index.js";
import type { RuleRecord } from "../../operator/model/records.js";
import { limit, node, policy, rule } from "../oracle/build.js";
import { withNamespaces } from "../support/netns.js";
import { arp, eth, ipv4, ipv6, packet } from "../support/packets.js";
import { icmp, icmpv6, sctp, tcp, udp } from "../support/transports.js";
import { openUplink } from "./harness.js";
import { assertOutcome } from "./outcome.js";

const SYN = packet(eth(), ipv4(), tcp({ destinationPort: 80 }));
const NEVER_REACHED = limit({ rate: 1e6, burst: 1e6 });

const uplink = await openUplink();
after(() => uplink.close());

describe("interfaces and nodes", () => {
  const drop = [rule("all", "Drop")];

  it("one that no policy matches is not judged: everything passes, and only its verdict is counted", async () => {
    const policies = [policy("edge", drop, { interfaces: ["eth0"] })];
    const expected = { verdict: "pass", reason: "not-judged", protocol: undefined, counted: [] };
    await uplink.apply({ policies });
    for (const frame of [SYN, SYN.subarray(0, 20), packet(eth(), arp())]) {
      assert.deepEqual(uplink.judge(frame, "eth1"), expected);
      assert.deepEqual(uplink.judge(frame, "unheard-of"), expected);
    }
  });

  it("each is judged by the policies whose globs match it, and by no others", async () => {
    const interfaces = ["eth0", "eth1", "wan0"];
    const policies = [
      policy("one", [rule("hit", NEVER_REACHED)], { interfaces: ["eth1"] }),
      policy("eths", [rule("hit", NEVER_REACHED)], { interfaces: ["eth?"] }),
      policy("all", [rule("hit", NEVER_REACHED)], { interfaces: ["*"] }),
      policy("uplinks", [rule("hit", NEVER_REACHED)]),
    ];
    await uplink.apply({ interfaces, uplinks: ["wan0"], policies });
    const counted = interfaces.map((name) => uplink.judge(SYN, name).counted);
    assert.deepEqual(counted, [
      ["all/hit", "eths/hit"],
      ["all/hit", "eths/hit", "one/hit"],
      ["all/hit", "uplinks/hit"],
    ]);
  });

  it("a policy whose nodeSelector does not select the node judges nothing", async () => {
    const selector = { matchLabels: { role: "edge" } };
    const policies = [policy("edge", drop, { nodeSelector: selector })];
    await uplink.apply({ policies, node: node("self", { role: "core" }) });
    assertOutcome(uplink.judge(SYN), { reason: "not-judged" });
    await uplink.apply({ policies, node: node("self", { role: "edge" }) });
    assertOutcome(uplink.judge(SYN), { verdict: "drop", counted: ["edge/all"] });
  });

  it("one whose number is beyond the direct table is found, too, and its neighbour is not", async () => {
    await uplink.apply({ policies: [policy("edge", drop)] });
    await withNamespaces((lab) => {
      const namespace = lab.namespace("node");
      for (const [one, other] of [
        [4095, 4096],
        [70_000, 70_001],
      ]) {
        const peer = ["peer", "name", `veth${other}`, "index", String(other)];
        const words = ["add", `veth${one}`, "index", String(one), "type", "veth", ...peer];
        namespace.run("ip", "link", ...words);
      }
      for (const number of [4095, 4096, 70_000]) uplink.bind(ifIndex(number), "eth0");
      const verdicts = [4095, 4096, 70_000, 70_001].map((number) => {
        const context = { ingress: ifIndex(number) };
        const run = () => testRun(uplink.datapath.uplink, { packet: SYN, context });
        return namespace.enter(run).verdict;
      });
      const { drop: dropped, pass } = XdpAction;
      assert.deepEqual(verdicts, [dropped, dropped, dropped, pass]);
    });
  });

  it("255 interfaces are told apart", async () => {
    const interfaces = Array.from({ length: 255 }, (_, index) => `port${index}`);
    const judged = [0, 1, 62, 63, 64, 127, 128, 191, 192, 254];
    const policies = [policy("edge", drop, { interfaces: judged.map((index) => `port${index}`) })];
    await uplink.apply({ interfaces, policies });
    for (const index of [...judged, 2, 61, 65, 126, 129, 190, 193, 253]) {
      const { verdict } = uplink.trace(SYN, `port${index}`);
      assert.equal(verdict === 1, judged.includes(index), `port${index}`);
    }
  });
});

describe("conditions", () => {
  const cases: readonly (readonly [
    string,
    Partial<RuleRecord>,
    readonly Buffer[],
    readonly Buffer[],
  ])[] = [
    [
      "source and destination port of one entry must both hold",
      {
        protocols: [
          { kind: "tcp", sourcePort: { start: 5, end: 6 }, destinationPort: { start: 7, end: 8 } },
        ],
      },
      [
        packet(eth(), ipv4(), tcp({ sourcePort: 5, destinationPort: 8 })),
        packet(eth(), ipv6(), tcp({ sourcePort: 6, destinationPort: 7 })),
      ],
      [
        packet(eth(), ipv4(), tcp({ sourcePort: 5, destinationPort: 9 })),
        packet(eth(), ipv4(), tcp({ sourcePort: 7, destinationPort: 8 })),
        packet(eth(), ipv4(), udp({ sourcePort: 5, destinationPort: 8 })),
      ],
    ],
    [
      "entries are alternatives and do not mix",
      {
        protocols: [
          { kind: "udp", sourcePort: { start: 1, end: 1 }, destinationPort: { start: 2, end: 2 } },
          { kind: "udp", sourcePort: { start: 3, end: 3 }, destinationPort: { start: 4, end: 4 } },
        ],
      },
      [
        packet(eth(), ipv4(), udp({ sourcePort: 1, destinationPort: 2 })),
        packet(eth(), ipv4(), udp({ sourcePort: 3, destinationPort: 4 })),
      ],
      [
        packet(eth(), ipv4(), udp({ sourcePort: 1, destinationPort: 4 })),
        packet(eth(), ipv4(), udp({ sourcePort: 3, destinationPort: 2 })),
      ],
    ],
    [
      "flags: all of set, none of unset, others do not matter",
      { protocols: [{ kind: "tcp", flags: { set: ["SYN"], unset: ["ACK", "RST"] } }] },
      [
        packet(eth(), ipv4(), tcp({ flags: ["SYN"] })),
        packet(eth(), ipv6(), tcp({ flags: ["SYN", "ECE", "CWR", "PSH"] })),
      ],
      [
        packet(eth(), ipv4(), tcp({ flags: ["SYN", "ACK"] })),
        packet(eth(), ipv4(), tcp({ flags: ["ACK"] })),
        packet(eth(), ipv4(), tcp({ flags: ["SYN", "RST"] })),
        packet(eth(), ipv4(), udp()),
      ],
    ],
    [
      "icmp is IPv4's; a code without a type is that code of any type",
      { protocols: [{ kind: "icmp", code: 3 }] },
      [3, 11, 255].map((type) => packet(eth(), ipv4(), icmp({ type, code: 3 }))),
      [
        packet(eth(), ipv4(), icmp({ type: 3, code: 1 })),
        packet(eth(), ipv6(), icmpv6({ type: 3, code: 3 })),
      ],
    ],
    [
      "icmpv6 is IPv6's; a type without a code is any of its codes",
      { protocols: [{ kind: "icmpv6", type: 1 }] },
      [0, 4, 255].map((code) => packet(eth(), ipv6(), icmpv6({ type: 1, code }))),
      [
        packet(eth(), ipv6(), icmpv6({ type: 2, code: 1 })),
        packet(eth(), ipv4(), icmp({ type: 1 })),
      ],
    ],
    [
      "ports at both ends of their range",
      { protocols: [{ kind: "sctp", destinationPort: { start: 0, end: 65535 } }] },
      [0, 1, 65535].map((destinationPort) => packet(eth(), ipv4(), sctp({ destinationPort }))),
      [SYN],
    ],
  ];
  for (const [name, parts, matching, others] of cases) {
    it(name, async () => {
      await uplink.apply({ policies: [policy("edge", [rule("hit", "Drop", parts)])] });
      for (const frame of matching) {
        assertOutcome(uplink.judge(frame), { verdict: "drop" }, frame.toString("hex"));
      }
      for (const frame of others) {
        assertOutcome(uplink.judge(frame), { verdict: "pass" }, frame.toString("hex"));
      }
    });
  }
});
