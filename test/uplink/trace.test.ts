/** The trace program judges as the real one does, and leaves nothing behind. */

import assert from "node:assert/strict";
import { after, beforeEach, describe, it } from "node:test";
import { Effect, Trace } from "../../datapath/generated/layout.js";
import { ifIndex, RingBuffer, sumCounters } from "../../datapath/index.js";
import { effectName, REASON_NAMES, VERDICT_NAMES } from "../../operator/apply/names.js";
import { traceFrame } from "../../operator/apply/tracer.js";
import type { Peer } from "../../operator/model/records.js";
import { cidrListOf, parseCidr } from "../oracle/address.js";
import { limit, policy, rule } from "../oracle/build.js";
import { arp, eth, hopByHop, ipv4, ipv6, packet, payload, vlan } from "../support/packets.js";
import { icmp, icmpv6, sctp, tcp, udp } from "../support/transports.js";
import { openUplink } from "./harness.js";
import { type Outcome } from "./outcome.js";

const port = (number: number) => ({ start: number, end: number });
const to = (number: number) => ({
  protocols: [{ kind: "tcp", destinationPort: port(number) } as const],
});
const bad: Peer = { kind: "cidrSet", setName: "bad" };
const SETUP = {
  sets: new Map([["bad", cidrListOf([{ cidr: parseCidr("198.51.100.0/24"), expiresAt: 0 }])]]),
  failSafe: [rule("ssh", "Accept", to(22))],
  eventsPerSecond: 1000,
  policies: [
    policy("watch", [rule("bad", "Drop", { from: [bad], logOneIn: 1 })], {
      priority: 1,
      mode: "Audit",
    }),
    policy(
      "edge",
      [
        rule("node-limit", limit({ rate: 1, burst: 2 }), to(81)),
        rule("source-limit", limit({ rate: 1, burst: 2, per: "SourceAddress" }), to(82)),
        rule("web", "Accept", { ...to(80), logOneIn: 1 }),
        rule("scan", "Drop", { traits: ["ImpossibleTCPFlags"], logOneIn: 1 }),
        rule("let", "Pass", { protocols: [{ kind: "udp", sourcePort: port(7) }] }),
        rule(
          "aside",
          { kind: "Redirect", target: { kind: "interface", name: "eth1" } },
          { protocols: [{ kind: "sctp" }] },
        ),
        rule(
          "gone",
          { kind: "Redirect", target: { kind: "interface", name: "nowhere" } },
          { protocols: [{ kind: "protocol", number: 47 }] },
        ),
        rule("fragments", "Accept", { traits: ["Fragment"] }),
      ],
      { defaultAction: "Drop" },
    ),
  ],
} as const;

const ABOVE = effectName(Effect.EFFECT_ABOVE_LIMIT);

const uplink = await openUplink();
const ring = new RingBuffer(uplink.takeRing().eventsFd);
after(() => {
  ring.close();
  return uplink.close();
});
await uplink.apply(SETUP);
beforeEach(() => uplink.forget());

const FRAMES: Readonly<Record<string, Buffer>> = {
  "fail-safe": packet(eth(), ipv4(), tcp({ destinationPort: 22 })),
  accepted: packet(eth(), vlan(), ipv4(), tcp({ destinationPort: 80, sourcePort: 1234 })),
  "seen by the audit policy": packet(eth(), ipv4({ source: "198.51.100.9" }), tcp()),
  "impossible flags": packet(eth(), ipv6(), tcp({ flags: [], destinationPort: 9 })),
  "passed on": packet(eth(), ipv4(), udp({ sourcePort: 7 })),
  "with options, to the default": packet(eth(), ipv6(), hopByHop(), icmpv6({ type: 129, code: 3 })),
  "ICMP to the default": packet(eth(), ipv4(), icmp({ type: 3, code: 4 })),
  redirected: packet(eth(), ipv4(), sctp()),
  "redirected to nowhere": packet(eth(), ipv4({ protocol: 47 }), payload(8)),
  "a first fragment": packet(eth(), ipv4({ id: 5, moreFragments: true }), udp({ length: 900 })),
  "a later fragment": packet(eth(), ipv4({ id: 5, fragmentOffset: 8, protocol: 17 }), payload(8)),
  "limited on the node": packet(eth(), ipv4(), tcp({ destinationPort: 81 })),
  "limited by source": packet(eth(), ipv4(), tcp({ destinationPort: 82 })),
  "cut short": packet(eth(), ipv4(), tcp()).subarray(0, 40),
  "not IP": packet(eth(), arp()),
};

/** What a run will meet, by its trace. */
function predicted(frame: Buffer, interfaceName: string): Omit<Outcome, "protocol"> {
  const trace = uplink.trace(frame, interfaceName);
  const verdict = VERDICT_NAMES[trace.verdict]!;
  const reason = REASON_NAMES[trace.reason]!;
  const steps = trace.steps.slice(0, trace.stepCount).map(({ slot, effect }) => {
    const owner = uplink.slots.owner(slot)!;
    return `${owner.policy}/${owner.rule}${effectName(effect) === ABOVE ? " above" : ""}`;
  });
  const follows = trace.stepCount === 0 && trace.slot !== 0;
  const { policy: name, rule: ruleName } = uplink.slots.owner(trace.slot) ?? {};
  return { verdict, reason, counted: follows ? [`${name}/${ruleName}`] : steps };
}

describe("a trace foretells the run", () => {
  for (const [name, frame] of Object.entries(FRAMES)) {
    it(name, () => {
      for (const interfaceName of ["eth0", "eth1"]) {
        for (let round = 0; round < 4; round++) {
          const expected = predicted(frame, interfaceName);
          const { verdict, reason, counted } = uplink.judge(frame, interfaceName);
          assert.deepEqual({ verdict, reason, counted }, expected, `${interfaceName} ${round}`);
        }
      }
    });
  }

  it("of a later fragment, before its first and after it", () => {
    const [first, later] = [FRAMES["a first fragment"]!, FRAMES["a later fragment"]!];
    for (const frame of [later, first, later]) {
      const expected = predicted(frame, "eth0");
      const { verdict, reason, counted } = uplink.judge(frame);
      assert.deepEqual({ verdict, reason, counted }, expected);
    }
  });
});

describe("a trace leaves no mark", () => {
  /** Everything a packet can change. */
  function state() {
    const { datapath } = uplink;
    return {
      outcomes: sumCounters(datapath.outcomeCounters),
      protocols: sumCounters(datapath.protocolCounters),
      rules: sumCounters(datapath.ruleCounters),
      lost: datapath.eventsLost(),
      events: ring.pendingBytes,
      node: datapath.nodeBuckets.u64.slice(),
      sources: [...datapath.sourceBuckets.entries()],
      fragments: [...datapath.fragments.entries()],
      connections: [...datapath.connections.entries()],
    };
  }

  it("on counters, events, buckets, fragments and connections, whatever the packet", () => {
    for (const frame of Object.values(FRAMES)) uplink.run(frame);
    const before = state();
    assert.ok(before.sources.length > 0 && before.fragments.length > 0 && before.events > 0);
    for (let round = 0; round < 5; round++) {
      for (const frame of Object.values(FRAMES)) uplink.trace(frame);
    }
    assert.deepEqual(state(), before);
  });

  it("on empty tables", () => {
    const before = state();
    for (const frame of Object.values(FRAMES)) uplink.trace(frame);
    assert.deepEqual(state(), before);
  });
});

it("the record says what the parser read", () => {
  const parts = (frame: Buffer) => {
    const { family, protocol, vlanTags, sourcePort, destinationPort, detail, fragment } =
      uplink.trace(frame);
    return { family, protocol, vlanTags, sourcePort, destinationPort, detail, fragment };
  };
  assert.deepEqual(
    parts(packet(eth(), vlan(), vlan(), ipv6(), tcp({ sourcePort: 9, flags: ["ACK"] }))),
    {
      family: 6,
      protocol: 6,
      vlanTags: 2,
      sourcePort: 9,
      destinationPort: 80,
      detail: 16,
      fragment: 0,
    },
  );
  const echo = parts(packet(eth(), ipv4(), icmp({ type: 3, code: 1 })));
  assert.deepEqual([echo.family, echo.protocol, echo.detail], [4, 1, 0x301]);
  assert.equal(parts(FRAMES["a first fragment"]!).fragment, 1);
  assert.equal(parts(FRAMES["a later fragment"]!).fragment, 2);
});

it("in words: every stage, the rules on the way, the verdict and who decided", async () => {
  const { datapath, slots, firewall } = uplink;
  uplink.trace(FRAMES["not IP"]!, "eth0");
  const result = await traceFrame(
    datapath,
    FRAMES["seen by the audit policy"]!,
    ifIndex(1),
    "eth0",
    { owner: (slot) => slots.owner(slot), addresses: firewall.addresses },
  );
  const { generation, stages, ...rest } = { generation: firewall.generation.number, ...result };
  assert.deepEqual(rest, {
    interface: "eth0",
    verdict: "pass",
    reason: "rule",
    policy: "edge",
    rule: "web",
    matched: [
      { policy: "watch", rule: "bad", effect: "audit: drop" },
      { policy: "edge", rule: "web", effect: "accept" },
    ],
  });
  const texts = Object.fromEntries(stages.map(({ stage, text }) => [stage, text]));
  assert.equal(texts["parse"], "IPv4 TCP, port 40000 to 80, flags SYN");
  assert.match(texts["interface"]!, new RegExp(`^slot 1, .*generation ${generation}$`));
  assert.match(texts["source"]!, /^class \d+: in set:bad$/);
  assert.equal(texts["verdict"], "pass, reason rule by edge/web");
});

it("many rules on the way: as many as the record holds are named, and the verdict is right", async () => {
  const room = Trace.decode(new DataView(new ArrayBuffer(Trace.size)), 0).steps.length;
  const goesOn = limit({ rate: 1e6, burst: 1e6 });
  const rules = Array.from({ length: room + 20 }, (_, index) => rule(`r${index}`, goesOn));
  await uplink.apply({ policies: [policy("edge", [...rules, rule("last", "Drop")])] });
  const { stepCount, steps, slot, verdict } = uplink.trace(FRAMES["accepted"]!);
  assert.equal(stepCount, room);
  assert.deepEqual(
    steps.map((step) => uplink.slots.owner(step.slot)?.rule),
    rules.slice(0, room).map(({ name }) => name),
  );
  assert.deepEqual([verdict, uplink.slots.owner(slot)?.rule], [1, "last"]);
});
