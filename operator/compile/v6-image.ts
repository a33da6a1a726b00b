import { AddressLayout as L } from "../../datapath/generated/layout.js";
import type { V6Runs } from "./v6-prefixes.js";

const LINE_WORDS = 16;
const KEY_IN_USE = 0x80000000;
export const MAX_SHORT_RUNS = 2 ** L.SHORT_SEARCH_STEPS;
export const MAX_NODE_RUNS = 2 ** L.NODE_SEARCH_STEPS;

/** The program's hash of a /48 (addresses.h, hash_v6_prefix). */
export function hashV6Prefix(prefix: number): number {
  const upper = Math.floor(prefix / 65536) | 0;
  const lower = prefix % 65536;
  let hash = Math.imul(upper, 0x9e3779b1) ^ Math.imul(lower, 0x85ebca6b);
  hash ^= hash >>> 15;
  hash = Math.imul(hash, 0xc2b2ae35);
  return (hash ^ (hash >>> 13)) >>> 0;
}

/** Lines of a node for these runs; 0 when one class fills the whole /48. */
export function nodeLines(runs: V6Runs<bigint>): number {
  const count = runs.starts.length;
  return count === 1 ? 0 : 1 + Math.ceil(count / L.NODE_ENTRIES_PER_LINE);
}

/** Writes a node and returns the bucket word that makes it reachable. */
export function writeNode(runs: V6Runs<bigint>, lines: Uint32Array, line: number): number {
  if (runs.starts.length === 1) return runs.classes[0]!;
  lines.fill(0, line * LINE_WORDS, (line + nodeLines(runs)) * LINE_WORDS);
  lines[line * LINE_WORDS] = runs.starts.length;
  runs.starts.forEach((start, index) => {
    const at = (line + 1) * LINE_WORDS + index * 4;
    lines[at] = Number(start & 0xffffffffn);
    lines[at + 1] = Number((start >> 32n) & 0xffffffffn);
    lines[at + 2] = Number(start >> 64n) | (runs.classes[index]! << 16);
  });
  return (L.WORD_IS_LINE | line) >>> 0;
}

export function shortLines(runs: V6Runs<number>): number {
  return Math.ceil(runs.starts.length / L.SHORT_PER_LINE);
}

/** Writes the intervals of short prefixes: 48-bit start << 16 | class. */
export function writeShortRuns(runs: V6Runs<number>, lines: Uint32Array, line: number): void {
  lines.fill(0, line * LINE_WORDS, (line + shortLines(runs)) * LINE_WORDS);
  runs.starts.forEach((start, index) => {
    const at = line * LINE_WORDS + index * 2;
    lines[at] = (((start % 65536) << 16) | runs.classes[index]!) >>> 0;
    lines[at + 1] = Math.floor(start / 65536);
  });
}

/** The bucket table: `buckets` lines from `line`; a power of two. */
export interface BucketTable {
  readonly lines: Uint32Array;
  readonly line: number;
  readonly buckets: number;
}

/**
 * Word index of the record of a /48, or of a free place for it.
 *
 * @returns −1 when it is not there (`find`), or all its places are taken (`place`)
 */
export function bucketPlace(table: BucketTable, prefix: number, want: "find" | "place"): number {
  const hash = hashV6Prefix(prefix);
  const low = (prefix % 2 ** 32) >>> 0;
  const high = (Math.floor(prefix / 2 ** 32) | KEY_IN_USE) >>> 0;
  let free = -1;
  for (let probe = 0; probe < L.BUCKET_PROBES; probe++) {
    const line = (table.line + ((hash + probe) & (table.buckets - 1))) * LINE_WORDS;
    for (let slot = 0; slot < L.BUCKET_SLOTS; slot++) {
      const key = line + slot * 2;
      if (table.lines[key] === low && table.lines[key + 1] === high) {
        return line + L.BUCKET_WORDS + slot;
      }
      if (free < 0 && table.lines[key + 1] === 0) free = line + L.BUCKET_WORDS + slot;
    }
  }
  return want === "place" ? free : -1;
}

/** Word index of the key that belongs to a record's word. */
export function bucketKeyAt(word: number): number {
  const line = word - (word % LINE_WORDS);
  return line + (word - line - L.BUCKET_WORDS) * 2;
}

/** Writes the key of a record; the program sees the record from the moment its upper word is there. */
export function writeBucketKey(lines: Uint32Array, keyAt: number, prefix: number): void {
  lines[keyAt] = (prefix % 2 ** 32) >>> 0;
  lines[keyAt + 1] = (Math.floor(prefix / 2 ** 32) | KEY_IN_USE) >>> 0;
}
