import assert from "node:assert/strict";
import { test } from "node:test";
import { createRates } from "./rates.js";

test("a rate needs two readings", () => {
  const rates = createRates(1000);
  assert.equal(rates.perSecond("a"), 0);
  rates.record("a", 500, 0);
  assert.equal(rates.perSecond("a"), 0);
  rates.record("a", 600, 500);
  assert.equal(rates.perSecond("a"), 200);
  assert.equal(rates.growth("a"), 100);
});

test("readings older than the window do not count", () => {
  const rates = createRates(1000);
  for (const [total, now] of [
    [0, 0],
    [1000, 500],
    [1100, 1000],
    [1200, 1500],
  ] as const) {
    rates.record("a", total, now);
  }
  assert.equal(rates.perSecond("a"), 200);
});

test("after a pause longer than the window the rate is that of the pause", () => {
  const rates = createRates(1000);
  rates.record("a", 0, 0);
  rates.record("a", 5000, 5000);
  assert.equal(rates.perSecond("a"), 1000);
});

test("a total that starts over begins a new rate", () => {
  const rates = createRates(1000);
  rates.record("a", 900, 0);
  rates.record("a", 10, 500);
  assert.equal(rates.perSecond("a"), 0);
  rates.record("a", 30, 1000);
  assert.equal(rates.perSecond("a"), 40);
});

test("a reading that is not newer than the last is left out", () => {
  const rates = createRates(1000);
  rates.record("a", 0, 0);
  rates.record("a", 100, 500);
  rates.record("a", 150, 500);
  assert.equal(rates.perSecond("a"), 200);
});
