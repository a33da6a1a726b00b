import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { nearest } from "./nearest.js";

describe("the name that was meant", () => {
  const names = ["destinationPort", "sourcePort", "flags"];

  it("is the same one in another case, or one with few changed letters", () => {
    assert.equal(nearest("destinationport", names), "destinationPort");
    assert.equal(nearest("destinationPorts", names), "destinationPort");
    assert.equal(nearest("sorcePrt", names), "sourcePort");
    assert.equal(nearest("flasg", names), "flags");
  });

  it("is unknown when nothing is near", () => {
    assert.equal(nearest("banana", names), undefined);
    assert.equal(nearest("", names), undefined);
    assert.equal(nearest("f", []), undefined);
  });
});
