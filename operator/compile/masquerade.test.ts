import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { nodeRecord, nodeText } from "../../test/routes/node-record.js";
import { formatV4, formatV6 } from "../model/cidr-format.js";
import { parseCidr } from "../model/cidr.js";
import { type AddressSpan, compileMasquerade, mergeSpans } from "./masquerade.js";
import { compileNodePaths } from "./node-paths.js";

const text = (spans: readonly AddressSpan[]) =>
  spans.map(({ family, first, last }) =>
    [first, last]
      .map((address) =>
        family === 4
          ? formatV4(Number(address))
          : formatV6(address >> 64n, address & 0xffff_ffff_ffff_ffffn),
      )
      .join("-"),
  );
const merged = (...cidrs: readonly string[]) =>
  text(mergeSpans(cidrs.map((one) => parseCidr(one))));

describe("spans of addresses", () => {
  it("are merged when they touch, lie in one another or are the same", () => {
    assert.deepEqual(merged("10.0.1.0/24", "10.0.0.0/24", "10.0.0.128/25", "10.0.3.0/24"), [
      "10.0.0.0-10.0.1.255",
      "10.0.3.0-10.0.3.255",
    ]);
    assert.deepEqual(merged("fd00::/64", "10.0.0.1", "fd00:0:0:1::/64"), [
      "10.0.0.1-10.0.0.1",
      "fd00::-fd00::1:ffff:ffff:ffff:ffff",
    ]);
    assert.deepEqual(merged("255.255.255.0/24", "0.0.0.0/0"), ["0.0.0.0-255.255.255.255"]);
    assert.deepEqual(merged(), []);
  });
});

describe("what is masqueraded", () => {
  const nodes = [1, 2].map((number) => nodeRecord(nodeText(number)));
  const compile = (routing: "vxlan" | "direct", more = nodes) =>
    compileMasquerade(more, compileNodePaths(more, "node1"), routing, [parseCidr("192.0.2.0/24")]);

  it("comes from the own pods, and goes not to pods, nodes, multicast or what is configured", () => {
    const { sources, exceptions } = compile("vxlan");
    assert.deepEqual(text(sources), [
      "10.244.1.0-10.244.1.255",
      "fd00:244:1::-fd00:244:1:0:ffff:ffff:ffff:ffff",
    ]);
    assert.deepEqual(text(exceptions), [
      "10.9.0.1-10.9.0.2",
      "10.244.1.0-10.244.2.255",
      "192.0.2.0-192.0.2.255",
      "224.0.0.0-239.255.255.255",
      "fd00:9::1-fd00:9::2",
      "fd00:244:1::-fd00:244:1:0:ffff:ffff:ffff:ffff",
      "fd00:244:2::-fd00:244:2:0:ffff:ffff:ffff:ffff",
      "ff00::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    ]);
  });

  it("goes to a node without a tunnel, whose network knows no pod", () => {
    const more = [...nodes, nodeRecord(nodeText(77, { podCidrs: [] }))];
    const has = (routing: "vxlan" | "direct") =>
      text(compile(routing, more).exceptions).includes("10.9.0.77-10.9.0.77");
    assert.deepEqual([has("vxlan"), has("direct")], [false, true]);
  });
});
