import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { nodeRecord, type NodeText } from "../../test/routes/node-record.js";
import { compileNodePaths } from "./node-paths.js";
import { tunnelMac } from "./node-texts.js";

const node = (name: string, addresses: string[], podCidrs: string[], createdAtMs = 0): NodeText => {
  return { name, addresses, podCidrs, createdAtMs };
};
const compile = (...nodes: readonly NodeText[]) => compileNodePaths(nodes.map(nodeRecord), "own");
const own = node("own", ["10.9.0.1", "fd00:9::1"], ["10.244.1.0/24"]);

/** Ranges of each other node, and messages. */
function kept(...nodes: readonly NodeText[]) {
  const { others, problems } = compile(own, ...nodes);
  return {
    ranges: Object.fromEntries(
      others.map(({ name, podCidrs }) => [name, podCidrs.map(({ text }) => text).join()]),
    ),
    problems: problems.map(({ message }) => message),
  };
}

describe("paths to nodes", () => {
  it("have a tunnel over IPv4 where both have it, else over IPv6", () => {
    const { own: place, others } = compile(
      own,
      node("both", ["fd00:9::2", "10.9.0.2"], []),
      node("six", ["fd00:9::3"], []),
      node("none", [], []),
    );
    assert.deepEqual(
      place?.addresses.map(({ text }) => text),
      ["10.9.0.1", "fd00:9::1"],
    );
    assert.deepEqual(
      others.map(({ name, tunnel }) => [name, tunnel?.family, tunnel?.local, tunnel?.remote]),
      [
        ["both", 4, "10.9.0.1", "10.9.0.2"],
        ["none", undefined, undefined, undefined],
        ["six", 6, "fd00:9::1", "fd00:9::3"],
      ],
    );
  });

  it("are not known while the own node is not", () => {
    const { own: place, others } = compileNodePaths([nodeRecord(own)], "another");
    assert.equal(place, undefined);
    assert.equal(others[0]?.tunnel, undefined);
  });

  it("have MACs of one station that is nobody's, each another", () => {
    const macs = Array.from({ length: 5000 }, (_, index) => tunnelMac(`node${index}`));
    assert.equal(new Set(macs).size, 5000);
    for (const mac of macs) assert.match(mac, /^[0-9a-f][26ae](:[0-9a-f]{2}){5}$/);
    assert.equal(tunnelMac("node1"), tunnelMac("node1"));
  });

  it("give an overlapping range to the older node, whatever their names and sizes are", () => {
    const young = node("a", ["10.9.0.3"], ["10.244.2.128/25", "10.244.3.0/24"], 2);
    const old = node("b", ["10.9.0.2"], ["10.244.2.0/24"], 1);
    assert.deepEqual(kept(young, old), {
      ranges: { a: "10.244.3.0/24", b: "10.244.2.0/24" },
      problems: [
        "podCIDR 10.244.2.128/25 of node a overlaps 10.244.2.0/24 of node b, which is older and keeps it",
      ],
    });
    const wide = node("c", ["10.9.0.4"], ["10.244.0.0/16"], 3);
    assert.deepEqual(kept(wide, old).ranges, { b: "10.244.2.0/24", c: "" });
    const same = node("d", ["10.9.0.4"], ["10.244.2.0/24"], 3);
    assert.deepEqual(kept(same, old).ranges, { b: "10.244.2.0/24", d: "" });
    const sixes = [
      node("e", ["10.9.0.5"], ["fd00:244::/64"], 1),
      node("f", ["10.9.0.6"], ["fd00:244::/72"], 2),
    ];
    assert.deepEqual(kept(...sixes).ranges, { e: "fd00:244::/64", f: "" });
  });

  it("lead no range away that has the address of a node in it", () => {
    const { ranges, problems } = kept(node("a", ["10.9.0.2"], ["10.9.0.0/25", "10.244.2.0/24"]));
    assert.deepEqual(ranges, { a: "10.244.2.0/24" });
    assert.match(
      problems.join(),
      /^podCIDR 10\.9\.0\.0\/25 of node a has the address 10\.9\.0\.\d of node/,
    );
  });

  it("take the younger of two nodes with one address, but the own one in any case", () => {
    const { others, problems } = compile(
      own,
      node("old", ["10.9.0.2"], ["10.244.2.0/24"], 1),
      node("new", ["10.9.0.2"], ["10.244.3.0/24"], 2),
      node("thief", ["10.9.0.1"], ["10.244.4.0/24"], 3),
    );
    assert.deepEqual(
      others.map(({ name, tunnel }) => [name, tunnel?.remote]),
      [
        ["old", undefined],
        ["new", "10.9.0.2"],
        ["thief", undefined],
      ],
    );
    assert.deepEqual(
      problems.map(({ name, code }) => [name, code]),
      [
        ["old", "SLUICE_NODE_ADDRESS"],
        ["thief", "SLUICE_NODE_ADDRESS"],
      ],
    );
  });
});
