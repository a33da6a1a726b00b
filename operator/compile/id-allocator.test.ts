import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { IdAllocator } from "./id-allocator.js";

describe("numbers", () => {
  it("begin with 1, and go as far as the table", () => {
    const ids = new IdAllocator(2);
    assert.deepEqual([ids.allocate(), ids.allocate(), ids.allocate()], [1, 2, undefined]);
    assert.equal(ids.used, 2);
    ids.free(1);
    assert.equal(ids.allocate(), 1);
  });

  it("go beyond 65,535", () => {
    const ids = new IdAllocator(200_000);
    const taken = Array.from({ length: 200_000 }, () => ids.allocate());
    assert.equal(new Set(taken).size, 200_000);
    assert.equal(taken.at(-1), 200_000);
    assert.equal(ids.allocate(), undefined);
  });

  it("rest when they are freed, and are used again in that order before the table grows on", () => {
    const ids = new IdAllocator(1_000_000);
    const recent: number[] = [];
    let highest = 0;
    for (let round = 0; round < 50_000; round++) {
      const id = ids.allocate()!;
      assert.ok(!recent.includes(id), "reused at once");
      highest = Math.max(highest, id);
      ids.free(id);
      recent.push(id);
      if (recent.length > 1000) recent.shift();
    }
    assert.ok(highest < 2000);
    assert.equal(ids.used, 0);
  });
});
