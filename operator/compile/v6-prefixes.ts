import { AddressLayout as L } from "../../datapath/generated/layout.js";
import type { ClassId, ClassSteps, PartId } from "./address-classes.js";

/** One IPv6 prefix of one part of a set. */
export interface V6Prefix {
  /** Upper 48 bits, a whole number that a double holds exactly. */
  readonly prefix: number;
  /** The other 80 bits: bits 48–63 of the address, then the lower 64. */
  readonly rest: bigint;
  /** 1 … 128 */
  readonly length: number;
  readonly part: PartId;
  readonly exception: boolean;
}

/** A /48 (or everything, for shorter prefixes) as runs: run i starts at starts[i] and has one class. */
export interface V6Runs<Start> {
  readonly starts: readonly Start[];
  readonly classes: readonly ClassId[];
}

const RECORD_LENGTH = 48;
const REST_BITS = 80;

/** Upper 48 bits of an address as a number, lower 80 as a bigint. */
export function splitAddress(high: bigint, low: bigint): { prefix: number; rest: bigint } {
  return { prefix: Number(high >> 16n), rest: ((high & 0xffffn) << 64n) | low };
}

/** All IPv6 prefixes of all sets, those of /48 and longer by their /48. */
export class V6Prefixes {
  readonly #records = new Map<number, V6Prefix[] | ByRest>();
  readonly #short: V6Prefix[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** The /48s that hold prefixes. */
  prefixes(): IterableIterator<number> {
    return this.#records.keys();
  }

  get recordCount(): number {
    return this.#records.size;
  }

  /** Adding what is there changes nothing. @returns whether something changed */
  add(added: V6Prefix): boolean {
    const { prefix, rest } = added;
    const record = this.#recordOf(added) ?? [];
    const beside = Array.isArray(record) ? record : (record.get(rest) ?? []);
    if (beside.some((entry) => samePrefix(entry, added))) return false;
    beside.push(added);
    this.#size++;
    if (!Array.isArray(record)) record.set(rest, beside);
    else if (record !== this.#short) {
      this.#records.set(prefix, record.length > FEW ? byRest(record) : record);
    }
    return true;
  }

  /** @returns whether it was there */
  remove(removed: V6Prefix): boolean {
    const { prefix, rest } = removed;
    const record = this.#recordOf(removed) ?? [];
    const beside = Array.isArray(record) ? record : (record.get(rest) ?? []);
    const at = beside.findIndex((entry) => samePrefix(entry, removed));
    if (at < 0) return false;
    beside.splice(at, 1);
    this.#size--;
    if (beside.length > 0 || record === this.#short) return true;
    if (Array.isArray(record)) this.#records.delete(prefix);
    else {
      record.delete(rest);
      if (record.size === 0) this.#records.delete(prefix);
    }
    return true;
  }

  /** Classes of everything outside the records: 48-bit starts, the first 0. */
  shortRuns(classes: ClassSteps): V6Runs<number> {
    return sweep(
      [...this.#short].sort(inSweepOrder),
      ({ prefix }) => prefix,
      ({ length }) => 2 ** (RECORD_LENGTH - length),
      0,
      (start, size) => start + size,
      L.CLASS_V6_DEFAULT,
      classes,
      2 ** RECORD_LENGTH,
    );
  }

  /**
   * Classes inside one /48: 80-bit starts, the first 0.
   *
   * @param background class of the /48 by shorter prefixes
   */
  recordRuns(prefix: number, background: ClassId, classes: ClassSteps): V6Runs<bigint> {
    return sweep(
      prefixesOf(this.#records.get(prefix)).sort(inSweepOrder),
      ({ rest }) => rest,
      ({ length }) => 1n << BigInt(128 - length),
      0n,
      (start, size) => start + size,
      background,
      classes,
      1n << BigInt(REST_BITS),
    );
  }

  #recordOf({ prefix, length }: V6Prefix): V6Prefix[] | ByRest | undefined {
    return length < RECORD_LENGTH ? this.#short : this.#records.get(prefix);
  }
}

/**
 * More prefixes than this in one /48 are kept by their lower bits: all pods of a cluster may be in one /48, each with a
 * prefix for every set that holds it.
 */
const FEW = 32;

type ByRest = Map<bigint, V6Prefix[]>;

function prefixesOf(record: V6Prefix[] | ByRest = []): V6Prefix[] {
  return Array.isArray(record) ? [...record] : [...record.values()].flat();
}

function byRest(prefixes: readonly V6Prefix[]): ByRest {
  const map: ByRest = new Map();
  for (const entry of prefixes) {
    const same = map.get(entry.rest);
    if (same === undefined) map.set(entry.rest, [entry]);
    else same.push(entry);
  }
  return map;
}

/** Class of the run that holds `at`. */
export function classAt(runs: V6Runs<number>, at: number): ClassId {
  let low = 0;
  let high = runs.starts.length;
  while (low + 1 < high) {
    const middle = (low + high) >> 1;
    if (runs.starts[middle]! <= at) low = middle;
    else high = middle;
  }
  return runs.classes[low]!;
}

function samePrefix(a: V6Prefix, b: V6Prefix): boolean {
  return (
    a.part === b.part &&
    a.length === b.length &&
    a.rest === b.rest &&
    a.prefix === b.prefix &&
    a.exception === b.exception
  );
}

function inSweepOrder(a: V6Prefix, b: V6Prefix): number {
  if (a.prefix !== b.prefix) return a.prefix - b.prefix;
  if (a.rest !== b.rest) return a.rest < b.rest ? -1 : 1;
  return a.length - b.length;
}

/** Number or bigint: the two widths of coordinate. */
function sweep<Coordinate extends number | bigint>(
  sorted: readonly V6Prefix[],
  startOf: (prefix: V6Prefix) => Coordinate,
  sizeOf: (prefix: V6Prefix) => Coordinate,
  zero: Coordinate,
  plus: (a: Coordinate, b: Coordinate) => Coordinate,
  background: ClassId,
  classes: ClassSteps,
  end: Coordinate,
): V6Runs<Coordinate> {
  const starts: Coordinate[] = [];
  const runClasses: ClassId[] = [];
  const open: { readonly end: Coordinate; readonly classId: ClassId }[] = [];
  let current = background;
  const append = (start: Coordinate, classId: ClassId) => {
    if (starts.at(-1) === start) {
      starts.pop();
      runClasses.pop();
    }
    if (runClasses.at(-1) === classId) return;
    starts.push(start);
    runClasses.push(classId);
  };
  const close = (upTo: Coordinate) => {
    for (let top = open.at(-1); top !== undefined && top.end <= upTo; top = open.at(-1)) {
      open.pop();
      current = open.at(-1)?.classId ?? background;
      if (top.end < end) append(top.end, current);
    }
  };
  append(zero, background);
  for (const prefix of sorted) {
    const start = startOf(prefix);
    close(start);
    current = prefix.exception
      ? classes.without(current, prefix.part)
      : classes.with(current, prefix.part);
    open.push({ end: plus(start, sizeOf(prefix)), classId: current });
    append(start, current);
  }
  close(end);
  return { starts, classes: runClasses };
}
