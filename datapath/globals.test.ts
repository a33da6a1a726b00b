import assert from "node:assert/strict";
import { test } from "node:test";
import { writeGlobal } from "./globals.js";

const at = (offset: number, size: number) => ({ name: "limit", offset, size });

test("integers are written little-endian in the size of the variable, negative ones too", () => {
  const bytes = new Uint8Array(16);
  writeGlobal(bytes, at(0, 1), true);
  writeGlobal(bytes, at(2, 2), 0x1234);
  writeGlobal(bytes, at(4, 4), -2);
  writeGlobal(bytes, at(8, 8), 2n ** 63n);
  assert.equal(Buffer.from(bytes).toString("hex"), "01003412feffffff0000000000000080");
});

test("bytes are written as they are", () => {
  const bytes = new Uint8Array(8);
  writeGlobal(bytes, at(2, 3), Uint8Array.from([7, 8, 9]));
  assert.deepEqual([...bytes], [0, 0, 7, 8, 9, 0, 0, 0]);
});

test("values that do not fit are refused and nothing is written", () => {
  const bytes = new Uint8Array(8);
  for (const [size, value] of [
    [1, 256],
    [1, -129],
    [2, 65536],
    [4, 2 ** 32],
    [8, 2n ** 64n],
    [4, 0.5],
    [3, 1],
    [2, Uint8Array.of(1)],
  ] as const) {
    assert.throws(() => writeGlobal(bytes, at(0, size), value), { code: "SLUICE_BAD_VALUE" });
  }
  assert.throws(() => writeGlobal(bytes, at(6, 4), 1), { code: "SLUICE_BAD_VALUE" });
  assert.deepEqual([...bytes], Array(8).fill(0));
});
