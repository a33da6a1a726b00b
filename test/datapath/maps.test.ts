import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import type { Codec } from "../../datapath/codec.js";
import { arrayOf, bytes, u32, u64 } from "../../datapath/codec.js";
import type { MapFd } from "../../datapath/handles.js";
import { listMaps, mapFdById } from "../../datapath/kernel-objects.js";
import { createMap, MapFlag, MapType } from "../../datapath/map-create.js";
import type { ExpectedMap } from "../../datapath/map-layout.js";
import { BpfMap } from "../../datapath/maps.js";
import { possibleCpus } from "../../datapath/per-cpu.js";
import { PerCpuMap, sumCounters } from "../../datapath/per-cpu-map.js";
import { testRun } from "../../datapath/test-run.js";
import { loadObject } from "../support/objects.js";
import { eth, packet, payload } from "../support/packets.js";

function create<K, V>(
  context: TestContext,
  layout: Partial<ExpectedMap>,
  key: Codec<K>,
  value: Codec<V>,
): BpfMap<K, V> {
  const sizes = { keySize: key.size, valueSize: value.size, maxEntries: 1000 };
  const map = BpfMap.create({ name: "t", type: MapType.hash, ...sizes, ...layout }, key, value);
  context.after(() => map.close());
  return map;
}

test("an entry is written, read, replaced, taken out and deleted", (context) => {
  const map = create(context, {}, u32, u64);
  assert.equal(map.lookup(1), undefined);
  assert.equal(map.update(1, 2n ** 63n), true);
  assert.equal(map.lookup(1), 2n ** 63n);
  map.update(1, 5n);
  assert.equal(map.lookupAndDelete(1), 5n);
  assert.equal(map.lookupAndDelete(1), undefined);
  map.update(2, 6n);
  assert.equal(map.delete(2), true);
  assert.equal(map.delete(2), false);
});

test("an update that must create or must replace says when it could not", (context) => {
  const map = create(context, {}, u32, u64);
  assert.equal(map.update(1, 1n, "exist"), false);
  assert.equal(map.update(1, 1n, "noexist"), true);
  assert.equal(map.update(1, 2n, "noexist"), false);
  assert.equal(map.lookup(1), 1n);
});

test("a full table refuses with its name and size, and keeps what it has", (context) => {
  const map = create(context, { name: "tiny", maxEntries: 2 }, u32, u64);
  map.update(1, 1n);
  map.update(2, 2n);
  assert.throws(() => map.update(3, 3n), {
    code: "SLUICE_MAP_FULL",
    message: /map tiny has no room: it holds 2 entries/,
  });
  assert.deepEqual(
    new Map(map.entries()),
    new Map([
      [1, 1n],
      [2, 2n],
    ]),
  );
});

test("a value outside its C type is refused before it reaches the kernel", (context) => {
  const map = create(context, {}, u32, u64);
  assert.throws(() => map.update(2 ** 32, 1n), RangeError);
  assert.throws(() => map.update(1, -1n), RangeError);
  assert.deepEqual([...map.keys()], []);
});

test("batches write, read and delete more entries than fit one call", (context) => {
  const map = create(context, { maxEntries: 10000 }, u32, u64);
  const entries = Array.from({ length: 10000 }, (_, key) => [key, BigInt(key) * 3n] as const);
  assert.equal(map.updateAll(entries), 10000);
  assert.deepEqual(new Map(map.entries()), new Map(entries));
  assert.equal(new Set(map.keys()).size, 10000);
  const odd = entries.map(([key]) => key).filter((key) => key % 2 === 1);
  assert.equal(map.deleteAll(odd), 5000);
  assert.equal([...map.entries()].length, 5000);
});

test("an empty batch does nothing", (context) => {
  const map = create(context, {}, u32, u64);
  assert.equal(map.updateAll([]), 0);
  assert.equal(map.deleteAll([]), 0);
  assert.deepEqual([...map.entries()], []);
});

test("deleting many keys skips those without an entry", (context) => {
  const map = create(context, { maxEntries: 10 }, u32, u64);
  map.updateAll([
    [1, 1n],
    [2, 2n],
    [3, 3n],
  ]);
  assert.equal(map.deleteAll([9, 1, 8, 8, 3, 7]), 2);
  assert.deepEqual([...map.entries()], [[2, 2n]]);
});

test("a batch into a table that fills up says how many entries were written", (context) => {
  const map = create(context, { name: "small", maxEntries: 5000 }, u32, u64);
  const entries = Array.from({ length: 6000 }, (_, key) => [key, 1n] as const);
  assert.throws(() => map.updateAll(entries), {
    code: "SLUICE_MAP_FULL",
    message: /writing to map small stopped after 5000 entries/,
  });
  assert.equal([...map.entries()].length, 5000);
});

test("hash buckets with more entries than one call asks for are read whole", (context) => {
  const map = create(context, { maxEntries: 3, mapFlags: MapFlag.noPrealloc }, u32, u64);
  map.updateAll([
    [1, 1n],
    [2, 2n],
    [3, 3n],
  ]);
  assert.equal(new Map(map.entries()).size, 3);
});

test("an array has all its indexes from the start and no others", (context) => {
  const map = create(context, { type: MapType.array, maxEntries: 5000 }, u32, u64);
  map.updateAll([
    [0, 1n],
    [4999, 2n],
  ]);
  assert.equal(map.lookup(4999), 2n);
  assert.equal(map.lookup(5000), undefined);
  assert.throws(() => map.update(5000, 1n), { code: "SLUICE_MAP_FULL" });
  assert.equal([...map.entries()].length, 5000);
});

test("longest prefixes are listed whole, with and without batch calls", (context) => {
  const layout = { type: MapType.lpmTrie, mapFlags: MapFlag.noPrealloc };
  const map = create(context, layout, bytes(8), u32);
  const prefixes = Array.from({ length: 600 }, (_, index) =>
    Uint8Array.from([24, 0, 0, 0, 10, index >> 8, index & 255, 0]),
  );
  map.updateAll(prefixes.map((prefix, index) => [prefix, index] as const));
  assert.equal([...map.entries()].length, 600);
  assert.equal([...map.keys()].length, 600);
  assert.equal(map.lookup(Uint8Array.from([32, 0, 0, 0, 10, 1, 2, 3])), 258);
});

test("a type without batch calls is written entry by entry", async (context) => {
  const object = await loadObject(context, "tables-fixture");
  const cpus = new BpfMap(object.takeMap("cpus"), u32, u32);
  context.after(() => cpus.close());
  assert.equal(
    cpus.updateAll([
      [0, 192],
      [1, 64],
    ]),
    2,
  );
  assert.equal(cpus.lookup(1), 64);
  // A CPU map lists all its slots and gives values only of those in use.
  assert.deepEqual(
    [...cpus.entries()],
    [
      [0, 192],
      [1, 64],
    ],
  );
});

test("raw maps move bytes without knowing their meaning", (context) => {
  const map = create(context, {}, u32, u64);
  map.update(0x01020304, 1n);
  const [entry] = [...BpfMap.raw(dup(map)).entries()];
  assert.deepEqual(entry?.[0], Uint8Array.from([4, 3, 2, 1]));
});

test("a frozen map can be read and not be written", (context) => {
  const map = create(context, { type: MapType.array, maxEntries: 1 }, u32, u64);
  map.update(0, 9n);
  map.freeze();
  assert.throws(() => map.update(0, 1n), { code: "SLUICE_MAP_OPERATION", message: /EPERM/ });
  assert.equal(map.lookup(0), 9n);
});

test("maps of this machine are listed with their names", (context) => {
  const map = create(context, { name: "find_me" }, u32, u64);
  const found = listMaps().find(({ id }) => id === map.info.id);
  assert.deepEqual(found, map.info);
  assert.equal(found?.name, "find_me");
});

test("a per-CPU map has a value for each possible CPU", (context) => {
  const cpus = possibleCpus();
  const layout = { name: "p", type: MapType.perCpuHash, keySize: 4, valueSize: 4, maxEntries: 8 };
  const map = new PerCpuMap(createMap(layout), u32, u32);
  context.after(() => map.close());
  const values = Array.from({ length: cpus }, (_, cpu) => cpu + 1);
  map.update(3, values);
  assert.deepEqual(map.lookup(3), values);
  assert.deepEqual([...map.entries()], [[3, values]]);
  assert.equal(
    map.combine(3, (left, right) => left + right),
    (cpus * (cpus + 1)) / 2,
  );
  assert.equal(
    map.combine(4, (left, right) => left + right),
    undefined,
  );
  assert.throws(() => map.update(3, [...values, 0]), RangeError);
});

test("counters of all CPUs are summed for a whole array, also beyond 32 bits", async (context) => {
  const object = await loadObject(context, "tables-fixture");
  const counters = new PerCpuMap(object.takeMap("counters"), u32, arrayOf(u64, 2));
  const program = object.takeProgram("touch");
  context.after(() => {
    counters.close();
    program.close();
  });
  testRun(program, { packet: packet(eth(), payload(86)), repeat: 10 });
  const huge = Array.from({ length: possibleCpus() }, () => [2n ** 40n + 1n, 1n] as const);
  counters.update(4999, huge);
  const sums = sumCounters(counters);
  assert.equal(sums.length, 5000 * 2);
  assert.deepEqual([sums[14], sums[15]], [10n, 1000n]);
  const cpus = BigInt(possibleCpus());
  assert.deepEqual([sums[9998], sums[9999]], [cpus * (2n ** 40n + 1n), cpus]);
  assert.equal(sums.filter((sum) => sum !== 0n).length, 4);
  assert.deepEqual([...sumCounters(counters, 8)], [...sums.subarray(0, 16)]);
});

/** A second descriptor of a map, by way of its number. */
function dup(map: BpfMap<number, bigint>): MapFd {
  const fd = mapFdById(map.info.id);
  assert.ok(fd !== undefined);
  return fd;
}
