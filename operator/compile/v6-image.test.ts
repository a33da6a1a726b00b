import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { AddressLayout as L } from "../../datapath/generated/layout.js";
import { type AddressMemory, readClassV6 } from "../../test/apply/address-reader.js";
import type { ClassSteps } from "./address-classes.js";
import {
  type BucketTable,
  bucketKeyAt,
  bucketPlace,
  hashV6Prefix,
  nodeLines,
  shortLines,
  writeBucketKey,
  writeNode,
  writeShortRuns,
} from "./v6-image.js";
import { classAt, splitAddress, V6Prefixes, type V6Prefix } from "./v6-prefixes.js";

const LINE_WORDS = 16;
const MAX_48 = 2 ** 48 - 1;

/** Classes as bit sets of parts, above the two default classes. */
const bits: ClassSteps = {
  with: (classId, part) => classId | (4 << part),
  without: (classId, part) => classId & ~(4 << part),
};

function prefixOf(
  high: bigint,
  low: bigint,
  length: number,
  part: number,
  exception = false,
): V6Prefix {
  const value = (((high << 64n) | low) >> BigInt(128 - length)) << BigInt(128 - length);
  return { ...splitAddress(value >> 64n, value & (2n ** 64n - 1n)), length, part, exception };
}

describe("the hash of a /48", () => {
  it("spreads neighbours", () => {
    const buckets = new Set<number>();
    for (let at = 0; at < 4096; at++) buckets.add(hashV6Prefix(0x20010db80000 + at) & 4095);
    // 4,096 balls in 4,096 bins fill 63 % of them when thrown at random.
    assert.ok(buckets.size > 2400, `${buckets.size} buckets`);
  });

  it("is a whole number of 32 bits for all of them", () => {
    fc.assert(
      fc.property(fc.nat(MAX_48), (prefix) => {
        const hash = hashV6Prefix(prefix);
        assert.equal(hash >>> 0, hash);
      }),
    );
  });
});

describe("a bucket table", () => {
  function table(buckets: number): BucketTable {
    return { lines: new Uint32Array((5 + buckets) * LINE_WORDS), line: 5, buckets };
  }

  it("finds what was placed and nothing else", () => {
    const prefixes = fc.uniqueArray(fc.oneof(fc.nat(MAX_48), fc.nat(40)), { maxLength: 24 });
    fc.assert(
      fc.property(prefixes, fc.nat(MAX_48), (list, other) => {
        const built = table(16);
        const places = new Map<number, number>();
        for (const prefix of list) {
          const place = bucketPlace(built, prefix, "place");
          if (place < 0) continue;
          places.set(prefix, place);
          writeBucketKey(built.lines, bucketKeyAt(place), prefix);
        }
        assert.equal(new Set(places.values()).size, places.size, "no place is given out twice");
        for (const [prefix, place] of places) {
          assert.equal(bucketPlace(built, prefix, "find"), place);
          assert.equal(bucketPlace(built, prefix, "place"), place);
        }
        if (!places.has(other)) assert.equal(bucketPlace(built, other, "find"), -1);
      }),
    );
  });

  it("is full for a /48 when the buckets that are looked at are", () => {
    const built = table(L.BUCKET_PROBES);
    let placed = 0;
    for (let prefix = 1; placed < L.BUCKET_PROBES * L.BUCKET_SLOTS; prefix++) {
      const place = bucketPlace(built, prefix, "place");
      writeBucketKey(built.lines, bucketKeyAt(place), prefix);
      placed++;
    }
    assert.equal(bucketPlace(built, MAX_48, "place"), -1);
    assert.equal(bucketPlace(built, 1, "place") >= 0, true);
  });

  it("keeps ::/48 apart from an empty place", () => {
    const built = table(16);
    assert.equal(bucketPlace(built, 0, "find"), -1);
    const place = bucketPlace(built, 0, "place");
    writeBucketKey(built.lines, bucketKeyAt(place), 0);
    assert.equal(bucketPlace(built, 0, "find"), place);
  });
});

describe("runs in lines", () => {
  const inside = fc.array(
    fc.record({
      subnet: fc.nat(3),
      host: fc.bigInt({ min: 0n, max: 7n }),
      length: fc.integer({ min: 48, max: 128 }),
      part: fc.nat(3),
      exception: fc.boolean(),
    }),
    { maxLength: 20 },
  );

  function byHand(
    list: readonly V6Prefix[],
    background: number,
    high: bigint,
    low: bigint,
  ): number {
    const value = (high << 64n) | low;
    return list
      .filter(({ prefix, rest, length }) => {
        const start = (BigInt(prefix) << 80n) | rest;
        return value >> BigInt(128 - length) === start >> BigInt(128 - length);
      })
      .sort((a, b) => a.length - b.length)
      .reduce(
        (classId, { part, exception }) =>
          exception ? bits.without(classId, part) : bits.with(classId, part),
        background,
      );
  }

  it("inside one /48 give each address its class", () => {
    const site = 0x2001_0db8_0001n << 16n;
    fc.assert(
      fc.property(inside, (records) => {
        const prefixes = new V6Prefixes();
        const list = new Map<string, V6Prefix>();
        for (const { subnet, host, length, part, exception } of records) {
          const made = prefixOf(site | BigInt(subnet), host << 61n, length, part, exception);
          // Two that differ in nothing but what they do would depend on who came first.
          list.set(`${made.rest}/${length}`, made);
        }
        for (const made of list.values()) prefixes.add(made);
        const key = splitAddress(site, 0n).prefix;
        const runs = prefixes.recordRuns(key, L.CLASS_V6_DEFAULT, bits);
        const line = 20;
        const addressLines = new Uint32Array((line + nodeLines(runs)) * LINE_WORDS);
        const table = { lines: addressLines, line: 1, buckets: 16 };
        const place = bucketPlace(table, key, "place");
        addressLines[place] = writeNode(runs, addressLines, line);
        writeBucketKey(addressLines, bucketKeyAt(place), key);
        const memory = memoryOf(addressLines);
        const pointers = { v6Buckets: 1, v6BucketMask: 15, v6Short: 0, v6ShortCount: 0 };
        for (let subnet = 0n; subnet < 5n; subnet++) {
          for (let host = 0n; host < 8n; host++) {
            for (const low of [host << 61n, ((host + 1n) << 61n) - 1n]) {
              const found = readClassV6(memory, pointers, site | subnet, low);
              const expected = byHand([...list.values()], L.CLASS_V6_DEFAULT, site | subnet, low);
              assert.equal(found, expected, `${subnet} ${low.toString(16)}`);
            }
          }
        }
      }),
    );
  });

  it("a /48 of one class needs no lines: its word is the class", () => {
    const prefixes = new V6Prefixes();
    const made = prefixOf(0x20010db8_00010000n, 0n, 48, 1);
    prefixes.add(made);
    const runs = prefixes.recordRuns(made.prefix, L.CLASS_V6_DEFAULT, bits);
    assert.equal(nodeLines(runs), 0);
    assert.equal(writeNode(runs, new Uint32Array(0), 0), bits.with(L.CLASS_V6_DEFAULT, 1));
  });

  it("of prefixes shorter than /48 are in order, eight to a line, and hold the whole space", () => {
    const prefixes = new V6Prefixes();
    const list = [
      prefixOf(0x2000_0000_0000_0000n, 0n, 3, 0),
      prefixOf(0x2001_0db8_0000_0000n, 0n, 32, 1),
      prefixOf(0x2001_0db8_8000_0000n, 0n, 33, 0, true),
      prefixOf(0x2001_0db8_0002_0000n, 0n, 47, 2),
      prefixOf(0xff00_0000_0000_0000n, 0n, 8, 3),
    ];
    for (const made of list) prefixes.add(made);
    const runs = prefixes.shortRuns(bits);
    assert.equal(runs.starts[0], 0);
    assert.equal(shortLines(runs), Math.ceil(runs.starts.length / L.SHORT_PER_LINE));
    const addressLines = new Uint32Array((2 + shortLines(runs)) * LINE_WORDS).fill(0xffffffff);
    writeShortRuns(runs, addressLines, 2);
    const memory = memoryOf(addressLines);
    const pointers = {
      v6Buckets: 0,
      v6BucketMask: 0,
      v6Short: 2,
      v6ShortCount: runs.starts.length,
    };
    for (const high of [
      0n,
      0x1fff_ffff_ffff_ffffn,
      0x2000_0000_0000_0000n,
      0x2001_0db7_ffff_ffffn,
      0x2001_0db8_0000_0000n,
      0x2001_0db8_0001_ffffn,
      0x2001_0db8_0002_0000n,
      0x2001_0db8_0003_ffffn,
      0x2001_0db8_0004_0000n,
      0x2001_0db8_7fff_ffffn,
      0x2001_0db8_8000_0000n,
      0x2001_0db9_0000_0000n,
      0x3fff_ffff_ffff_ffffn,
      0x4000_0000_0000_0000n,
      0xfeff_ffff_ffff_ffffn,
      0xff00_0000_0000_0000n,
      0xffff_ffff_ffff_ffffn,
    ]) {
      const expected = byHand(list, L.CLASS_V6_DEFAULT, high, 0n);
      assert.equal(readClassV6(memory, pointers, high, 0n), expected, high.toString(16));
      assert.equal(classAt(runs, splitAddress(high, 0n).prefix), expected);
    }
  });

  /** Every /48 is marked as touched. */
  function memoryOf(addressLines: Uint32Array): AddressMemory {
    const v6Touched = new Uint32Array(2 ** 19).fill(0xffffffff);
    const none = new Uint32Array(0);
    return { addressLines, v4Top: none, v4Touched: none, v6Touched };
  }
});
