import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import type { Codec } from "../../datapath/codec.js";
import { bytes, u32, u64 } from "../../datapath/codec.js";
import { MapFlag, MapType } from "../../datapath/map-create.js";
import { BpfMap } from "../../datapath/maps.js";
import { MappedArray } from "../../datapath/mmap.js";
import { testRun } from "../../datapath/test-run.js";
import { loadObject, mapArray } from "../support/objects.js";
import { eth, packet, payload } from "../support/packets.js";

function createArray<V>(
  context: TestContext,
  maxEntries: number,
  value: Codec<V>,
  mapFlags: number = MapFlag.mmapable,
): BpfMap<number, V> {
  const layout = { name: "mapped", type: MapType.array, keySize: 4, valueSize: value.size };
  const map = BpfMap.create({ ...layout, maxEntries, mapFlags }, u32, value);
  context.after(() => map.close());
  return map;
}

test("what is written to memory is what a lookup finds, and the other way round", (context) => {
  const map = createArray(context, 1000, u64);
  const memory = new MappedArray(map.fd);
  context.after(() => memory.close());
  memory.u64[999] = 2n ** 64n - 1n;
  assert.equal(map.lookup(999), 2n ** 64n - 1n);
  map.update(0, 7n);
  assert.equal(memory.u32[0], 7);
  assert.equal(memory.u64.length, 1000);
});

test("elements of odd sizes are found at their stride", (context) => {
  const map = createArray(context, 10, bytes(13));
  const memory = new MappedArray(map.fd);
  context.after(() => memory.close());
  assert.deepEqual([memory.length, memory.valueSize, memory.stride], [10, 13, 16]);
  const value = Uint8Array.from({ length: 13 }, (_, index) => index + 1);
  map.update(9, value);
  assert.deepEqual(memory.bytes.slice(9 * memory.stride, 9 * memory.stride + 13), value);
  assert.equal(memory.view.getUint8(9 * memory.stride + 12), 13);
});

test("64 MiB of packed words are written through memory", (context) => {
  const map = createArray(context, 2 ** 20, bytes(64));
  const memory = new MappedArray(map.fd);
  context.after(() => memory.close());
  assert.equal(memory.u32.length, 2 ** 24);
  memory.u32.fill(0xdeadbeef);
  memory.u32[2 ** 24 - 1] = 1;
  const last = map.lookup(2 ** 20 - 1) ?? new Uint8Array();
  assert.equal(Buffer.from(last).toString("hex"), `${"efbeadde".repeat(15)}01000000`);
});

test("a program reads memory at once, and its writes are there at once", async (context) => {
  const object = await loadObject(context, "tables-fixture");
  const program = object.takeProgram("touch");
  context.after(() => program.close());
  const words = mapArray(context, object, "words");
  const data = mapArray(context, object, object.globals(".data")?.name ?? "");
  words.u32[(7 * words.stride) / 4] = 100;
  data.u32[0] = 11;
  testRun(program, { packet: packet(eth(), payload(50)) });
  assert.equal(words.u32[(7 * words.stride) / 4], 111);
});

test("an array that was not made for it is refused by name", (context) => {
  const map = createArray(context, 10, u64, 0);
  assert.throws(() => new MappedArray(map.fd), {
    code: "SLUICE_MMAP_FAILED",
    message: /map mapped was not made BPF_F_MMAPABLE/,
  });
});

test("a frozen array is mapped for reading only", (context) => {
  const map = createArray(context, 10, u64);
  map.update(3, 33n);
  map.freeze();
  assert.throws(
    () => new MappedArray(map.fd, "write"),
    (error: Error & { code: string; cause: { code: string } }) =>
      error.code === "SLUICE_MMAP_FAILED" && error.cause.code === "EPERM",
  );
  const memory = new MappedArray(map.fd, "read");
  context.after(() => memory.close());
  assert.equal(memory.u64[3], 33n);
});

test("memory outlives the descriptor, and after close it is refused and harmless", (context) => {
  const map = createArray(context, 10, u64);
  const memory = new MappedArray(map.fd);
  const kept = memory.u64;
  kept[1] = 5n;
  memory.close();
  memory.close();
  assert.throws(() => memory.u64, { code: "SLUICE_CLOSED" });
  assert.equal(kept[1], 0n);
  kept[1] = 6n;
  assert.equal(map.lookup(1), 5n);
});
