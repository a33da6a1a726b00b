import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createRandom } from "../../test/fuzz/random.js";
import { type V6Prefix, V6Prefixes } from "./v6-prefixes.js";

const RECORD = 0xfd00_0000_0000;

function prefix(rest: number, part = 0, length = 128, exception = false): V6Prefix {
  return { prefix: RECORD, rest: BigInt(rest), length, part, exception };
}

/** Classes are sums of the parts that were entered, so that runs show which prefixes there are. */
const SUMS = {
  with: (classId: number, part: number) => classId + part,
  without: (classId: number, part: number) => classId - part,
};

describe("prefixes of one /48", () => {
  it("are the same however many there are: as a list without duplicates would hold them", () => {
    const random = createRandom(3);
    const prefixes = new V6Prefixes();
    const expected = new Map<string, V6Prefix>();
    for (let step = 0; step < 4000; step++) {
      // Grows, shrinks to nothing, and grows again.
      const grows = step % 2000 < 1000;
      const one = prefix(random.between(0, 60), random.between(1, 4), 128, random.chance(0.2));
      const key = `${one.rest}/${one.part}/${one.exception}`;
      if (random.chance(grows ? 0.9 : 0.02)) {
        assert.equal(prefixes.add(one), !expected.has(key), `step ${step}`);
        expected.set(key, one);
      } else {
        const [first = key] = grows ? [] : expected.keys();
        const gone = expected.get(first) ?? one;
        assert.equal(prefixes.remove(gone), expected.delete(first), `step ${step}`);
      }
      assert.equal(prefixes.size, expected.size);
      assert.equal(prefixes.recordCount, expected.size === 0 ? 0 : 1);
    }
  });

  it("give the same runs above and below the size from which they are found by their bits", () => {
    for (const count of [10, 32, 33, 500]) {
      const prefixes = new V6Prefixes();
      for (let at = 0; at < count; at++) prefixes.add(prefix(2 * at, 1 + (at % 3)));
      prefixes.add(prefix(0, 5, 120));
      const { starts, classes } = prefixes.recordRuns(RECORD, 0, SUMS);
      const classAt = (rest: number) => classes[starts.findLastIndex((one) => one <= BigInt(rest))];
      for (let at = 0; at < count; at++) {
        assert.equal(classAt(2 * at), 1 + (at % 3) + (2 * at < 256 ? 5 : 0), `${count}: ${at}`);
        assert.equal(classAt(2 * at + 1), 2 * at + 1 < 256 ? 5 : 0, `${count}: behind ${at}`);
      }
    }
  });
});
