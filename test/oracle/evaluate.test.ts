/** Each line of docs/xdp-policy.md §2, §5, §6 and §7, and the verdicts of §4. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { RuleRecord, XdpPolicyRecord } from "../../operator/model/records.js";
import { buildFrame, type FrameSpec, udp } from "../fuzz/frame.js";
import { parseAddress, parseCidr } from "./address.js";
import { limit, node, policy, rule, world } from "./build.js";
import { evaluate } from "./evaluate.js";
import { createState, type EvaluationState } from "./state.js";
import type { Evaluation, World } from "./world.js";

/** UDP 192.0.2.1:50000 → 198.51.100.2:`port`. */
function packet(port = 443, parts: Partial<FrameSpec> = {}): Uint8Array {
  return buildFrame({
    source: parseAddress("192.0.2.1"),
    destination: parseAddress("198.51.100.2"),
    protocol: 17,
    payload: udp({ source: 50_000, destination: port }),
    ...parts,
  });
}

const PACKET = packet();
const UNPARSABLE = PACKET.subarray(0, 20);
const ARP = Uint8Array.from([...new Uint8Array(12), 8, 6, ...new Uint8Array(46)]);

function judge(
  policies: readonly XdpPolicyRecord[],
  parts: Partial<World> = {},
  frame = PACKET,
  state: EvaluationState = createState(parts.nowMs ?? 0),
): Evaluation {
  return evaluate(world({ policies, ...parts }), state, "eth0", frame);
}

/** What decided, in one line. */
function answer({ verdict, reason, policy, rule }: Evaluation): string {
  return [verdict, reason, ...(policy === undefined ? [] : [`${policy}/${rule}`])].join(" ");
}

function effects(evaluation: Evaluation): readonly string[] {
  return evaluation.matched.map(({ policy, rule, effect }) => `${policy}/${rule} ${effect}`);
}

/** The answer of a policy `p` with these rules, followed by a policy `q` that drops everything. */
function beforeDrop(
  rules: readonly RuleRecord[],
  parts: Partial<XdpPolicyRecord> = {},
): Evaluation {
  return judge([policy("p", rules, parts), policy("q", [rule("all", "Drop")], { priority: 200 })]);
}

const toPort = (port: number): Partial<RuleRecord> => ({
  protocols: [{ kind: "udp", destinationPort: { start: port, end: port } }],
});

describe("which policies judge", () => {
  const drop = [rule("all", "Drop")];
  const judgedOn = (name: string, parts: Partial<XdpPolicyRecord>) =>
    evaluate(world({ policies: [policy("p", drop, parts)] }), createState(0), name, PACKET).reason;

  it("an interface that no policy matches passes everything, the unparsable too", () => {
    const policies = [policy("p", drop, { interfaces: ["eth1"] })];
    for (const frame of [PACKET, UNPARSABLE, ARP]) {
      assert.equal(answer(judge(policies, {}, frame)), "pass not-judged");
    }
    assert.equal(answer(judge([], { failSafe: [rule("ssh", "Accept")] })), "pass not-judged");
  });

  it("without interfaces the uplinks are meant", () => {
    assert.equal(judgedOn("eth0", {}), "rule");
    assert.equal(judgedOn("eth1", {}), "not-judged");
  });

  it("globs match the whole name: * any run, ? one character, all else itself", () => {
    const judged = (glob: string, name: string) =>
      judgedOn(name, { interfaces: [glob] }) === "rule";
    for (const [glob, name] of [
      ["eth0", "eth0"],
      ["eth*", "eth0"],
      ["eth*", "eth"],
      ["*", "eth0"],
      ["*0", "eth0"],
      ["e*h*0", "eth0"],
      ["eth?", "eth0"],
      ["????", "eth0"],
      ["*.?", "eth0.7"],
    ] as const) {
      assert.equal(judged(glob, name), true, `${glob} ${name}`);
    }
    for (const [glob, name] of [
      ["eth0", "eth01"],
      ["eth0", "veth0"],
      ["eth?", "eth"],
      ["eth?", "eth10"],
      ["*1", "eth10"],
      ["eth[0]", "eth0"],
      ["eth.*", "eth0"],
      ["ETH0", "eth0"],
    ] as const) {
      assert.equal(judged(glob, name), false, `${glob} ${name}`);
    }
    assert.equal(judgedOn("wan", { interfaces: ["eth*", "wan"] }), "rule");
  });

  it("nodeSelector reads the labels of the judging node", () => {
    const selective = [policy("p", drop, { nodeSelector: { matchLabels: { role: "edge" } } })];
    const edge = node("self", { role: "edge" });
    assert.equal(judge(selective, { node: edge }).reason, "rule");
    assert.equal(judge(selective, { nodes: [edge] }).reason, "not-judged");
  });

  it("lower priority is judged first, then the name in byte order", () => {
    const accept = policy("b", [rule("r", "Accept")], { priority: 10 });
    assert.equal(judge([policy("a", drop, { priority: 11 }), accept]).policy, "b");
    assert.equal(judge([policy("a", drop, { priority: 10 }), accept]).policy, "a");
    const names = ["b", "a.b", "a-b", "ab", "a0", "a"].map((name) =>
      policy(name, drop, { mode: "Audit" }),
    );
    assert.deepEqual(
      judge(names).matched.map((match) => match.policy),
      ["a", "a-b", "a.b", "a0", "ab", "b"],
    );
  });
});

describe("actions in Enforce mode", () => {
  it("Accept passes the packet to the stack", () => {
    const evaluation = beforeDrop([rule("r", "Accept")]);
    assert.equal(answer(evaluation), "pass rule p/r");
    assert.deepEqual(effects(evaluation), ["p/r accept"]);
  });

  it("Drop drops with reason rule", () => {
    const evaluation = judge([policy("p", [rule("r", "Drop")])]);
    assert.equal(answer(evaluation), "drop rule p/r");
    assert.deepEqual(effects(evaluation), ["p/r drop"]);
  });

  it("the first matching rule of a policy decides", () => {
    const evaluation = judge([
      policy("p", [
        rule("other", "Drop", toPort(80)),
        rule("first", "Accept"),
        rule("second", "Drop"),
      ]),
    ]);
    assert.equal(answer(evaluation), "pass rule p/first");
  });

  it("Pass goes on behind its policy, past the default too", () => {
    const evaluation = beforeDrop([rule("r", "Pass"), rule("s", "Accept")], {
      defaultAction: "Accept",
    });
    assert.equal(answer(evaluation), "drop rule q/all");
    assert.deepEqual(effects(evaluation), ["p/r pass-on", "q/all drop"]);
  });

  it("Limit within the rate goes on with the next rule", () => {
    const evaluation = beforeDrop([rule("r", "Limit"), rule("s", "Accept")]);
    assert.equal(answer(evaluation), "pass rule p/s");
    assert.deepEqual(effects(evaluation), ["p/r within-rate", "p/s accept"]);
  });

  it("Limit above the rate drops with reason limit", () => {
    const evaluation = beforeDrop([
      rule("r", limit({ unit: "bytes", burst: 1 })),
      rule("s", "Accept"),
    ]);
    assert.equal(answer(evaluation), "drop limit p/r");
    assert.deepEqual(effects(evaluation), ["p/r drop"]);
  });

  it("Redirect redirects", () => {
    const evaluation = beforeDrop([rule("r", "Redirect")]);
    assert.equal(answer(evaluation), "redirect rule p/r");
    assert.deepEqual(effects(evaluation), ["p/r redirect"]);
  });

  it("Redirect to a missing target drops with reason redirect", () => {
    const toInterface = (name: string) =>
      rule("r", { kind: "Redirect", target: { kind: "interface", name } });
    assert.equal(answer(beforeDrop([toInterface("eth1")])), "redirect rule p/r");
    assert.equal(answer(beforeDrop([toInterface("eth7")])), "drop redirect p/r");
    const toSockets = policy("p", [
      rule("r", { kind: "Redirect", target: { kind: "socketMap", name: "xsks" } }),
    ]);
    assert.equal(answer(judge([toSockets])), "drop redirect p/r");
    assert.equal(answer(judge([toSockets], { socketMaps: ["xsks"] })), "redirect rule p/r");
  });
});

describe("actions in Audit mode", () => {
  const audit = (action: Parameters<typeof rule>[1]) =>
    beforeDrop([rule("r", action), rule("s", "Accept")], { mode: "Audit", defaultAction: "Drop" });

  it("Accept, Drop, Pass and Redirect are counted; the walk goes on behind the policy", () => {
    for (const [action, effect] of [
      ["Accept", "would-accept"],
      ["Drop", "would-drop"],
      ["Pass", "pass-on"],
      ["Redirect", "would-redirect"],
    ] as const) {
      const evaluation = audit(action);
      assert.equal(answer(evaluation), "drop rule q/all");
      assert.deepEqual(effects(evaluation), [`p/r ${effect}`, "q/all drop"]);
    }
  });

  it("Limit within the rate goes on with the next rule", () => {
    assert.deepEqual(effects(audit("Limit")), [
      "p/r within-rate",
      "p/s would-accept",
      "q/all drop",
    ]);
  });

  it("Limit above the rate is counted as would-drop; the walk goes on behind the policy", () => {
    const evaluation = audit(limit({ unit: "bytes", burst: 1 }));
    assert.deepEqual(effects(evaluation), ["p/r would-drop", "q/all drop"]);
  });

  it("never changes a verdict: with audit policies alone the packet passes with no-rule", () => {
    const audits = [
      policy("p", [rule("r", "Drop")], { mode: "Audit" }),
      policy("q", [], { mode: "Audit", defaultAction: "Drop" }),
    ];
    const evaluation = judge(audits);
    assert.equal(answer(evaluation), "pass no-rule");
    assert.deepEqual(effects(evaluation), ["p/r would-drop", "q/default would-drop"]);
  });
});

describe("the end of a policy and of the walk", () => {
  const miss = [rule("r", "Accept", toPort(80))];
  const known = createState(0, () => true);

  it("defaultAction Pass goes on and is not counted", () => {
    assert.deepEqual(effects(beforeDrop(miss)), ["q/all drop"]);
  });

  it("defaultAction Accept passes as rule default", () => {
    const evaluation = beforeDrop(miss, { defaultAction: "Accept" });
    assert.equal(answer(evaluation), "pass default p/default");
    assert.deepEqual(effects(evaluation), ["p/default accept"]);
    assert.deepEqual(effects(beforeDrop(miss, { defaultAction: "Accept", mode: "Audit" })), [
      "p/default would-accept",
      "q/all drop",
    ]);
  });

  it("defaultAction Drop drops with reason default", () => {
    const evaluation = beforeDrop(miss, { defaultAction: "Drop" });
    assert.equal(answer(evaluation), "drop default p/default");
    assert.deepEqual(effects(evaluation), ["p/default drop"]);
    assert.deepEqual(effects(beforeDrop(miss, { defaultAction: "Drop", mode: "Audit" })), [
      "p/default would-drop",
      "q/all drop",
    ]);
  });

  it("defaultAction Drop lets a packet of a connection that the node opened pass", () => {
    const evaluation = judge([policy("p", miss, { defaultAction: "Drop" })], {}, PACKET, known);
    assert.equal(answer(evaluation), "pass established p/default");
    assert.deepEqual(effects(evaluation), ["p/default established"]);
  });

  it("an audited defaultAction Drop does not count a packet of such a connection", () => {
    const audit = policy("p", miss, { defaultAction: "Drop", mode: "Audit" });
    const evaluation = judge([audit], {}, PACKET, known);
    assert.equal(answer(evaluation), "pass no-rule");
    assert.deepEqual(effects(evaluation), []);
  });

  it("an explicit Drop rule drops a packet of such a connection", () => {
    const evaluation = judge([policy("p", [rule("r", "Drop")])], {}, PACKET, known);
    assert.equal(answer(evaluation), "drop rule p/r");
  });

  it("a walk that ends without a verdict passes with no-rule", () => {
    assert.equal(answer(judge([policy("p", miss)])), "pass no-rule");
    assert.equal(answer(judge([policy("p", [rule("r", "Pass")])])), "pass no-rule");
  });

  it("an expired rule does not exist, from its very moment", () => {
    const policies = [policy("p", [rule("r", "Drop", { expiresAtMs: 1000 })])];
    assert.equal(answer(judge(policies, { nowMs: 999 })), "drop rule p/r");
    assert.equal(answer(judge(policies, { nowMs: 1000 })), "pass no-rule");
  });

  it("a policy with expired rules only still judges", () => {
    const expired = policy("p", [rule("r", "Drop", { expiresAtMs: 0 })]);
    assert.equal(answer(judge([expired], {}, UNPARSABLE)), "drop truncated");
  });
});

describe("fail-safe", () => {
  const failSafe = [rule("web", "Accept", toPort(443))];
  const drop = [policy("p", [rule("all", "Drop")], { priority: 0 })];

  it("comes before every policy and accepts", () => {
    const evaluation = judge(drop, { failSafe });
    assert.equal(answer(evaluation), "pass rule fail-safe/web");
    assert.deepEqual(effects(evaluation), ["fail-safe/web accept"]);
    assert.equal(answer(judge(drop, { failSafe }, packet(80))), "drop rule p/all");
  });
});

describe("packets that no rule sees", () => {
  const drop = [policy("p", [rule("all", "Drop")])];

  it("what is not IP passes as not-ip", () => {
    assert.equal(answer(judge(drop, {}, ARP)), "pass not-ip");
  });

  it("the unparsable is dropped under its reason where a policy enforces, fail-safe or not", () => {
    const deep = packet(443, { vlanTags: [0x8100, 0x8100, 0x8100] });
    const failSafe = [rule("everything", "Accept")];
    const audit = [policy("p", [rule("all", "Drop")], { mode: "Audit" })];
    assert.equal(answer(judge(drop, { failSafe }, UNPARSABLE)), "drop truncated");
    assert.equal(answer(judge(audit, {}, UNPARSABLE)), "pass truncated");
    assert.equal(answer(judge(drop, {}, deep)), "drop vlan-depth");
  });

  it("the unparsable passes under its reason with the agent's option", () => {
    assert.equal(answer(judge(drop, { unparsable: "Pass" }, UNPARSABLE)), "pass truncated");
  });
});

describe("fragments", () => {
  const policies = [
    policy("p", [rule("web", "Accept", toPort(443)), rule("dns", "Drop", toPort(53))], {
      defaultAction: "Drop",
    }),
  ];
  const fragment = (id: number, offset: number, parts: Partial<FrameSpec> = {}, port = 443) =>
    packet(port, { fragment: { id, offset, more: offset === 0 }, ...parts });
  const first = (id: number, port: number) => fragment(id, 0, {}, port);

  it("a later one is judged by the rules when its first was not seen", () => {
    assert.equal(answer(judge(policies, {}, fragment(1, 8))), "drop default p/default");
  });

  it("a later one gets verdict, reason and rule of its first", () => {
    const state = createState(0);
    assert.equal(answer(judge(policies, {}, first(1, 443), state)), "pass rule p/web");
    assert.equal(answer(judge(policies, {}, first(2, 53), state)), "drop rule p/dns");
    const later = judge(policies, {}, fragment(1, 8), state);
    assert.equal(answer(later), "pass rule p/web");
    assert.deepEqual(effects(later), ["p/web accept"]);
    assert.equal(answer(judge(policies, {}, fragment(2, 8), state)), "drop rule p/dns");
  });

  it("source, destination, protocol and id must be the same", () => {
    const state = createState(0);
    judge(policies, {}, first(1, 443), state);
    for (const other of [
      fragment(2, 8),
      fragment(1, 8, { source: parseAddress("192.0.2.3") }),
      fragment(1, 8, { destination: parseAddress("192.0.2.3") }),
      fragment(1, 8, { protocol: 6 }),
    ]) {
      assert.equal(answer(judge(policies, {}, other, state)), "drop default p/default");
    }
    assert.equal(answer(judge(policies, {}, fragment(1, 8), state)), "pass rule p/web");
  });

  it("a first is remembered for 30 s after it was seen; later ones do not prolong that", () => {
    const state = createState(0);
    judge(policies, {}, first(1, 443), state);
    state.nowMs = 30_000;
    assert.equal(answer(judge(policies, {}, fragment(1, 8), state)), "pass rule p/web");
    state.nowMs = 30_001;
    assert.equal(answer(judge(policies, {}, fragment(1, 8), state)), "drop default p/default");
  });

  it("of two firsts the last one counts", () => {
    const state = createState(0);
    judge(policies, {}, first(1, 443), state);
    judge(policies, {}, first(1, 53), state);
    assert.equal(answer(judge(policies, {}, fragment(1, 8), state)), "drop rule p/dns");
  });

  it("the remembered answer may also be no-rule", () => {
    const state = createState(0);
    const lenient = [policy("p", [rule("pieces", "Drop", { traits: ["Fragment"], to: [] })])];
    const exempt = [policy("p", [])];
    judge(exempt, {}, first(1, 443), state);
    const later = judge(lenient, {}, fragment(1, 8), state);
    assert.equal(answer(later), "pass no-rule");
    assert.deepEqual(effects(later), []);
  });

  it("a later one of a remembered first takes no tokens", () => {
    const state = createState(0);
    const limited = [policy("p", [rule("r", limit({ burst: 2 }))])];
    judge(limited, {}, first(1, 443), state);
    judge(limited, {}, fragment(1, 8), state);
    judge(limited, {}, fragment(1, 16), state);
    assert.equal(answer(judge(limited, {}, PACKET, state)), "pass no-rule");
    assert.equal(answer(judge(limited, {}, PACKET, state)), "drop limit p/r");
  });

  it("an unparsable first and an IPv6 atomic fragment are not remembered", () => {
    const state = createState(0);
    const cut = first(1, 443).subarray(0, 38);
    assert.equal(answer(judge(policies, {}, cut, state)), "drop truncated");
    assert.equal(answer(judge(policies, {}, fragment(1, 8), state)), "drop default p/default");
    const ipv6 = {
      source: parseAddress("2001:db8::1"),
      destination: parseAddress("2001:db8::2"),
    };
    const atomic = packet(443, { ...ipv6, fragment: { id: 5, offset: 0, more: false } });
    assert.equal(answer(judge(policies, {}, atomic, state)), "pass rule p/web");
    assert.equal(
      answer(judge(policies, {}, fragment(5, 8, ipv6), state)),
      "drop default p/default",
    );
  });
});

describe("Limit", () => {
  const limited = (parts: Parameters<typeof limit>[0]) => [policy("p", [rule("r", limit(parts))])];
  /** For each packet of the sequence: is it above the rate? */
  function above(
    parts: Parameters<typeof limit>[0],
    frames: readonly Uint8Array[],
    state = createState(0),
  ): readonly boolean[] {
    return frames.map((frame) => judge(limited(parts), {}, frame, state).reason === "limit");
  }
  const from = (source: string) =>
    packet(443, {
      source: parseAddress(source),
      destination: parseAddress(source.includes(":") ? "2001:db8:f::1" : "198.51.100.2"),
    });

  it("a bucket starts with burst tokens; a packet takes one", () => {
    assert.deepEqual(above({ burst: 2 }, [PACKET, PACKET, PACKET]), [false, false, true]);
  });

  it("a bucket refills at the rate up to burst; a packet above the rate takes nothing", () => {
    const state = createState(0);
    const at = (nowMs: number) => {
      state.nowMs = nowMs;
      return above({ rate: 2, burst: 2 }, [PACKET], state)[0];
    };
    assert.deepEqual([at(0), at(0), at(499), at(500), at(500)], [false, false, true, false, true]);
    assert.deepEqual([at(60_000), at(60_000), at(60_000)], [false, false, true]);
  });

  it("bytes are those of the whole frame", () => {
    const padded = packet(443, { padding: 4 });
    assert.equal(PACKET.length, 42);
    const unit = "bytes";
    assert.deepEqual(above({ unit, burst: 85 }, [PACKET, PACKET, PACKET]), [false, false, true]);
    assert.deepEqual(above({ unit, burst: 84 }, [PACKET, PACKET]), [false, false]);
    assert.deepEqual(above({ unit, burst: 87 }, [padded, PACKET]), [false, true]);
    assert.deepEqual(above({ unit, burst: 41 }, [PACKET, PACKET]), [true, true]);
  });

  it("per Node all sources share one bucket, on all interfaces", () => {
    assert.deepEqual(above({}, [from("192.0.2.1"), from("192.0.2.2")]), [false, true]);
    const state = createState(0);
    const both = world({ policies: [policy("p", [rule("r", limit({}))], { interfaces: ["*"] })] });
    assert.equal(evaluate(both, state, "eth0", PACKET).reason, "no-rule");
    assert.equal(evaluate(both, state, "eth1", PACKET).reason, "limit");
  });

  it("per SourceAddress each source has its own", () => {
    const frames = ["192.0.2.1", "192.0.2.2", "192.0.2.1", "2001:db8::1", "2001:db8::1"].map(from);
    assert.deepEqual(above({ per: "SourceAddress" }, frames), [false, false, true, false, true]);
  });

  it("per SourcePrefix all sources of a prefix share one", () => {
    const parts = { per: "SourcePrefix", ipv4PrefixLength: 25, ipv6PrefixLength: 65 } as const;
    const ipv4 = ["192.0.2.0", "192.0.2.127", "192.0.2.128", "192.0.2.255"].map(from);
    assert.deepEqual(above(parts, ipv4), [false, true, false, true]);
    const ipv6 = ["::2", "::7fff:0:0:1", "::8000:0:0:1", "::ffff:0:0:1"].map(from);
    assert.deepEqual(above(parts, ipv6), [false, true, false, true]);
  });

  it("an IPv4 and an IPv6 prefix of the same bits are two", () => {
    const parts = { per: "SourcePrefix", ipv4PrefixLength: 1, ipv6PrefixLength: 1 } as const;
    assert.deepEqual(above(parts, [from("1.2.3.4"), from("::2")]), [false, false]);
  });

  it("two rules never share a bucket", () => {
    const two = [policy("p", [rule("r", limit({})), rule("s", limit({}))])];
    const evaluation = judge(two);
    assert.deepEqual(effects(evaluation), ["p/r within-rate", "p/s within-rate"]);
  });

  it("tokens are taken on the walk, also when a later rule drops the packet", () => {
    const state = createState(0);
    const policies = [policy("p", [rule("r", limit({})), rule("web", "Drop", toPort(443))])];
    assert.equal(answer(judge(policies, {}, packet(443), state)), "drop rule p/web");
    assert.equal(answer(judge(policies, {}, packet(80), state)), "drop limit p/r");
  });

  it("takes tokens in Audit mode too", () => {
    const state = createState(0);
    const audit = [policy("p", [rule("r", limit({}))], { mode: "Audit" })];
    assert.deepEqual(effects(judge(audit, {}, PACKET, state)), ["p/r within-rate"]);
    assert.deepEqual(effects(judge(audit, {}, PACKET, state)), ["p/r would-drop"]);
  });
});

describe("a world that does not fit together", () => {
  it("a rule that names an unknown set is an error of the test, not a miss", () => {
    const from = [{ kind: "cidrSet", setName: "nowhere" }] as const;
    assert.throws(() => judge([policy("p", [rule("r", "Drop", { from })])]), /no set "nowhere"/);
  });

  it("a peer whose set is known is used", () => {
    const from = [{ kind: "cidr", cidr: parseCidr("192.0.2.1"), except: [] }] as const;
    assert.equal(judge([policy("p", [rule("r", "Drop", { from })])]).reason, "rule");
  });
});
