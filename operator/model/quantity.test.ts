import assert from "node:assert/strict";
import { it } from "node:test";
import { parseQuantity } from "./quantity.js";

it("quantities are read as Kubernetes writes them", () => {
  const cases: readonly (readonly [text: string, value: number | undefined])[] = [
    ["0", 0],
    ["1000", 1000],
    ["10M", 10e6],
    ["1Gi", 2 ** 30],
    ["1.5k", 1500],
    [".5M", 500_000],
    ["1.", 1],
    ["1e6", 1e6],
    ["12E", 12e18],
    ["1E3", 1000],
    ["500m", 0.5],
    ["-1", -1],
    ["", undefined],
    [".", undefined],
    ["10 M", undefined],
    ["10Mbit", undefined],
    ["K", undefined],
    ["10K", undefined],
    ["0x10", undefined],
  ];
  for (const [text, value] of cases) assert.equal(parseQuantity(text), value, text);
});
