import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Limits, RuleBitmap } from "../../datapath/generated/layout.js";
import {
  addRule,
  BITMAP_WORDS,
  emptyRuleSet,
  hashRules,
  hasRule,
  hasSameRules,
  removeRule,
  type RuleSet,
  writeBitmap,
} from "./bitmap.js";

/** First, last, and both sides of 32- and 64-bit words. */
const EDGES = [0, 1, 31, 32, 33, 63, 64, 65, 127, 128, 2047, 2048, 4094, Limits.MAX_RULES - 1];

function setOf(...rules: readonly number[]): RuleSet {
  const set = emptyRuleSet(Limits.MAX_RULES);
  for (const rule of rules) addRule(set, rule);
  return set;
}

function rulesOf(set: RuleSet): readonly number[] {
  return Array.from({ length: Limits.MAX_RULES }, (_, rule) => rule).filter((rule) =>
    hasRule(set, rule),
  );
}

describe("rule sets", () => {
  it("hold what was added and not removed", () => {
    const set = setOf(...EDGES);
    assert.deepEqual(rulesOf(set), EDGES);
    for (const rule of [31, 64, 4095]) removeRule(set, rule);
    removeRule(set, 5);
    assert.deepEqual(
      rulesOf(set),
      EDGES.filter((rule) => ![31, 64, 4095].includes(rule)),
    );
  });

  it("have equal hashes when they are equal, and others when one rule differs", () => {
    const [set, same] = [setOf(...EDGES), setOf(...[...EDGES].reverse())];
    assert.equal(hashRules(set), hashRules(same));
    assert.equal(hasSameRules(set, same), true);
    const others = [setOf(), ...EDGES.map((rule) => setOf(rule))];
    assert.equal(new Set(others.map(hashRules)).size, others.length);
    for (const other of others) assert.equal(hasSameRules(set, other), false);
  });
});

describe("struct rule_bitmap", () => {
  it("has the rules in 64-bit words, and a summary bit for each word that is not empty", () => {
    const target = new Uint32Array(3 * BITMAP_WORDS).fill(0xdeadbeef);
    writeBitmap(setOf(...EDGES), 0, target, BITMAP_WORDS);
    const at = BITMAP_WORDS * 4;
    const { summary, words } = RuleBitmap.decode(new DataView(target.buffer), at);
    const expected = Array.from({ length: Limits.RULE_WORDS }, () => 0n);
    for (const rule of EDGES) expected[rule >> 6]! |= 1n << BigInt(rule & 63);
    assert.deepEqual(words, expected);
    const occupied = expected.map((word, index) => (word === 0n ? 0n : 1n << BigInt(index)));
    assert.equal(
      summary,
      occupied.reduce((bits, bit) => bits | bit),
    );
    assert.equal(RuleBitmap.size, BITMAP_WORDS * 4);
    for (const outside of [target.subarray(0, BITMAP_WORDS), target.subarray(2 * BITMAP_WORDS)]) {
      assert.ok(
        outside.every((word) => word === 0xdeadbeef),
        "nothing around it is written",
      );
    }
  });

  it("of no rules is all zero, whatever was there", () => {
    const target = new Uint32Array(BITMAP_WORDS).fill(1);
    writeBitmap(setOf(), 0, target, 0);
    assert.ok(target.every((word) => word === 0));
  });
});
