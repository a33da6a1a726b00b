import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Interner } from "./interner.js";

describe("the interner", () => {
  it("gives equal labels as one frozen object, whatever the order of their keys", () => {
    const interner = new Interner();
    const first = interner.labels({ app: "web", tier: "front" });
    assert.deepEqual(first, { app: "web", tier: "front" });
    assert.equal(interner.labels({ tier: "front", app: "web" }), first);
    assert.ok(Object.isFrozen(first));
    assert.notEqual(interner.labels({ app: "web" }), first);
    assert.equal(interner.labels({}), interner.labels({}));
  });

  it("does not take one set of labels for another", () => {
    const interner = new Interner();
    const sets = [
      { a: "b", c: "d" },
      { a: "bc", d: "" },
      { ab: "", c: "d" },
      { a: "", b: "" },
    ];
    for (const labels of sets) assert.deepEqual(interner.labels(labels), labels);
    assert.equal(new Set(sets.map((labels) => interner.labels(labels))).size, sets.length);
  });

  it("gives equal lists as one frozen list, and copies what it was given", () => {
    const interner = new Interner();
    const list = [{ name: "http", port: 80 }];
    const shared = interner.list(list);
    list.push({ name: "https", port: 443 });
    assert.deepEqual(shared, [{ name: "http", port: 80 }]);
    assert.equal(interner.list([{ name: "http", port: 80 }]), shared);
    assert.ok(Object.isFrozen(shared));
    assert.equal(interner.list([]), interner.list([]));
  });

  it("keeps what comes again, and forgets what came once", () => {
    const interner = new Interner({ mostShared: 10 });
    const kept = interner.labels({ app: "kept" });
    const once = interner.labels({ app: "once" });
    for (let at = 0; at < 100; at++) {
      interner.labels({ app: `other-${at}` });
      assert.equal(interner.labels({ app: "kept" }), kept);
    }
    const again = interner.labels({ app: "once" });
    assert.notEqual(again, once);
    assert.deepEqual(again, once);
  });

  it("stays bounded while 100,000 sets of labels come and go", () => {
    const interner = new Interner();
    let largest = 0;
    for (let at = 0; at < 100_000; at++) {
      interner.labels({ app: `app-${at}`, "pod-template-hash": `hash-${at}` });
      interner.list([at]);
      largest = Math.max(largest, interner.size);
    }
    // Two generations each of 16,384 texts, 4,096 sets of labels and 4,096 lists.
    assert.ok(largest <= 2 * (16_384 + 4096 + 4096), `${largest} entries`);
    assert.ok(largest > 16_384, `only ${largest} entries: nothing would be shared`);
  });
});
