import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { formatAddress } from "../model/cidr-format.js";
import { parseCidr } from "../model/cidr.js";
import {
  guardedBecause,
  type NodePortSelection,
  selectNodePortAddresses,
} from "./service-place.js";

const cidrs = (texts: readonly string[]) => texts.map((text) => parseCidr(text));

function selected(...selections: readonly string[]): readonly string[] {
  const own = ["127.0.0.1", "192.0.2.2", "198.51.100.2", "::1", "2001:db8::2", "fe80::2"];
  const words = new Set(["primary", "all", "localhost"]);
  return selectNodePortAddresses(
    selections.map((one) => (words.has(one) ? (one as NodePortSelection) : parseCidr(one))),
    cidrs(own),
    cidrs(["192.0.2.2", "2001:db8::2"]),
  ).map(formatAddress);
}

describe("addresses for node ports", () => {
  it("are the primary ones when nothing is asked for", () => {
    assert.deepEqual(selected(), ["192.0.2.2", "2001:db8::2"]);
    assert.deepEqual(selected("primary"), ["192.0.2.2", "2001:db8::2"]);
  });

  it("are those in blocks; a family without block has its primary one", () => {
    assert.deepEqual(selected("198.51.100.0/24"), ["198.51.100.2", "2001:db8::2"]);
    assert.deepEqual(selected("0.0.0.0/0", "fe80::/10"), [
      "127.0.0.1",
      "192.0.2.2",
      "198.51.100.2",
      "fe80::2",
    ]);
    assert.deepEqual(selected("203.0.113.0/24"), ["2001:db8::2"]);
  });

  it("are by keywords, alone and together", () => {
    assert.deepEqual(selected("localhost"), ["127.0.0.1", "::1"]);
    assert.deepEqual(selected("all"), ["192.0.2.2", "198.51.100.2", "2001:db8::2", "fe80::2"]);
    assert.deepEqual(selected("primary", "localhost"), [
      "127.0.0.1",
      "192.0.2.2",
      "::1",
      "2001:db8::2",
    ]);
  });
});

describe("an external IP", () => {
  const guard = {
    podRanges: cidrs(["10.0.0.0/8"]),
    serviceRanges: cidrs(["172.30.0.0/16"]),
    nodeAddresses: cidrs(["192.0.2.2"]),
    allowed: undefined,
  };
  const reason = (address: string, allowed?: readonly string[]) =>
    guardedBecause(parseCidr(address), { ...guard, allowed: allowed && cidrs(allowed) });

  it("is not what the cluster has already", () => {
    assert.match(reason("10.1.2.3") ?? "", /range of pods/);
    assert.match(reason("172.30.9.9") ?? "", /range of cluster IPs/);
    assert.match(reason("192.0.2.2") ?? "", /address of a node/);
    assert.equal(reason("203.0.113.7"), undefined);
  });

  it("is in an allowed range, where there are some", () => {
    assert.equal(reason("10.1.2.3", ["10.0.0.0/8"]), undefined);
    assert.match(reason("203.0.113.7", ["10.0.0.0/8"]) ?? "", /none of the ranges/);
    assert.match(reason("203.0.113.7", []) ?? "", /none of the ranges/);
  });
});
