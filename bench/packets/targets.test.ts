import assert from "node:assert/strict";
import { test } from "node:test";
import type { Case } from "./cases.js";
import type { Measured } from "./measure.js";
import { judgeTargets } from "./targets.js";

const floors = new Map([
  ["plain", 20],
  ["harness v4", 25],
] as const);

function row(name: string, floor: Case["floor"], min: number, peerMin?: number): Measured {
  const of: Case = {
    name,
    floor,
    open: () => Promise.reject(new Error("not opened here")),
    packet: Buffer.alloc(0),
    sources: undefined,
    expected: "drop",
  };
  const peerNs = peerMin === undefined ? undefined : { min: peerMin, median: peerMin };
  return { of, ns: { min, median: min }, peerNs };
}

test("a hot packet is held against the whole time of the empty program", () => {
  const rows = (ns: number) => [
    row("empty program: XDP_DROP", "plain", 20),
    row("set of 1, one source, hit", "plain", ns),
  ];
  assert.deepEqual(
    [90, 91].map((ns) => judgeTargets(rows(ns), floors)[0]?.isReached),
    [true, false],
  );
});

test("a ratio to a peer must hold with and without what the empty program takes", () => {
  const judge = (ns: number, peer: number) =>
    judgeTargets([row("set of 1M, random entries", "harness v4", ns, peer)], floors)[0];
  assert.equal(judge(225, 450)?.isReached, true);
  assert.equal(judge(226, 450)?.isReached, false);
  assert.match(judge(225, 450)?.measured ?? "", /^0\.50, above empty 0\.47/);
});

test("4,000 rules that look as fast only because of the empty program's share do not reach the target", () => {
  const judge = (ns: number) =>
    judgeTargets(
      [
        row("4 rules, the last rule", "harness v4", 100),
        row("4,000 rules, the last rule", "harness v4", ns),
      ],
      floors,
    )[0];
  assert.equal(judge(107)?.isReached, true);
  assert.equal(judge(109)?.isReached, false);
});

test("a target whose rows were not measured is left out", () => {
  assert.deepEqual(judgeTargets([row("no policy", "plain", 30)], floors), []);
});
