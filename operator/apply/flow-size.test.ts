import assert from "node:assert/strict";
import { test } from "node:test";
import { flowsForMemory } from "./flow-size.js";

const gib = 2 ** 30;

test("room for flows follows the machine's memory, and what its agent may have of it", () => {
  for (const [totalBytes, limitBytes, flows] of [
    [gib / 2, undefined, 32_768],
    [4 * gib, undefined, 65_536],
    [16 * gib, undefined, 262_144],
    [64 * gib, undefined, 1_048_576],
    [1024 * gib, undefined, 1_048_576],
    /* No limit, as Node tells it on different systems. */
    [16 * gib, 0, 262_144],
    [16 * gib, 2 ** 64, 262_144],
    [64 * gib, gib / 2, 262_144],
    [64 * gib, gib / 16, 32_768],
  ] as const) {
    assert.equal(flowsForMemory(totalBytes, limitBytes), flows, `${totalBytes} ${limitBytes}`);
  }
});
