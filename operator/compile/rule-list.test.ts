import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Limits, Trait as TraitBit } from "../../datapath/generated/layout.js";
import { parseCidr } from "../../test/oracle/address.js";
import { limit, node, policy, rule } from "../../test/oracle/build.js";
import type { Peer, ProtocolMatch, RuleRecord } from "../model/records.js";
import { CapacityError } from "./capacity-error.js";
import {
  compileRuleList,
  namedSetKey,
  orderPolicies,
  type RuleList,
  type RuleListInput,
} from "./rule-list.js";

const INTERFACES = [
  { name: "eth0", slot: 1, uplink: true },
  { name: "eth1", slot: 2, uplink: false },
  { name: "wan0", slot: 7, uplink: true },
];

function compile(parts: Partial<RuleListInput>): RuleList {
  return compileRuleList({
    nodeLabels: {},
    interfaces: INTERFACES,
    policies: [],
    nodes: [],
    failSafe: [],
    nodeLocal: [],
    nowMs: 0,
    ...parts,
  });
}

function names(list: RuleList): readonly string[] {
  return list.rules.map((one) => `${one.policy}/${one.rule}`);
}

function cidr(text: string, ...except: readonly string[]): Peer {
  return { kind: "cidr", cidr: parseCidr(text), except: except.map(parseCidr) };
}

/** Source and destination port that only fit together: no two of these are one product. */
function pair(number: number): ProtocolMatch {
  const port = { start: number, end: number };
  return { kind: "tcp", sourcePort: port, destinationPort: port };
}

describe("order", () => {
  it("is fail-safe, the node's own rules, then policies by priority and name, each with its default last", () => {
    const list = compile({
      failSafe: [rule("ssh", "Accept")],
      nodeLocal: [rule("blocked", "Drop")],
      policies: [
        policy("late", [rule("a", "Drop")], { priority: 900, defaultAction: "Drop" }),
        policy("b", [rule("b", "Drop"), rule("a", "Drop")], { defaultAction: "Accept" }),
        policy("a", [rule("z", "Drop")]),
        policy("first", [], { priority: 0, defaultAction: "Drop" }),
      ],
    });
    assert.deepEqual(names(list), [
      "fail-safe/ssh",
      "node-local/blocked",
      "first/default",
      "a/z",
      "b/b",
      "b/a",
      "b/default",
      "late/a",
      "late/default",
    ]);
  });

  it("of names is that of their bytes, not that of a language", () => {
    const list = ["b", "a.b", "a-b", "ab", "a", "a0"].map((name) => policy(name, []));
    const ordered = orderPolicies(list).map(({ name }) => name);
    assert.deepEqual(ordered, ["a", "a-b", "a.b", "a0", "ab", "b"]);
  });

  it("of the policies given does not matter", () => {
    const policies = ["c", "a", "b"].map((name) => policy(name, [rule("r", "Drop")]));
    assert.deepEqual(compile({ policies }), compile({ policies: [...policies].reverse() }));
  });
});

describe("ways through the rules", () => {
  it("next leads behind the rule and all its bits, resume behind the policy", () => {
    const list = compile({
      failSafe: [rule("ssh", "Accept")],
      policies: [
        policy(
          "p",
          [rule("wide", "Drop", { protocols: [pair(1), pair(2), pair(3)] }), rule("one", "Drop")],
          { defaultAction: "Drop" },
        ),
        policy("q", [rule("last", "Drop")]),
      ],
    });
    const ways = list.rules.map((one) => [one.rule, one.next, one.resume]);
    assert.deepEqual(ways, [
      ["ssh", 1, 1],
      ["wide", 4, 6],
      ["wide", 4, 6],
      ["wide", 4, 6],
      ["one", 5, 6],
      ["default", 6, 6],
      ["last", 7, 7],
    ]);
  });

  it("rules keep action, mode, limit, target, log and traits", () => {
    const bogon = rule("bogon", limit({ rate: 7 }), { traits: ["Bogon", "Fragment"], logOneIn: 9 });
    const target = { kind: "cpus", cpus: [1] } as const;
    const aside = rule("aside", { kind: "Redirect", target });
    const { rules } = compile({ policies: [policy("p", [bogon, aside], { mode: "Audit" })] });
    const [first, second] = rules;
    assert.equal(first?.action, "Limit");
    assert.equal(first?.rateLimit?.rate, 7);
    assert.deepEqual([first?.audit, first?.isDefault, first?.logOneIn], [true, false, 9]);
    assert.equal(
      first?.traits,
      TraitBit.TRAIT_FRAGMENT |
        TraitBit.TRAIT_SAME_ADDRESS |
        TraitBit.TRAIT_MARTIAN_SOURCE |
        TraitBit.TRAIT_ZERO_PORT |
        TraitBit.TRAIT_IMPOSSIBLE_TCP_FLAGS,
    );
    assert.deepEqual(second?.redirect, target);
    assert.equal(second?.rateLimit, undefined);
  });
});

describe("interfaces", () => {
  it("are those that the globs name, or the uplinks; fail-safe judges all of them", () => {
    const list = compile({
      failSafe: [rule("ssh", "Accept")],
      policies: [
        policy("uplinks", [rule("r", "Drop")]),
        policy("eths", [rule("r", "Drop")], { interfaces: ["eth?", "nothing*"], mode: "Audit" }),
        policy("none", [rule("r", "Drop")], { interfaces: ["nothing*"] }),
      ],
    });
    const bySlot = Object.fromEntries(list.rules.map((one) => [one.policy, one.interfaces]));
    assert.deepEqual(bySlot, { "fail-safe": [1, 2, 7], eths: [1, 2], uplinks: [1, 7] });
    assert.deepEqual(list.judgedSlots, [1, 2, 7]);
    assert.deepEqual(new Set(list.enforcedSlots), new Set([1, 7]));
    assert.deepEqual([...list.policyInterfaces.keys()], ["eths", "uplinks"]);
  });

  it("a policy that does not select the node leaves nothing behind", () => {
    const elsewhere = policy(
      "p",
      [rule("r", "Drop", { from: [{ kind: "cidrSet", setName: "s" }] })],
      {
        nodeSelector: { matchLabels: { role: "edge" } },
      },
    );
    const list = compile({ policies: [elsewhere], failSafe: [rule("ssh", "Accept")] });
    assert.deepEqual([list.rules, [...list.namedSets], list.judgedSlots], [[], [], []]);
    assert.equal(compile({ policies: [elsewhere], nodeLabels: { role: "edge" } }).rules.length, 1);
  });

  it("the node's own blocks judge the uplinks even without any policy", () => {
    const list = compile({ nodeLocal: [rule("blocked", "Drop")] });
    assert.deepEqual(
      list.rules.map((one) => one.interfaces),
      [[1, 7]],
    );
    assert.deepEqual(
      [list.judgedSlots, list.enforcedSlots],
      [
        [1, 7],
        [1, 7],
      ],
    );
  });
});

describe("time", () => {
  it("rules that have expired are out, and the next expiry is known", () => {
    const until = (name: string, expiresAtMs: number) => rule(name, "Drop", { expiresAtMs });
    const policies = [
      policy("p", [until("a", 100), until("b", 300), until("c", 200), rule("d", "Drop")]),
    ];
    const at = (nowMs: number) => {
      const list = compile({ policies, nowMs });
      return [list.rules.map((one) => one.rule).join(""), list.nextExpiryMs];
    };
    assert.deepEqual(at(99), ["abcd", 100]);
    assert.deepEqual(at(100), ["bcd", 200]);
    assert.deepEqual(at(299), ["bd", 300]);
    assert.deepEqual(at(300), ["d", undefined]);
  });
});

describe("address sets", () => {
  const fromOf = (list: RuleList) => list.rules.map(({ from }) => from);

  it("no peers are any address; peers that come to nothing are no address", () => {
    const nobody: Peer = { kind: "nodes", selector: { matchLabels: { role: "none" } } };
    const rules = [rule("any", "Drop"), rule("nobody", "Drop", { from: [nobody] })];
    assert.deepEqual(fromOf(compile({ policies: [policy("p", rules)] })), [undefined, []]);
  });

  it("each peer with exceptions is a set of its own, all others of a rule are one", () => {
    const from = [
      cidr("10.0.0.0/8", "10.1.0.0/16"),
      cidr("192.0.2.0/24"),
      cidr("2001:db8::/32"),
      cidr("172.16.0.0/12", "172.16.0.0/16"),
      { kind: "cidrSet", setName: "bad" } as const,
    ];
    const list = compile({ policies: [policy("p", [rule("r", "Drop", { from })])] });
    const [keys] = fromOf(list);
    assert.equal(keys?.length, 4);
    assert.ok(keys?.includes(namedSetKey("bad")));
    assert.deepEqual([...list.namedSets], ["bad"]);
    const sets = [...list.inlineSets.values()].map(({ cidrs, except }) => [cidrs, except]);
    assert.equal(sets.length, 3);
    for (const { cidr: block, except } of from.filter((peer) => peer.kind === "cidr")) {
      if (except.length > 0)
        assert.deepEqual(
          sets.filter((set) => set[0]?.[0] === block),
          [[[block], except]],
        );
    }
    const plain = [parseCidr("192.0.2.0/24"), parseCidr("2001:db8::/32")];
    assert.deepEqual(sets.at(-1), [plain, []]);
  });

  it("equal lists share a set, in whatever order and however often they name a block", () => {
    const one = [cidr("10.0.0.0/8"), cidr("192.0.2.0/24")];
    const other = [one[1]!, one[0]!, one[1]!];
    const rules = [rule("a", "Drop", { from: one }), rule("b", "Drop", { to: other })];
    const list = compile({ policies: [policy("p", rules)] });
    assert.deepEqual(list.rules[0]?.from, list.rules[1]?.to);
    assert.equal(list.inlineSets.size, 1);
  });

  it("nodes are the addresses of those that the selector selects", () => {
    const edge: Peer = { kind: "nodes", selector: { matchLabels: { role: "edge" } } };
    const input = { policies: [policy("p", [rule("r", "Drop", { from: [edge] })])] };
    const nodes = [
      node("a", { role: "edge" }, ["192.0.2.1", "2001:db8::1"]),
      node("b", { role: "core" }, ["192.0.2.2"]),
    ];
    const [set] = compile({ ...input, nodes }).inlineSets.values();
    assert.deepEqual(set, { cidrs: nodes[0]!.addresses, except: [] });
  });
});

describe("capacity", () => {
  const many = (count: number): readonly RuleRecord[] =>
    Array.from({ length: count }, (_, index) => rule(`r${index}`, "Drop"));

  it("a full table is fine, one rule more is refused and names its policy", () => {
    const fits = [policy("a", many(3000)), policy("b", many(Limits.MAX_RULES - 3000))];
    assert.equal(compile({ policies: fits }).rules.length, Limits.MAX_RULES);
    const tooMany = [policy("a", many(3000)), policy("b", many(Limits.MAX_RULES - 3000 + 1))];
    assert.throws(
      () => compile({ policies: tooMany }),
      (error) => error instanceof CapacityError && error.table === "rules" && error.policy === "b",
    );
  });

  it("bits count, not rules: pairs of ports that are no product, and the default", () => {
    const pairs = Array.from({ length: Limits.MAX_RULES - 1 }, (_, index) => pair(index));
    const wide = [rule("wide", "Drop", { protocols: pairs })];
    assert.equal(compile({ policies: [policy("p", wide)] }).rules.length, Limits.MAX_RULES - 1);
    const withDefault = policy("p", [...wide, rule("one", "Drop")], { defaultAction: "Drop" });
    assert.throws(() => compile({ policies: [withDefault] }), CapacityError);
  });
});
