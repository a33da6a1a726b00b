import assert from "node:assert/strict";
import { test } from "node:test";
import { formatNumber, formatRatio, percentile, spread } from "./result.js";

test("the median of an even number of rounds lies between the two in the middle", () => {
  assert.deepEqual(spread([4, 1, 3, 10]), { min: 1, median: 3.5 });
  assert.deepEqual(spread([5, 1, 3]), { min: 1, median: 3 });
});

test("numbers have three digits at least, and thousands are set apart", () => {
  assert.deepEqual([2.345, 23.45, 234.5, 2345678].map(formatNumber), [
    "2.35",
    "23.5",
    "235",
    "2,345,678",
  ]);
  assert.deepEqual([9.996, 99.96].map(formatNumber), ["10.0", "100"]);
  assert.equal(formatRatio(0.456), "0.46");
});

test("a percentile is the least value that the share does not exceed", () => {
  const values = Array.from({ length: 200 }, (_, index) => 200 - index);
  assert.deepEqual(
    [0, 0.5, 0.99, 1].map((share) => percentile(values, share)),
    [1, 100, 198, 200],
  );
  assert.equal(percentile([7], 0.99), 7);
});
