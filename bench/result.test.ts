import assert from "node:assert/strict";
import { test } from "node:test";
import { formatNumber, formatRatio, spread } from "./result.js";

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
