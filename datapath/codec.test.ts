import assert from "node:assert/strict";
import { test } from "node:test";
import { arrayOf, bool, bytes, type Codec, s8, s16, s32, s64, u8, u16, u32, u64 } from "./codec.js";

const numbers: readonly [codec: Codec<number>, lowest: number, highest: number][] = [
  [u8, 0, 255],
  [u16, 0, 65535],
  [u32, 0, 4294967295],
  [s8, -128, 127],
  [s16, -32768, 32767],
  [s32, -2147483648, 2147483647],
];

const bigints: readonly [codec: Codec<bigint>, lowest: bigint, highest: bigint][] = [
  [u64, 0n, 2n ** 64n - 1n],
  [s64, -(2n ** 63n), 2n ** 63n - 1n],
];

function roundTrip<T>(codec: Codec<T>, value: T): T {
  const view = new DataView(new ArrayBuffer(codec.size + 3));
  codec.encode(value, view, 3);
  return codec.decode(view, 3);
}

test("integers keep both ends of their range and refuse what lies beyond", () => {
  for (const [codec, lowest, highest] of numbers) {
    assert.equal(roundTrip(codec, lowest), lowest);
    assert.equal(roundTrip(codec, highest), highest);
    for (const value of [lowest - 1, highest + 1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      assert.throws(() => roundTrip(codec, value), RangeError, `${codec.name} took ${value}`);
    }
  }
  for (const [codec, lowest, highest] of bigints) {
    assert.equal(roundTrip(codec, lowest), lowest);
    assert.equal(roundTrip(codec, highest), highest);
    for (const value of [lowest - 1n, highest + 1n]) {
      assert.throws(() => roundTrip(codec, value), RangeError, `${codec.name} took ${value}`);
    }
  }
});

test("any byte but zero reads as true", () => {
  assert.equal(bool.decode(new DataView(Uint8Array.of(2).buffer), 0), true);
  assert.equal(roundTrip(bool, false), false);
});

test("bytes and arrays are little-endian, in order, and of one length", () => {
  assert.deepEqual(roundTrip(bytes(3), Uint8Array.of(1, 2, 3)), Uint8Array.of(1, 2, 3));
  const view = new DataView(new ArrayBuffer(8));
  arrayOf(u32, 2).encode([1, 0x01020304], view, 0);
  assert.equal(Buffer.from(view.buffer).toString("hex"), "0100000004030201");
  assert.throws(
    () => arrayOf(u32, 2).encode([1, 2, 3], view, 0, "row.words"),
    /^RangeError: row\.words: /,
  );
});

test("a value that leaves the view is refused, even where the buffer behind it goes on", () => {
  const view = new DataView(new ArrayBuffer(64), 8, 8);
  assert.throws(() => u64.encode(1n, view, 1), RangeError);
  assert.throws(() => bytes(4).encode(new Uint8Array(4), view, 5), RangeError);
  assert.throws(() => bytes(4).decode(view, 5), RangeError);
});
