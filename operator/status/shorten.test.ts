import assert from "node:assert/strict";
import { test } from "node:test";
import { shorten } from "./shorten.js";

test("what fits stays, on one line", () => {
  assert.equal(shorten("the driver\n  refuses it "), "the driver refuses it");
  assert.equal(shorten("x".repeat(256)), "x".repeat(256));
});

test("what does not fit is cut at a word and says so", () => {
  assert.equal(shorten("one two three", 12), "one two…");
  assert.equal(shorten("one two, three", 12), "one two…");
  assert.equal(shorten("one two three", 8), "one two…");
});

test("a long word is cut inside, never in the middle of a character", () => {
  assert.equal(shorten("abcdefghij", 5), "abcd…");
  assert.equal(shorten("abc😀def", 5), "abc…");
  assert.equal(shorten("word ".repeat(100)).length <= 256, true);
});
