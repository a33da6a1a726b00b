import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { CapacityError } from "../compile/capacity-error.js";
import { LineAllocator } from "./line-allocator.js";

describe("a line allocator", () => {
  it("hands out runs one after the other until none is left, and says so", () => {
    const allocator = new LineAllocator(100, 110);
    assert.deepEqual([allocator.allocate(4), allocator.allocate(6)], [100, 104]);
    assert.deepEqual([allocator.used, allocator.capacity], [10, 10]);
    assert.throws(
      () => allocator.allocate(1),
      (error) => error instanceof CapacityError && error.table === "address lines",
    );
    assert.equal(allocator.used, 10, "a refusal takes nothing");
  });

  it("does not hand a retired run out before it is reclaimed", () => {
    const allocator = new LineAllocator(0, 4);
    const line = allocator.allocate(4);
    allocator.retire(line, 4);
    assert.equal(allocator.used, 0);
    assert.throws(() => allocator.allocate(4), CapacityError);
    const retired = allocator.takeRetired();
    assert.throws(() => allocator.allocate(4), CapacityError);
    allocator.reclaim(retired);
    assert.equal(allocator.allocate(4), line);
  });

  it("gives each retired run out once to the one who waits for it", () => {
    const allocator = new LineAllocator(0, 8);
    allocator.retire(allocator.allocate(2), 2);
    assert.deepEqual(allocator.takeRetired(), [{ line: 0, count: 2 }]);
    assert.deepEqual(allocator.takeRetired(), []);
    allocator.retire(5, 0);
    assert.deepEqual(allocator.takeRetired(), [], "a run of no lines is nothing");
  });

  it("splits a longer free run when no other is left", () => {
    const allocator = new LineAllocator(0, 8);
    allocator.allocate(8);
    allocator.reclaim([{ line: 0, count: 8 }]);
    const lines = [3, 3, 2].map((count) => allocator.allocate(count));
    assert.deepEqual(new Set(lines), new Set([0, 3, 6]));
  });

  it("reserves only what can be had without counting on free runs", () => {
    const allocator = new LineAllocator(0, 8);
    allocator.reserve(8);
    allocator.allocate(3);
    allocator.reserve(5);
    assert.throws(() => allocator.reserve(6), CapacityError);
    allocator.reclaim([{ line: 0, count: 3 }]);
    assert.throws(() => allocator.reserve(6), CapacityError);
  });

  it("never hands out a line that is still in use", () => {
    const steps = fc.array(
      fc.record({ release: fc.boolean(), count: fc.integer({ min: 1, max: 5 }), which: fc.nat() }),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(steps, (list) => {
        const allocator = new LineAllocator(10, 50);
        const held: { readonly line: number; readonly count: number }[] = [];
        const owned = new Set<number>();
        const linesOf = (run: { readonly line: number; readonly count: number }) =>
          Array.from({ length: run.count }, (_, index) => run.line + index);
        for (const { release, count, which } of list) {
          if (release && held.length > 0) {
            const [run] = held.splice(which % held.length, 1);
            allocator.retire(run!.line, run!.count);
            allocator.reclaim(allocator.takeRetired());
            for (const line of linesOf(run!)) owned.delete(line);
            continue;
          }
          let line: number;
          try {
            line = allocator.allocate(count);
          } catch (error) {
            assert.ok(error instanceof CapacityError);
            continue;
          }
          const run = { line, count };
          for (const taken of linesOf(run)) {
            assert.ok(taken >= 10 && taken < 50 && !owned.has(taken), `line ${taken}`);
            owned.add(taken);
          }
          held.push(run);
        }
        assert.equal(allocator.used, owned.size);
      }),
    );
  });
});
