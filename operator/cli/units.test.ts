import assert from "node:assert/strict";
import { test } from "node:test";
import {
  formatBitRate,
  formatBytes,
  formatCount,
  formatMoment,
  formatRate,
  formatSpan,
  ratePerSecond,
} from "./units.js";

test("counts have separators, rates below ten a decimal", () => {
  assert.equal(formatCount(1_234_567), "1,234,567");
  assert.equal(formatRate(1234.4), "1,234");
  assert.equal(formatRate(0.5), "0.5");
  assert.equal(formatRate(0), "0");
  assert.equal(formatRate(undefined), "-");
});

test("bytes are scaled by 1024, bits per second by 1000", () => {
  assert.equal(formatBytes(0), "0 B");
  assert.equal(formatBytes(1023), "1023 B");
  assert.equal(formatBytes(1024), "1.0 KiB");
  assert.equal(formatBytes(1024 ** 2 - 1), "1.0 MiB");
  assert.equal(formatBytes(1.5 * 1024 ** 3), "1.5 GiB");
  assert.equal(formatBitRate(125), "1.0 kbit/s");
  assert.equal(formatBitRate(1.25e9), "10.0 Gbit/s");
  assert.equal(formatBitRate(undefined), "-");
});

test("a rate needs an earlier look, and a count that did not begin anew", () => {
  assert.equal(ratePerSecond(30, 10, 2), 10);
  assert.equal(ratePerSecond(30, undefined, 2), undefined);
  assert.equal(ratePerSecond(5, 10, 2), undefined);
  assert.equal(ratePerSecond(5, 5, 0), undefined);
});

test("spans show their two largest units", () => {
  assert.equal(formatSpan(999), "0s");
  assert.equal(formatSpan(125_000), "2m5s");
  assert.equal(formatSpan(3_600_000), "1h");
  assert.equal(formatSpan(3_605_000), "1h");
  assert.equal(formatSpan(90_061_000), "1d1h");
});

test("moments are told from now", () => {
  const now = Date.parse("2026-01-01T00:00:00Z");
  assert.equal(formatMoment("2026-01-01T00:02:05Z", now), "in 2m5s");
  assert.equal(formatMoment("2025-12-31T23:00:00Z", now), "1h ago");
  assert.equal(formatMoment("never", now), "never");
});
