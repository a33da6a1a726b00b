import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { selectorText } from "./selector-text.js";

describe("the text of a selector", () => {
  it("is one for selectors that mean the same", () => {
    const text = "a=1,b in (x,y),c notin (z),d,!e";
    const parts = text.split(/,(?![^(]*\))/).sort();
    const selector = selectorText({
      matchLabels: { a: "1" },
      matchExpressions: [
        { key: "e", operator: "DoesNotExist" },
        { key: "b", operator: "In", values: ["y", "x", "y"] },
        { key: "d", operator: "Exists" },
        { key: "c", operator: "NotIn", values: ["z"] },
        { key: "a", operator: "In", values: ["1"] },
      ],
    });
    assert.equal(selector, parts.join(","));
    assert.equal(selectorText({}), "");
    assert.equal(selectorText({ matchLabels: {}, matchExpressions: [] }), "");
  });

  it("is never one for selectors that do not", () => {
    const labels = [{ a: "b,c=d" }, { a: "b", c: "d" }, { "a=b,c": "d" }, { a: "" }, { a: '""' }];
    const texts = [
      ...labels.map((matchLabels) => selectorText({ matchLabels })),
      selectorText({ matchExpressions: [{ key: "a", operator: "Exists" }] }),
      selectorText({ matchExpressions: [{ key: "a", operator: "In", values: ["b", "c=d"] }] }),
      selectorText({ matchExpressions: [{ key: "a", operator: "NotIn", values: ["b", "c=d"] }] }),
      selectorText({ matchExpressions: [{ key: "!a", operator: "Exists" }] }),
      selectorText({ matchExpressions: [{ key: "a", operator: "DoesNotExist" }] }),
    ];
    assert.equal(new Set(texts).size, texts.length, texts.join(" | "));
  });
});
