import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type MaglevBackend, maglevSize, maglevTable } from "./maglev.js";

function backends(count: number, weight?: (index: number) => number): readonly MaglevBackend[] {
  return Array.from({ length: count }, (_, index) => ({
    address: [0x0a00_0001 + index * 256],
    port: 8080,
    ...(weight !== undefined && { weight: weight(index) }),
  }));
}

function shares(table: Uint32Array, count: number): readonly number[] {
  const slots = Array.from({ length: count }, () => 0);
  for (const index of table) slots[index]! += 1;
  return slots;
}

describe("a Maglev table", () => {
  it("has a prime size of 100 slots and more for each backend", () => {
    for (const count of [1, 2, 3, 10, 99, 100, 101, 256, 1000, 10_000, 65_536, 150_000]) {
      const size = maglevSize(count)!;
      assert.ok(size >= count * 100, `${count}: ${size}`);
      for (let divisor = 2; divisor * divisor <= size; divisor++) {
        assert.notEqual(size % divisor, 0, `${size} is no prime`);
      }
    }
    assert.equal(maglevSize(1_000_000), undefined);
  });

  it("gives each backend the same share, but for one slot", () => {
    for (const count of [1, 2, 7, 100, 1000]) {
      const slots = shares(maglevTable(backends(count)), count);
      assert.ok(Math.max(...slots) - Math.min(...slots) <= 1, `${count}`);
    }
  });

  it("gives shares by weight, and none to what has none", () => {
    const table = maglevTable(backends(4, (index) => index));
    const slots = shares(table, 4);
    assert.equal(slots[0], 0);
    for (const index of [1, 2, 3]) {
      assert.ok(Math.abs(slots[index]! / table.length - index / 6) < 0.005, slots.join());
    }
    assert.equal(maglevTable(backends(3, () => 0)).length, 0);
    assert.equal(maglevTable([]).length, 0);
  });

  it("keeps 99 % of the slots of the others when one of 100 leaves", () => {
    const all = backends(100);
    const before = maglevTable(all);
    for (let gone = 0; gone < 100; gone += 9) {
      const rest = all.filter((_, index) => index !== gone);
      const after = maglevTable(rest);
      assert.equal(after.length, before.length);
      let moved = 0;
      let others = 0;
      for (const [slot, index] of before.entries()) {
        if (index === gone) continue;
        others += 1;
        if (rest[after[slot]!] !== all[index]) moved += 1;
      }
      assert.ok(moved / others <= 0.01, `${gone}: ${moved / others}`);
    }
  });

  it("is the same for ever: nodes of different versions must agree", () => {
    const six = [
      { address: [0xfd00_0010, 0, 0, 1], port: 80 },
      { address: [0xfd00_0010, 0, 0, 2], port: 80 },
    ];
    assert.deepEqual([...maglevTable(backends(3)).subarray(0, 24)], FIRST_OF_THREE);
    assert.deepEqual([...maglevTable(six).subarray(0, 24)], FIRST_OF_SIX);
  });

  it("differs by port", () => {
    const at = (port: number) => [1, 2, 3].map((address) => ({ address: [address], port }));
    assert.notDeepEqual(maglevTable(at(80)), maglevTable(at(81)));
  });
});

const FIRST_OF_THREE = [2, 2, 2, 1, 0, 1, 1, 0, 1, 2, 2, 2, 1, 1, 2, 2, 0, 1, 1, 2, 0, 0, 1, 2];
const FIRST_OF_SIX = [1, 1, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 0, 1, 1, 1, 0, 1, 0, 1, 1, 0, 0, 1];
