import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { globMatches as matchesByHand } from "../../test/oracle/select.js";
import { globMatches, selectorMatches } from "./selectors.js";

describe("label selectors", () => {
  const labels = { role: "edge", zone: "a", empty: "" };

  it("an empty one selects everything, labels or none", () => {
    assert.equal(selectorMatches({}, labels), true);
    assert.equal(selectorMatches({ matchLabels: {}, matchExpressions: [] }, {}), true);
  });

  it("every label must have the value", () => {
    assert.equal(selectorMatches({ matchLabels: { role: "edge", zone: "a" } }, labels), true);
    assert.equal(selectorMatches({ matchLabels: { role: "edge", zone: "b" } }, labels), false);
    assert.equal(selectorMatches({ matchLabels: { missing: "" } }, labels), false);
    assert.equal(selectorMatches({ matchLabels: { empty: "" } }, labels), true);
  });

  for (const [operator, key, values, expected] of [
    ["In", "role", ["core", "edge"], true],
    ["In", "role", ["core"], false],
    ["In", "missing", ["edge"], false],
    ["NotIn", "role", ["core"], true],
    ["NotIn", "role", ["edge"], false],
    ["NotIn", "missing", ["edge"], true],
    ["Exists", "role", undefined, true],
    ["Exists", "empty", undefined, true],
    ["Exists", "missing", undefined, false],
    ["Exists", "constructor", undefined, false],
    ["DoesNotExist", "missing", undefined, true],
    ["DoesNotExist", "role", undefined, false],
  ] as const) {
    it(`${key} ${operator} ${values?.join(" ") ?? ""} is ${expected}`, () => {
      const expression = { key, operator, ...(values && { values }) };
      assert.equal(selectorMatches({ matchExpressions: [expression] }, labels), expected);
    });
  }

  it("labels and expressions must all hold", () => {
    const matchExpressions = [{ key: "zone", operator: "Exists" } as const];
    const holds = { matchLabels: { role: "edge" }, matchExpressions };
    assert.equal(selectorMatches(holds, labels), true);
    assert.equal(selectorMatches({ ...holds, matchLabels: { role: "core" } }, labels), false);
    const fails = [...matchExpressions, { key: "zone", operator: "DoesNotExist" } as const];
    assert.equal(selectorMatches({ ...holds, matchExpressions: fails }, labels), false);
  });
});

describe("globs", () => {
  it("match as their two signs say, and by nothing else", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom("a", "b", "*", "?"), maxLength: 8 }),
        fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 8 }),
        (glob, text) => assert.equal(globMatches(glob, text), matchesByHand(glob, text)),
      ),
    );
  });

  it("signs of regular expressions stand for themselves", () => {
    for (const [glob, matching, other] of [
      ["eth0.100", "eth0.100", "eth0x100"],
      ["[ab]", "[ab]", "a"],
      ["a+", "a+", "aa"],
      ["(a|b)", "(a|b)", "a"],
      ["^a$", "^a$", "a"],
      [String.raw`\d`, String.raw`\d`, "1"],
      ["a{2}", "a{2}", "aa"],
      ["a.*", "a.b", "ab"],
    ] as const) {
      assert.equal(globMatches(glob, matching), true, glob);
      assert.equal(globMatches(glob, other), false, glob);
    }
  });

  it("take the whole name", () => {
    assert.equal(globMatches("eth", "eth0"), false);
    assert.equal(globMatches("th0", "eth0"), false);
    assert.equal(globMatches("", "eth0"), false);
    assert.equal(globMatches("*", ""), true);
  });
});
