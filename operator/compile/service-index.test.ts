import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { testService, testSlice } from "../../test/service-oracle/records.js";
import { ServiceIndex } from "./service-index.js";

function slicesOf(index: ServiceIndex, key: string): readonly string[] {
  return index.slicesOf(key).map(({ name }) => name);
}

describe("an index of Services", () => {
  it("marks the Service alone whose slice changed", () => {
    const index = new ServiceIndex();
    for (const name of ["a", "b", "c"]) {
      index.setService(`ns/${name}`, testService(name));
      index.setSlice(`ns/${name}-1`, testSlice(`${name}-1`, name));
    }
    assert.deepEqual(index.takeDirty(), ["ns/a", "ns/b", "ns/c"]);
    assert.deepEqual(index.takeDirty(), []);
    index.setSlice("ns/b-1", testSlice("b-1", "b"));
    assert.deepEqual(index.takeDirty(), ["ns/b"]);
    index.setSlice("ns/b-1", undefined);
    assert.deepEqual(index.takeDirty(), ["ns/b"]);
    assert.deepEqual(slicesOf(index, "ns/b"), []);
  });

  it("marks nothing when the same record is told again", () => {
    const index = new ServiceIndex();
    const [service, slice] = [testService("a"), testSlice("a-1", "a")];
    index.setService("ns/a", service);
    index.setSlice("ns/a-1", slice);
    index.takeDirty();
    index.setService("ns/a", service);
    index.setSlice("ns/a-1", slice);
    assert.deepEqual(index.takeDirty(), []);
  });

  it("keeps slices that come before their Service", () => {
    const index = new ServiceIndex();
    index.setSlice("ns/a-1", testSlice("a-1", "a"));
    assert.equal(index.service("ns/a"), undefined);
    index.takeDirty();
    index.setService("ns/a", testService("a"));
    assert.deepEqual(index.takeDirty(), ["ns/a"]);
    assert.deepEqual(slicesOf(index, "ns/a"), ["a-1"]);
  });

  it("gives slices in the order of their names", () => {
    const index = new ServiceIndex();
    for (const name of ["a-3", "a-1", "a-2"]) index.setSlice(`ns/${name}`, testSlice(name, "a"));
    assert.deepEqual(slicesOf(index, "ns/a"), ["a-1", "a-2", "a-3"]);
    index.setSlice("ns/a-1", undefined);
    index.setSlice("ns/a-3", undefined);
    assert.deepEqual(slicesOf(index, "ns/a"), ["a-2"]);
    index.setSlice("ns/a-4", testSlice("a-4", "a"));
    assert.deepEqual(slicesOf(index, "ns/a"), ["a-2", "a-4"]);
  });

  it("marks both Services of a slice that goes from one to the other", () => {
    const index = new ServiceIndex();
    index.setSlice("ns/s", testSlice("s", "a"));
    index.takeDirty();
    index.setSlice("ns/s", testSlice("s", "b"));
    assert.deepEqual(index.takeDirty(), ["ns/a", "ns/b"]);
    assert.deepEqual([slicesOf(index, "ns/a"), slicesOf(index, "ns/b")], [[], ["s"]]);
    index.setSlice("ns/s", testSlice("s", undefined));
    assert.deepEqual(index.takeDirty(), ["ns/b"]);
    assert.deepEqual(slicesOf(index, "ns/b"), []);
  });

  it("takes over stores, all of them or what changed", () => {
    const index = new ServiceIndex();
    const services = new Map([
      ["ns/a", testService("a")],
      ["ns/b", testService("b")],
    ]);
    const slices = new Map([["ns/a-1", testSlice("a-1", "a")]]);
    index.sync(services, slices);
    assert.deepEqual(index.takeDirty(), ["ns/a", "ns/b"]);
    services.delete("ns/b");
    slices.set("ns/a-1", testSlice("a-1", "a"));
    index.sync(services, slices, { services: ["ns/b"], slices: [] });
    assert.deepEqual(index.takeDirty(), ["ns/b"]);
    index.sync(services, slices);
    assert.deepEqual(index.takeDirty(), ["ns/a"]);
    assert.equal(index.serviceCount, 1);
  });
});
