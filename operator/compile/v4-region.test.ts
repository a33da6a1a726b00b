import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { AddressLayout as L } from "../../datapath/generated/layout.js";
import { type AddressMemory, readClassV4 } from "../../test/apply/address-reader.js";
import type { ClassSteps } from "./address-classes.js";
import { prefixKey } from "./prefix-key.js";
import {
  newRuns,
  regionBackgrounds,
  regionLines,
  type Runs,
  sweepRegion,
  touchedPrefixes,
  writeRegion,
} from "./v4-region.js";

const REGION = 0x0a01;
const LINE_WORDS = 16;
const FIRST_LINE = 3;
const UNWRITTEN = 0xdeadbeef;

/** Classes as bit sets of parts: what a class means is plain to see. */
const bits: ClassSteps = {
  with: (classId, part) => classId | (1 << part),
  without: (classId, part) => classId & ~(1 << part),
};

interface Prefix {
  /** Lower 16 bits of the first address. */
  readonly start: number;
  readonly length: number;
  readonly part: number;
  readonly exception: boolean;
}

/** Hosts crowd in a few /24s, so that prefixes nest and meet. */
const prefix: fc.Arbitrary<Prefix> = fc
  .record({
    host: fc.oneof(fc.nat(65535), fc.nat(300), fc.constantFrom(0, 255, 256, 511, 65280, 65535)),
    length: fc.integer({ min: 16, max: 32 }),
    part: fc.nat(3),
    exception: fc.boolean(),
  })
  .map(({ host, length, part, exception }) => {
    const size = 2 ** (32 - length);
    return { start: host - (host % size), length, part, exception };
  });
const prefixes = fc.array(prefix, { maxLength: 40 });

function keysOf(list: readonly Prefix[]): Float64Array {
  const keys = list.map(({ start, length, part, exception }) =>
    prefixKey(REGION * 65536 + start, length, part, exception),
  );
  return Float64Array.from(new Set(keys)).sort();
}

function swept(list: readonly Prefix[], background = 0): Runs {
  const runs = newRuns();
  sweepRegion(keysOf(list), background, bits, runs);
  return runs;
}

/** The class of a host by the prefixes that hold it, wider ones first. */
function classByHand(list: readonly Prefix[], background: number, host: number): number {
  return list
    .filter(({ start, length }) => host >= start && host < start + 2 ** (32 - length))
    .sort(
      (a, b) => a.length - b.length || Number(a.exception) - Number(b.exception) || a.part - b.part,
    )
    .reduce(
      (classId, { part, exception }) =>
        exception ? bits.without(classId, part) : bits.with(classId, part),
      background,
    );
}

/** Every edge of every prefix, and the hosts on either side. */
function probes(list: readonly Prefix[]): readonly number[] {
  const edges = list.flatMap(({ start, length }) => [start, start + 2 ** (32 - length)]);
  const near = edges.flatMap((edge) => [edge - 1, edge, edge + 1]);
  return [...new Set([0, 255, 256, 32768, 65535, ...near])].filter((at) => at >= 0 && at < 65536);
}

describe("a swept region", () => {
  it("has the class of each host, in runs that cover it once and differ from their neighbours", () => {
    fc.assert(
      fc.property(prefixes, fc.nat(15), (list, background) => {
        const runs = swept(list, background);
        assert.equal(runs.starts[0], 0);
        for (let run = 1; run < runs.count; run++) {
          assert.ok(runs.starts[run]! > runs.starts[run - 1]!);
          assert.notEqual(runs.classes[run], runs.classes[run - 1]);
        }
        for (const host of probes(list)) {
          const run = runs.starts.subarray(0, runs.count).findLastIndex((start) => start <= host);
          assert.equal(runs.classes[run], classByHand(list, background, host), `host ${host}`);
        }
      }),
    );
  });
});

describe("a written region", () => {
  /** The image, with room around it that nothing may touch. */
  function written(runs: Runs) {
    const count = regionLines(runs);
    const addressLines = new Uint32Array((FIRST_LINE + count + 2) * LINE_WORDS).fill(UNWRITTEN);
    const word = writeRegion(runs, addressLines, FIRST_LINE);
    const memory: AddressMemory = {
      addressLines,
      v4Top: new Uint32Array(65536),
      v4Touched: new Uint32Array(2 ** 19).fill(0xffffffff),
      v6Touched: new Uint32Array(0),
    };
    memory.v4Top[REGION] = word;
    return { count, memory };
  }

  function assertReads(list: readonly Prefix[], background: number): void {
    const runs = swept(list, background);
    const { count, memory } = written(runs);
    for (const host of probes(list)) {
      const found = readClassV4(memory, 0, REGION * 65536 + host);
      assert.equal(found, classByHand(list, background, host), `host ${host}`);
    }
    const { addressLines } = memory;
    const behind = addressLines.subarray((FIRST_LINE + count) * LINE_WORDS);
    const before = addressLines.subarray(0, FIRST_LINE * LINE_WORDS);
    assert.ok([...before, ...behind].every((word) => word === UNWRITTEN));
  }

  it("gives every host its class, and fills no more lines than it said", () => {
    fc.assert(fc.property(prefixes, fc.nat(15), assertReads));
  });

  it("of one class takes no lines", () => {
    for (const list of [[], [{ start: 0, length: 16, part: 2, exception: false }]]) {
      const runs = swept(list, 1);
      assert.equal(regionLines(runs), 0);
      assert.equal(writeRegion(runs, new Uint32Array(0), 0), list.length === 0 ? 1 : 0b101);
    }
  });

  it("takes two lines for single hosts in up to sixteen /24s, and one more for sixteen more", () => {
    const hosts = (count: number) =>
      Array.from({ length: count }, (_, index) => ({
        start: index * 256 + index,
        length: 32,
        part: 0,
        exception: false,
      }));
    const lines = [1, 16, 17, 32, 256].map((count) => regionLines(swept(hosts(count))));
    assert.deepEqual(lines, [2, 2, 3, 3, 17]);
    assertReads(hosts(256), 0);
  });

  it("holds a /24 in which every host differs from the next", () => {
    const stripes = Array.from({ length: 128 }, (_, index) => ({
      start: 512 + index * 2,
      length: 32,
      part: index % 4,
      exception: false,
    }));
    assertReads(stripes, 0);
    assertReads(stripes, 8);
  });
});

describe("touched /24s", () => {
  it("are those with a host whose class is not the given one", () => {
    fc.assert(
      fc.property(prefixes, fc.nat(3), (list, untouched) => {
        const runs = swept(list, untouched);
        const marks = new Uint32Array(8).fill(UNWRITTEN);
        touchedPrefixes(runs, untouched, marks);
        const expected = new Set<number>();
        for (let run = 0; run < runs.count; run++) {
          if (runs.classes[run] === untouched) continue;
          const end = run + 1 < runs.count ? runs.starts[run + 1]! : 65536;
          for (let at = runs.starts[run]! >> 8; at <= (end - 1) >> 8; at++) expected.add(at);
        }
        const found = Array.from({ length: 256 }, (_, at) => at).filter(
          (at) => ((marks[at >> 5]! >>> (at & 31)) & 1) === 1,
        );
        assert.deepEqual(
          found,
          [...expected].sort((a, b) => a - b),
        );
      }),
    );
  });
});

describe("prefixes shorter than /16", () => {
  it("give each region its background, the narrower one last", () => {
    const wide = Float64Array.from([
      prefixKey(0x0a000000, 8, 0, false),
      prefixKey(0x0a000000, 12, 1, false),
      prefixKey(0x0a100000, 12, 0, true),
      prefixKey(0x0a140000, 15, 2, false),
      prefixKey(0xfe000000, 7, 3, false),
    ]).sort();
    const backgrounds = regionBackgrounds(wide, bits);
    for (const [region, expected] of [
      [0x09ff, L.CLASS_V4_DEFAULT],
      [0x0a00, 0b11],
      [0x0a0f, 0b11],
      [0x0a10, 0b00],
      [0x0a14, 0b100],
      [0x0a15, 0b100],
      [0x0a16, 0b00],
      [0x0a20, 0b01],
      [0x0aff, 0b01],
      [0x0b00, L.CLASS_V4_DEFAULT],
      [0xfe00, 0b1000],
      [0xffff, 0b1000],
    ] as const) {
      assert.equal(backgrounds[region], expected, region.toString(16));
    }
  });
});
