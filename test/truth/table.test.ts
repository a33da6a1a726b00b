/** What is said of pairs that are not as they must be. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { loadSpecs } from "../policy-oracle/spec.js";
import { openSpec, takeStep } from "../policy-oracle/spec-cluster.js";
import { type Cell, describeDifferences, expectCells } from "./table.js";

/** e2e 1: nobody reaches the pods of x but themselves, says the table of xa, xb, ya and yb on TCP 80. */
function cellsOfFirst(): readonly Cell[] {
  const [spec] = loadSpecs("e2e");
  const [step] = spec!.steps;
  const state = takeStep(openSpec({ ...spec!, pods: ["xa", "xb", "ya", "za"] }), step!, 4);
  return expectCells(state, step!.expect, new Set(spec!.pods), [4, 6]);
}

describe("the cells of a step", () => {
  const cells = cellsOfFirst();

  it("are all pairs in both families, on all ports and protocols", () => {
    assert.equal(cells.length, 4 * 4 * 2 * 6);
  });

  it("are expected by the table, and by the oracle where it has none", () => {
    const denied = cells.filter(({ isExpected }) => !isExpected);
    const names = (port: number, protocol: string) =>
      denied
        .filter((cell) => cell.port === port && cell.protocol === protocol && cell.family === 6)
        .map(({ source, destination }) => `${source} ${destination}`);
    const all = ["xa xb", "xb xa", "ya xa", "ya xb", "za xa", "za xb"];
    assert.deepEqual(names(80, "TCP").sort(), all);
    assert.deepEqual(names(81, "UDP").sort(), all);
  });

  it("differ in nothing when all is as expected", () => {
    const seen = cells.map(({ isExpected }) => (isExpected ? "open" : "silent"));
    assert.equal(describeDifferences(cells, seen), "");
  });

  it("are shown as a matrix beside what was seen, with a mark at each that differs", () => {
    const seen = cells.map((cell) => {
      const { source, destination, protocol, port, family } = cell;
      if (protocol !== "UDP" || port !== 81 || family !== 4) {
        return cell.isExpected ? "open" : "silent";
      }
      if (source === "ya" && destination === "xb") return "open";
      if (source === "xb" && destination === "za") return "refused";
      return cell.isExpected ? "open" : "silent";
    });
    assert.equal(
      describeDifferences(cells, seen),
      [
        "IPv4 UDP 81, from row to column",
        "expected xa xb ya za  seen     xa xb ya za ",
        "xa       .  X  .  .   xa       .  X  .  .  ",
        "xb       X  .  .  .   xb       X  .  .  R! ",
        "ya       X  X  .  .   ya       X  .! .  .  ",
        "za       X  X  .  .   za       X  X  .  .  ",
      ].join("\n"),
    );
  });
});
