import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createRandom } from "../../test/fuzz/random.js";
import { RangeAllocator } from "./range-allocator.js";

describe("ranges of an array", () => {
  it("are contiguous and never overlap, whatever comes and goes", () => {
    const random = createRandom(1);
    const capacity = 4096;
    const ranges = new RangeAllocator(capacity);
    const owners = new Uint32Array(capacity);
    const held: [start: number, length: number, owner: number][] = [];
    let refused = 0;
    for (let owner = 1; owner <= 20_000; owner++) {
      if (held.length > 0 && random.chance(0.5)) {
        const [start, length, before] = held.splice(random.between(0, held.length - 1), 1)[0]!;
        assert.ok(owners.subarray(start, start + length).every((one) => one === before));
        owners.fill(0, start, start + length);
        ranges.free(start, length);
      }
      const length = random.weighted([9, random.between(1, 30)], [1, random.between(100, 900)]);
      const start = ranges.allocate(length);
      if (start === undefined) {
        refused += 1;
        assert.ok(ranges.largestFree < length, "refused though there is room");
        continue;
      }
      assert.ok(start + length <= capacity);
      assert.ok(owners.subarray(start, start + length).every((one) => one === 0));
      owners.fill(owner, start, start + length);
      held.push([start, length, owner]);
      assert.equal(
        ranges.used,
        held.reduce((sum, [, count]) => sum + count, 0),
      );
    }
    assert.ok(refused > 100);
    for (const [start, length] of held) ranges.free(start, length);
    assert.equal(ranges.used, 0);
    assert.equal(ranges.largestFree, capacity);
    assert.equal(ranges.allocate(capacity), 0);
  });

  it("of length 0 take nothing", () => {
    const ranges = new RangeAllocator(4);
    ranges.allocate(0);
    ranges.free(0, 0);
    assert.equal(ranges.used, 0);
    assert.equal(ranges.allocate(4), 0);
    assert.equal(ranges.largestFree, 0);
  });

  it("of an array of nothing are none", () => {
    assert.equal(new RangeAllocator(0).allocate(1), undefined);
    assert.equal(new RangeAllocator(0).largestFree, 0);
  });
});
