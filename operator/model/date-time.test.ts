import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { parseDateTime, parseDuration } from "./date-time.js";

describe("a moment in RFC 3339", () => {
  it("is read as JavaScript reads it", () => {
    fc.assert(
      fc.property(fc.date({ noInvalidDate: true, min: new Date(0) }), (date) => {
        fc.pre(date.getUTCFullYear() <= 9999);
        assert.equal(parseDateTime(date.toISOString()), date.getTime());
      }),
    );
  });

  it("of whole seconds too, which is read another way", () => {
    const seconds = fc.integer({
      min: Date.UTC(1, 0, 1) / 1000,
      max: Date.UTC(9999, 11, 31) / 1000,
    });
    fc.assert(
      fc.property(seconds, (second) => {
        const text = new Date(second * 1000).toISOString().replace(".000", "");
        assert.equal(parseDateTime(text), second * 1000);
      }),
    );
    assert.equal(parseDateTime("0001-02-03T04:05:06Z"), new Date("0001-02-03T04:05:06Z").getTime());
  });

  it("may have an offset and a fraction", () => {
    const noon = Date.UTC(2026, 11, 31, 12);
    assert.equal(parseDateTime("2026-12-31T13:30:00+01:30"), noon);
    assert.equal(parseDateTime("2026-12-31T04:00:00-08:00"), noon);
    assert.equal(parseDateTime("2026-12-31T12:00:00.1234Z"), noon + 123);
  });

  for (const text of [
    "2026-12-31",
    "2026-12-31T12:00:00",
    "2026-12-31 12:00:00Z",
    "2026-02-29T12:00:00Z",
    "2026-13-01T12:00:00Z",
    "2026-12-31T24:00:00Z",
    "2026-12-31T23:59:60Z",
    "2026-12-31T12:00:00+24:00",
    "2026-12-31t12:00:00z",
    "tomorrow",
    "",
  ]) {
    it(`is not ${JSON.stringify(text)}`, () => assert.equal(parseDateTime(text), undefined));
  }
});

describe("a duration", () => {
  it("is the sum of its parts", () => {
    assert.equal(parseDuration("2m"), 120_000);
    assert.equal(parseDuration("1h30m"), 5_400_000);
    assert.equal(parseDuration("1s500ms"), 1500);
  });

  it("is not a number without a unit, nor a unit without a number", () => {
    for (const text of ["", "2", "m", "2d", "-2m", "2m "]) {
      assert.equal(parseDuration(text), undefined, text);
    }
  });
});
