import { AddressLayout as L } from "../../datapath/generated/layout.js";
import type { ClassId, ClassSteps } from "./address-classes.js";
import { keyAddress, keyRest, restIsException, restLength, restPart } from "./prefix-key.js";

/**
 * The classes of one /16 as runs: run i holds the hosts from starts[i] (lower 16 address bits) up to the next
 * start. The first start is 0; neighbours differ in class. Buffers are reused: copy what must last.
 */
export interface Runs {
  count: number;
  readonly starts: Uint32Array;
  readonly classes: Uint16Array;
}

export function newRuns(): Runs {
  return { count: 0, starts: new Uint32Array(65536), classes: new Uint16Array(65536) };
}

/** Words of one line. */
const LINE_WORDS = 16;
const PREFIX_HOSTS = 256;
const REGION_HOSTS = 65536;

/**
 * Sweeps the prefixes of one region.
 *
 * @param keys prefixes of /16 and longer in the region, sorted (prefix-key.ts)
 * @param background class of the region by prefixes shorter than /16
 */
export function sweepRegion(
  keys: Float64Array,
  background: ClassId,
  classes: ClassSteps,
  runs: Runs,
): void {
  /* Open prefixes, outermost first: where each ends and the class inside it. */
  const ends: number[] = [];
  const inside: ClassId[] = [];
  let current = background;
  runs.count = 0;
  appendRun(runs, 0, background);
  const close = (upTo: number) => {
    while (ends.length > 0 && ends.at(-1)! <= upTo) {
      const end = ends.pop()!;
      inside.pop();
      current = inside.at(-1) ?? background;
      if (end < 65536) appendRun(runs, end, current);
    }
  };
  for (const key of keys) {
    const rest = keyRest(key);
    const start = keyAddress(key) & 0xffff;
    const end = start + 2 ** (32 - restLength(rest));
    close(start);
    const part = restPart(rest);
    current = restIsException(rest) ? classes.without(current, part) : classes.with(current, part);
    ends.push(end);
    inside.push(current);
    appendRun(runs, start, current);
  }
  close(65536);
}

function appendRun(runs: Runs, start: number, classId: ClassId): void {
  let { count } = runs;
  if (count > 0 && runs.starts[count - 1] === start) count--;
  if (count === 0 || runs.classes[count - 1] !== classId) {
    runs.starts[count] = start;
    runs.classes[count] = classId;
    count++;
  }
  runs.count = count;
}

/** What one /24 of a block needs. */
const Shape = { uniform: 1, host: 2, runs: 3 } as const;

/** Lines that {@link writeRegion} will write; 0 when the whole region is one class. */
export function regionLines(runs: Runs): number {
  if (runs.count === 1) return 0;
  let touched = 0;
  let runLines = 0;
  forEachPrefix(runs, backgroundOf(runs), (shape, _prefix, first, last) => {
    touched++;
    if (shape === Shape.runs) runLines += runNodeLines(last - first + 1);
  });
  return 1 + Math.ceil(touched / LINE_WORDS) + runLines;
}

/**
 * Writes a block, its words and its run nodes (addresses.h) and returns the word of the top table that makes them
 * reachable. Nothing outside lines `line` … `line` + regionLines − 1 is written.
 */
export function writeRegion(runs: Runs, lines: Uint32Array, line: number): number {
  if (runs.count === 1) return runs.classes[0]!;
  const background = backgroundOf(runs);
  const block = line * LINE_WORDS;
  const halves = new Uint16Array(lines.buffer, lines.byteOffset);
  lines.fill(0, block, block + LINE_WORDS);
  let words = block + LINE_WORDS;
  let touched = 0;
  forEachPrefix(runs, background, (_shape, prefix) => {
    lines[block + (prefix >> 5)]! |= 1 << (prefix & 31);
    touched++;
  });
  let node = line + 1 + Math.ceil(touched / LINE_WORDS);
  lines.fill(0, words, node * LINE_WORDS);
  writeRanks(lines, halves, block, L.BLOCK_RANK);
  halves[block * 2 + L.BLOCK_CLASS] = background;
  forEachPrefix(runs, background, (shape, prefix, first, last) => {
    if (shape === Shape.uniform) lines[words++] = runs.classes[first]!;
    else if (shape === Shape.host) lines[words++] = hostWord(runs, prefix, first, last, background);
    else {
      lines[words++] = (L.WORD_IS_LINE | node) >>> 0;
      node += writeRunNode(runs, prefix, first, last, lines, halves, node);
    }
  });
  return (L.WORD_IS_LINE | line) >>> 0;
}

/** Per /24 of the region: whether any host has another class than `untouched`; 8 words of 32 bits. */
export function touchedPrefixes(runs: Runs, untouched: ClassId, target: Uint32Array): void {
  target.fill(0);
  forEachPrefix(runs, untouched, (_shape, prefix) => {
    target[prefix >> 5]! |= 1 << (prefix & 31);
  });
}

/** The class that most /24s start with: everything that is this class takes no room. */
function backgroundOf(runs: Runs): ClassId {
  let best = runs.classes[0]!;
  for (let i = 0; i < runs.count; i++) {
    const end = i + 1 < runs.count ? runs.starts[i + 1]! : REGION_HOSTS;
    hostsByClass[runs.classes[i]!]! += end - runs.starts[i]!;
  }
  for (let i = 0; i < runs.count; i++) {
    if (hostsByClass[runs.classes[i]!]! > hostsByClass[best]!) best = runs.classes[i]!;
  }
  for (let i = 0; i < runs.count; i++) hostsByClass[runs.classes[i]!] = 0;
  return best;
}

/** All zero between two calls of backgroundOf. */
const hostsByClass = new Uint32Array(65536);

type Shape = (typeof Shape)[keyof typeof Shape];

/**
 * Calls back for each /24 that is not all background, with the runs that cover it: `first` … `last`, the first possibly
 * begun before it. Costs what is touched: a run of background is stepped over as a whole.
 */
function forEachPrefix(
  runs: Runs,
  background: ClassId,
  each: (shape: Shape, prefix: number, first: number, last: number) => void,
): void {
  let first = 0;
  for (let prefix = 0; prefix < 256; prefix++) {
    const start = prefix * PREFIX_HOSTS;
    const end = start + PREFIX_HOSTS;
    while (first + 1 < runs.count && runs.starts[first + 1]! <= start) first++;
    const next = first + 1 < runs.count ? runs.starts[first + 1]! : REGION_HOSTS;
    if (next >= end && runs.classes[first] === background) {
      prefix = (next >> 8) - 1;
      continue;
    }
    let last = first;
    while (last + 1 < runs.count && runs.starts[last + 1]! < end) last++;
    each(shapeOf(runs, background, start, first, last), prefix, first, last);
    first = last;
  }
}

function shapeOf(
  runs: Runs,
  background: ClassId,
  start: number,
  first: number,
  last: number,
): Shape {
  if (first === last) {
    return Shape.uniform;
  }
  return hostRun(runs, background, start, first, last) < 0 ? Shape.runs : Shape.host;
}

/** Index of the one run of one host in a /24 that is background otherwise; −1 when it is not like that. */
function hostRun(
  runs: Runs,
  background: ClassId,
  start: number,
  first: number,
  last: number,
): number {
  let found = -1;
  for (let i = first; i <= last; i++) {
    if (runs.classes[i] === background) continue;
    const from = Math.max(runs.starts[i]!, start);
    const to = i < last ? runs.starts[i + 1]! : start + PREFIX_HOSTS;
    if (found >= 0 || to - from !== 1) return -1;
    found = i;
  }
  return found;
}

function hostWord(
  runs: Runs,
  prefix: number,
  first: number,
  last: number,
  background: ClassId,
): number {
  const start = prefix * PREFIX_HOSTS;
  const run = hostRun(runs, background, start, first, last);
  const host = Math.max(runs.starts[run]!, start) & 255;
  return (L.WORD_IS_HOST | (host << 16) | runs.classes[run]!) >>> 0;
}

function runNodeLines(count: number): number {
  return 1 + Math.ceil(Math.max(0, count - L.RUNS_INLINE_COUNT) / 32);
}

function writeRunNode(
  runs: Runs,
  prefix: number,
  first: number,
  last: number,
  lines: Uint32Array,
  halves: Uint16Array,
  line: number,
): number {
  const start = prefix * PREFIX_HOSTS;
  const node = line * LINE_WORDS;
  const size = runNodeLines(last - first + 1);
  lines.fill(0, node, node + size * LINE_WORDS);
  for (let i = first; i <= last; i++) {
    const host = Math.max(runs.starts[i]! - start, 0);
    lines[node + (host >> 5)]! |= 1 << (host & 31);
    const rank = i - first;
    const at =
      rank < L.RUNS_INLINE_COUNT
        ? node * 2 + L.RUNS_INLINE_CLASSES + rank
        : (node + LINE_WORDS) * 2 + rank - L.RUNS_INLINE_COUNT;
    halves[at] = runs.classes[i]!;
  }
  writeRanks(lines, halves, node, L.RUNS_RANK);
  return size;
}

/** Bits set before each 64-bit word of a 256-bit map. */
function writeRanks(lines: Uint32Array, halves: Uint16Array, at: number, ranks: number): void {
  let rank = 0;
  for (let word = 0; word < 4; word++) {
    halves[at * 2 + ranks + word] = rank;
    rank += countBits(lines[at + word * 2]!) + countBits(lines[at + word * 2 + 1]!);
  }
}

function countBits(word: number): number {
  let bits = word - ((word >>> 1) & 0x55555555);
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/**
 * Class of each /16 by the prefixes shorter than /16 alone.
 *
 * @param wide sorted (prefix-key.ts)
 */
export function regionBackgrounds(wide: Float64Array, classes: ClassSteps): Uint16Array {
  const backgrounds = new Uint16Array(65536).fill(L.CLASS_V4_DEFAULT);
  /* Wider prefixes come first, so each one refines what holds inside it. */
  for (const key of wide) {
    const rest = keyRest(key);
    const first = keyAddress(key) >>> 16;
    const end = first + 2 ** (16 - restLength(rest));
    const part = restPart(rest);
    for (let region = first; region < end; region++) {
      const current = backgrounds[region]!;
      backgrounds[region] = restIsException(rest)
        ? classes.without(current, part)
        : classes.with(current, part);
    }
  }
  return backgrounds;
}
