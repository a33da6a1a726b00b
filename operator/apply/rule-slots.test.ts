import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Limits, RuleName } from "../../datapath/generated/layout.js";
import { CapacityError } from "../compile/capacity-error.js";
import type { Bank } from "./bank.js";
import { RuleSlots, type SlotOwner } from "./rule-slots.js";

const LAST = Limits.MAX_RULE_SLOTS - 1;

/** The kernel's table of names, which outlives every RuleSlots. */
function nameTable(): Pick<Bank, "ruleNames"> {
  const bytes = new Uint8Array(Limits.MAX_RULE_SLOTS * RuleName.size);
  const ruleNames = { bytes, stride: RuleName.size, view: new DataView(bytes.buffer) };
  return { ruleNames } as unknown as Pick<Bank, "ruleNames">;
}

function open(table = nameTable()) {
  const cleared: number[] = [];
  const slots = new RuleSlots(table, (slot) => cleared.push(slot));
  return { slots, cleared, table };
}

function rules(policy: string, count: number): readonly SlotOwner[] {
  return Array.from({ length: count }, (_, index) => ({ policy, rule: `r${index}` }));
}

describe("rule slots", () => {
  it("are given out from 1, one for each rule; fresh ones have nothing to clear", () => {
    const { slots, cleared } = open();
    const given = slots.assign([...rules("a", 2), ...rules("b", 1)]);
    assert.deepEqual(given, [1, 2, 3]);
    assert.deepEqual(cleared, []);
    assert.deepEqual(slots.owner(3), { policy: "b", rule: "r0" });
    assert.equal(slots.find({ policy: "a", rule: "r1" }), 2);
    assert.equal(slots.find({ policy: "a", rule: "r2" }), undefined);
    assert.equal(slots.owner(0), undefined);
  });

  it("stay with their rule through edits, reordering and absence, and are not cleared again", () => {
    const { slots, cleared } = open();
    const [first, second] = rules("a", 2);
    const other = { policy: "z", rule: "new" };
    slots.assign([first!, second!]);
    assert.deepEqual(slots.assign([other, second!, first!]), [3, 2, 1]);
    slots.assign([other]);
    assert.deepEqual(slots.assign([second!, other]), [2, 3]);
    assert.deepEqual(cleared, []);
    assert.equal(slots.used, 2);
  });

  it("a rule that takes several bits has one slot", () => {
    const { slots } = open();
    const rule = { policy: "a", rule: "wide" };
    assert.deepEqual(slots.assign([rule, rule, { policy: "a", rule: "next" }]), [1, 1, 2]);
  });

  it("know since when they count, if this agent gave them", () => {
    const { slots, table } = open();
    const beforeMs = Date.now();
    slots.assign(rules("a", 1));
    const sinceMs = slots.countedSinceMs(1) ?? 0;
    assert.ok(sinceMs >= beforeMs && sinceMs <= Date.now(), String(sinceMs));
    slots.assign([]);
    slots.assign(rules("a", 2));
    assert.equal(slots.countedSinceMs(1), sinceMs);
    assert.equal(open(table).slots.countedSinceMs(1), undefined);
  });

  it("are read back from the kernel by the next agent", () => {
    const { slots, table } = open();
    const long = { policy: "p".repeat(253), rule: "r".repeat(63) };
    slots.assign([...rules("a", 3), long]);
    const next = open(table);
    assert.deepEqual(next.slots.owner(4), long);
    assert.deepEqual(next.slots.assign([long, { policy: "a", rule: "r1" }]), [4, 2]);
    assert.deepEqual(next.cleared, []);
  });

  it("a name is not a part of another: policy a, rule bc is not policy ab, rule c", () => {
    const { slots } = open();
    const given = slots.assign([
      { policy: "a", rule: "bc" },
      { policy: "ab", rule: "c" },
    ]);
    assert.deepEqual(given, [1, 2]);
  });

  it("are taken from a rule that is gone only when no fresh one is left, and then cleared", () => {
    const { slots, cleared, table } = open();
    const many = rules("many", LAST - 1);
    slots.assign(many);
    const [gone, ...kept] = many;
    // The generation before may still be judging by what the last call gave out.
    slots.assign(kept);
    assert.deepEqual(slots.assign([...kept, { policy: "new", rule: "fresh" }]).at(-1), LAST);
    const [reused] = slots.assign([{ policy: "new", rule: "reuses" }, ...kept]);
    assert.equal(reused, 1);
    assert.deepEqual(cleared, [1]);
    assert.equal(slots.find(gone!), undefined);
    assert.deepEqual(open(table).slots.owner(1), { policy: "new", rule: "reuses" });
  });

  it("are not taken from rules in force; when all are, the rules are refused", () => {
    const { slots } = open();
    const all = rules("all", LAST);
    const given = slots.assign(all);
    assert.equal(new Set(given).size, LAST);
    const one = [{ policy: "one", rule: "more" }];
    assert.throws(
      () => slots.assign(one),
      (error) => error instanceof CapacityError && error.table === "rule slots",
    );
    assert.deepEqual(slots.assign(all), given, "what was in force stays as it was");
  });
});
