import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Rates } from "./rates.js";
import { ratesSection, ratesTargets } from "./sections.js";

function row(policies: number, mode: Rates["mode"], cpuNs: number, routedCpuNs: number): Rates {
  const passed = (least: number) => [
    { rate: 1000, cpuNs: least },
    { rate: 900, cpuNs: 2 * least },
  ];
  return {
    path: "same node",
    mode,
    policies,
    sluice: passed(cpuNs),
    routed: passed(routedCpuNs),
  };
}

describe("targets of pods' traffic", () => {
  it("are decided by the least CPU time, without policies", () => {
    const rates = [
      row(0, "request", 102, 100),
      row(0, "stream", 104, 100),
      row(9, "stream", 500, 100),
    ];
    assert.deepEqual(
      ratesTargets(rates).map(({ isReached, measured }) => [isReached, measured]),
      [
        [true, "0.98 by CPU time, 1.00 by rate"],
        [false, "0.96 by CPU time, 1.00 by rate"],
      ],
    );
  });

  it("are lost by policies that make connections dearer than they were beside the same peer", () => {
    const rates = [
      row(0, "connect", 110, 100),
      row(100, "connect", 130, 100),
      row(1000, "connect", 222, 200),
    ];
    const [target, ...others] = ratesTargets(rates);
    assert.deepEqual(others, []);
    assert.match(target?.what ?? "", /1,000 policies against none/);
    assert.deepEqual(
      [target?.isReached, target?.measured],
      [true, "0.99 by CPU time, 1.00 by rate"],
    );
    const dearer = ratesTargets([row(0, "connect", 110, 100), row(1000, "connect", 230, 200)]);
    assert.equal(dearer[0]?.isReached, false);
  });
});

describe("the table of pods' traffic", () => {
  it("has both sides, and their ratios", () => {
    const { columns, rows } = ratesSection([row(1000, "connect", 110_000, 100_000)]);
    assert.equal(columns.length, rows[0]?.length);
    assert.deepEqual(rows[0]?.slice(2, 4), ["1,000", "1,000"]);
    assert.deepEqual(rows[0]?.slice(-2), ["1.00", "1.10"]);
  });
});
