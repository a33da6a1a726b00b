/** Which rules judge a packet, in which order, and what each action does (docs/xdp-policy.md §2, §3, §7). */

import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { defaultFailSafe } from "../../operator/apply/fail-safe.js";
import type { RuleAction, RuleRecord, XdpPolicyRecord } from "../../operator/model/records.js";
import { limit, policy, rule } from "../oracle/build.js";
import { eth, ipv4, ipv6, packet } from "../support/packets.js";
import { icmp, icmpv6, sctp, tcp, udp } from "../support/transports.js";
import { openUplink } from "./harness.js";
import { assertOutcome, type Outcome } from "./outcome.js";

const SYN = packet(eth(), ipv4(), tcp({ destinationPort: 80 }));
const SSH = packet(eth(), ipv4(), tcp({ destinationPort: 22 }));
const NEVER_REACHED = limit({ rate: 1e6, burst: 1e6 });
const REDIRECT: RuleAction = { kind: "Redirect", target: { kind: "interface", name: "eth1" } };
const REDIRECT_NOWHERE: RuleAction = {
  kind: "Redirect",
  target: { kind: "interface", name: "nowhere" },
};

const uplink = await openUplink();
after(() => uplink.close());

function port(number: number): Pick<RuleRecord, "protocols"> {
  return { protocols: [{ kind: "tcp", destinationPort: { start: number, end: number } }] };
}

/** What a SYN to port 80 meets under these policies. */
async function judge(policies: readonly XdpPolicyRecord[]): Promise<Outcome> {
  await uplink.apply({ policies });
  return uplink.judge(SYN);
}

describe("order", () => {
  it("the first rule that matches decides, and no later one counts", async () => {
    const rules = [
      rule("other-port", "Drop", port(81)),
      rule("first", "Accept", port(80)),
      rule("second", "Drop", port(80)),
    ];
    assertOutcome(await judge([policy("edge", rules)]), {
      verdict: "pass",
      reason: "rule",
      counted: ["edge/first"],
    });
  });

  it("policies go by priority, then by the bytes of their names", async () => {
    const names = ["b", "a-b", "a.b", "a", "ab"];
    const rules = [rule("hit", NEVER_REACHED)];
    const policies = names.map((name) => policy(name, rules));
    policies.push(policy("late", rules, { priority: 1000 }), policy("z", rules, { priority: 0 }));
    const { counted } = await judge(policies);
    assert.deepEqual(
      counted,
      ["z", "a", "a-b", "a.b", "ab", "b", "late"].map((name) => `${name}/hit`),
    );
  });

  it("a verdict far down a long list is found, whichever of its 64-bit words it is in", async () => {
    for (const at of [0, 1, 63, 64, 65, 127, 500, 998]) {
      const rules = Array.from({ length: 999 }, (_, index) =>
        index === at
          ? rule("hit", "Drop", port(80))
          : rule(`r${index}`, "Drop", port(1000 + index)),
      );
      const { counted } = await judge([policy("edge", rules)]);
      assert.deepEqual(counted, ["edge/hit"], `rule ${at}`);
    }
  });

  it("many matching rules that go on are all walked, across words", async () => {
    const rules = Array.from({ length: 200 }, (_, index) => rule(`r${index}`, NEVER_REACHED));
    const { counted, reason } = await judge([policy("edge", rules)]);
    assert.deepEqual(
      counted,
      rules.map(({ name }) => `edge/${name}`),
    );
    assert.equal(reason, "no-rule");
  });

  it("a policy that a rule leaves early is left to its last rule, wherever its words end", async () => {
    for (const size of [2, 63, 64, 65, 100, 130, 200]) {
      const rules = Array.from({ length: size }, (_, index) =>
        rule(`r${index}`, index === 0 ? "Pass" : "Drop"),
      );
      const later = policy("later", [rule("after", "Accept")], { priority: 200 });
      const outcome = await judge([policy("edge", rules, { defaultAction: "Drop" }), later]);
      assertOutcome(outcome, { verdict: "pass", counted: ["edge/r0", "later/after"] }, `${size}`);
    }
  });

  it("a rule that takes several bits counts a packet once", async () => {
    const spread = rule("spread", NEVER_REACHED, {
      protocols: [
        {
          kind: "tcp",
          destinationPort: { start: 80, end: 80 },
          sourcePort: { start: 1, end: 65535 },
        },
        {
          kind: "tcp",
          destinationPort: { start: 1, end: 100 },
          sourcePort: { start: 40000, end: 40000 },
        },
      ],
    });
    const { counted } = await judge([policy("edge", [spread, rule("next", "Accept")])]);
    assert.deepEqual(counted, ["edge/spread", "edge/next"]);
  });
});

describe("actions of enforcing policies", () => {
  const behind = policy("later", [rule("after", "Accept")], { priority: 200 });
  const cases: readonly (readonly [string, RuleAction["kind"] | RuleAction, Partial<Outcome>])[] = [
    ["Accept", "Accept", { verdict: "pass", reason: "rule", counted: ["edge/hit"] }],
    ["Drop", "Drop", { verdict: "drop", reason: "rule", counted: ["edge/hit"] }],
    ["Pass", "Pass", { verdict: "pass", reason: "rule", counted: ["edge/hit", "later/after"] }],
    [
      "Limit within its rate",
      NEVER_REACHED,
      { verdict: "drop", reason: "rule", counted: ["edge/hit", "edge/next"] },
    ],
    [
      "Limit above its rate",
      limit({ unit: "bytes", rate: 1, burst: 1 }),
      { verdict: "drop", reason: "limit", counted: ["edge/hit above"] },
    ],
    ["Redirect", REDIRECT, { verdict: "redirect", reason: "rule", counted: ["edge/hit"] }],
    [
      "Redirect without a target",
      REDIRECT_NOWHERE,
      { verdict: "drop", reason: "redirect", counted: ["edge/hit"] },
    ],
  ];
  for (const [name, action, expected] of cases) {
    it(name, async () => {
      const rules = [rule("hit", action), rule("next", "Drop")];
      assertOutcome(await judge([policy("edge", rules), behind]), expected);
    });
  }
});

describe("actions of audit policies", () => {
  const actions: Readonly<Record<string, RuleAction["kind"] | RuleAction>> = {
    Accept: "Accept",
    Drop: "Drop",
    Pass: "Pass",
    "Limit above its rate": limit({ unit: "bytes", rate: 1, burst: 1 }),
    Redirect: REDIRECT,
    "Redirect without a target": REDIRECT_NOWHERE,
  };
  for (const [name, action] of Object.entries(actions)) {
    it(`${name} counts and goes on behind the policy; the verdict is that of the others`, async () => {
      const watch = policy("watch", [rule("hit", action), rule("next", "Drop")], { mode: "Audit" });
      const hit = name.startsWith("Limit") ? "watch/hit above" : "watch/hit";
      for (const [last, expected] of [
        [rule("after", "Drop"), { verdict: "drop", reason: "rule" }],
        [rule("after", "Accept"), { verdict: "pass", reason: "rule" }],
      ] as const) {
        const outcome = await judge([watch, policy("later", [last], { priority: 200 })]);
        assertOutcome(outcome, { ...expected, counted: [hit, "later/after"] });
      }
      assertOutcome(await judge([watch]), { verdict: "pass", reason: "no-rule", counted: [hit] });
    });
  }

  it("Limit within its rate goes on with the next rule of the policy", async () => {
    const rules = [rule("hit", NEVER_REACHED), rule("next", "Drop"), rule("unreached", "Drop")];
    const outcome = await judge([policy("watch", rules, { mode: "Audit" })]);
    assertOutcome(outcome, { verdict: "pass", counted: ["watch/hit", "watch/next"] });
  });
});

describe("default actions", () => {
  const miss = [rule("miss", "Drop", port(81))];

  it("Pass goes on and is not counted", async () => {
    const policies = [
      policy("edge", miss),
      policy("later", [rule("hit", "Drop")], { priority: 200 }),
    ];
    assertOutcome(await judge(policies), { verdict: "drop", counted: ["later/hit"] });
    assertOutcome(await judge([policy("edge", miss)]), { reason: "no-rule", counted: [] });
  });

  for (const [defaultAction, verdict] of [
    ["Accept", "pass"],
    ["Drop", "drop"],
  ] as const) {
    it(`${defaultAction} decides what no rule matched, as rule "default"`, async () => {
      const policies = [
        policy("edge", miss, { defaultAction }),
        policy("later", [rule("hit", "Drop")], { priority: 200 }),
      ];
      const expected = { verdict, reason: "default", counted: ["edge/default"] } as const;
      assertOutcome(await judge(policies), expected);
      const other = packet(eth(), ipv6(), sctp());
      assertOutcome(uplink.judge(other), expected);
    });

    it(`${defaultAction} of an audit policy counts and goes on`, async () => {
      const policies = [
        policy("watch", miss, { defaultAction, mode: "Audit" }),
        policy("later", [rule("hit", "Drop")], { priority: 200 }),
      ];
      assertOutcome(await judge(policies), {
        verdict: "drop",
        reason: "rule",
        counted: ["watch/default", "later/hit"],
      });
    });
  }

  it("the default judges what Pass took out of the rules", async () => {
    const policies = [policy("edge", [rule("let", "Pass")], { defaultAction: "Drop" })];
    assertOutcome(await judge(policies), { verdict: "pass", counted: ["edge/let"] });
  });
});

describe("fail-safe", () => {
  const closed = policy("closed", [rule("all", "Drop")], { priority: 0, defaultAction: "Drop" });
  const failSafe = defaultFailSafe({
    resolvers: ["192.0.2.53"],
    apiServers: ["[2001:db8::6]:8443"],
  });

  it("lets management, DHCP, replies of resolvers and API server, and neighbours in before any rule", async () => {
    await uplink.apply({ policies: [closed], failSafe });
    const from53 = { sourcePort: 53, destinationPort: 40000 };
    const frames: readonly (readonly [Buffer, string])[] = [
      [SSH, "ssh"],
      [packet(eth(), ipv6(), tcp({ destinationPort: 22 })), "ssh"],
      [packet(eth(), ipv4(), tcp({ destinationPort: 6443 })), "kube-api"],
      [packet(eth(), ipv4(), tcp({ destinationPort: 2379 })), "etcd"],
      [packet(eth(), ipv4(), tcp({ destinationPort: 2380 })), "etcd"],
      [packet(eth(), ipv4(), tcp({ destinationPort: 10250 })), "kubelet"],
      [packet(eth(), ipv4(), udp({ sourcePort: 67, destinationPort: 68 })), "dhcp"],
      [packet(eth(), ipv6(), udp({ sourcePort: 547, destinationPort: 546 })), "dhcpv6"],
      [packet(eth(), ipv4({ source: "192.0.2.53" }), udp(from53)), "dns-replies"],
      [packet(eth(), ipv4({ source: "192.0.2.53" }), tcp(from53)), "dns-replies"],
      [
        packet(eth(), ipv6({ source: "2001:db8::6" }), tcp({ sourcePort: 8443, flags: ["ACK"] })),
        "api-server-0",
      ],
      ...[133, 134, 135, 136, 137].map(
        (type) => [packet(eth(), ipv6(), icmpv6({ type })), "neighbour-discovery"] as const,
      ),
    ];
    for (const [frame, name] of frames) {
      const expected = { verdict: "pass", reason: "rule", counted: [`fail-safe/${name}`] } as const;
      assertOutcome(uplink.judge(frame), expected, name);
    }
  });

  it("lets nothing else in", async () => {
    await uplink.apply({ policies: [closed], failSafe });
    const frames = [
      packet(eth(), ipv4(), udp({ destinationPort: 22 })),
      packet(eth(), ipv4(), tcp({ destinationPort: 23 })),
      packet(eth(), ipv4(), tcp({ destinationPort: 2378 })),
      packet(eth(), ipv4(), tcp({ destinationPort: 2381 })),
      packet(eth(), ipv4(), udp({ sourcePort: 68, destinationPort: 67 })),
      packet(eth(), ipv4(), udp({ sourcePort: 1, destinationPort: 68 })),
      packet(eth(), ipv4({ source: "192.0.2.54" }), udp({ sourcePort: 53 })),
      packet(eth(), ipv6({ source: "2001:db8::7" }), tcp({ sourcePort: 8443 })),
      packet(eth(), ipv6(), icmpv6({ type: 132 })),
      packet(eth(), ipv6(), icmpv6({ type: 138 })),
      packet(eth(), ipv4(), icmp({ type: 135 })),
    ];
    for (const frame of frames) {
      assertOutcome(uplink.judge(frame), { verdict: "drop", counted: ["closed/all"] });
    }
  });

  it("is what the agent is told it is", async () => {
    const own = [rule("console", "Accept", port(7000))];
    await uplink.apply({ policies: [closed], failSafe: own });
    assertOutcome(uplink.judge(SSH), { verdict: "drop", counted: ["closed/all"] });
    const console = packet(eth(), ipv4(), tcp({ destinationPort: 7000 }));
    assertOutcome(uplink.judge(console), { verdict: "pass", counted: ["fail-safe/console"] });
    await uplink.apply({ policies: [closed], failSafe: [] });
    assertOutcome(uplink.judge(console), { verdict: "drop", counted: ["closed/all"] });
  });

  it("stands before the node's own blocks, and these before all policies", async () => {
    const nodeLocal = [rule("blocked", "Drop")];
    const open = policy("open", [rule("all", "Accept")], { priority: 0 });
    await uplink.apply({ policies: [open], failSafe, nodeLocal });
    assertOutcome(uplink.judge(SSH), { verdict: "pass", counted: ["fail-safe/ssh"] });
    assertOutcome(uplink.judge(SYN), { verdict: "drop", counted: ["node-local/blocked"] });
  });
});
