import assert from "node:assert/strict";
import { it } from "node:test";
import { prefixKey } from "./prefix-key.js";
import { sortKeys } from "./sort-keys.js";

/** A fixed sequence that looks random (xorshift), so that a failure comes again. */
function* numbers(): Generator<number, never> {
  for (let state = 2_463_534_242; ; ) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    yield state >>> 0;
  }
}

function keys(count: number, addressOf: (random: number) => number): Float64Array {
  const source = numbers();
  return Float64Array.from({ length: count }, () => {
    const address = addressOf(source.next().value);
    return prefixKey(address, 16 + (address % 17), address % 5, address % 3 === 0);
  });
}

for (const [name, count, addressOf] of [
  ["none", 0, () => 0],
  ["few", 1000, (random) => random],
  ["many, over all of the space", 100_000, (random) => random],
  ["many in one /16", 20_000, (random) => 0x0a000000 + (random % 65536)],
  ["many in the first and last /16", 20_000, (random) => (random % 2) * 0xffff0000 + (random % 9)],
  ["many that are equal", 20_000, () => 42],
  ["many that are sorted already", 20_000, () => 0],
] as const satisfies readonly (readonly [string, number, (random: number) => number])[]) {
  it(`sorts prefix keys in place: ${name}`, () => {
    const sorted = keys(count, addressOf);
    if (name.endsWith("already")) sorted.forEach((_, index) => (sorted[index] = index * 65536));
    const expected = sorted.slice().sort();
    assert.equal(sortKeys(sorted), sorted);
    assert.deepEqual(sorted, expected);
  });
}
