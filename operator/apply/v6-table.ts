import { AddressLayout as L, type Generation } from "../../datapath/generated/layout.js";
import type { ClassSteps } from "../compile/address-classes.js";
import { CapacityError } from "../compile/capacity-error.js";
import {
  type BucketTable,
  bucketKeyAt,
  bucketPlace,
  hashV6Prefix,
  MAX_NODE_RUNS,
  MAX_SHORT_RUNS,
  nodeLines,
  shortLines,
  writeBucketKey,
  writeNode,
  writeShortRuns,
} from "../compile/v6-image.js";
import { classAt, V6Prefixes, type V6Prefix, type V6Runs } from "../compile/v6-prefixes.js";
import type { Bank } from "./bank.js";
import type { LineAllocator } from "./line-allocator.js";

/** Where the generation finds the IPv6 tables. */
export type V6Pointers = Pick<
  Generation,
  "v6Buckets" | "v6BucketMask" | "v6Short" | "v6ShortCount"
>;

const LINE_WORDS = 16;
const MIN_BUCKETS = 16;
const RECORDS_PER_BUCKET = 2;
const SHORTEST_RECORD = 48;

/** The IPv6 side of the address tables in the kernel. */
export class V6Table {
  readonly #prefixes = new V6Prefixes();
  readonly #classes: ClassSteps;
  readonly #allocator: LineAllocator;
  readonly #lines: Uint32Array;
  readonly #touched: Uint32Array;
  #table: BucketTable;
  /** The /48s of the staged change; undefined when it cannot be shown in place. */
  #staged: ReadonlySet<number> | undefined;
  #short: { readonly line: number; readonly lines: number; readonly runs: V6Runs<number> };

  /** Nothing is written before {@link build}. */
  constructor(
    datapath: Bank,
    prefixes: Iterable<V6Prefix>,
    classes: ClassSteps,
    allocator: LineAllocator,
  ) {
    this.#classes = classes;
    this.#allocator = allocator;
    this.#lines = datapath.addressLines.u32;
    this.#touched = datapath.v6Touched.u32;
    this.#table = { lines: this.#lines, line: 0, buckets: 0 };
    this.#short = { line: 0, lines: 0, runs: { starts: [0], classes: [L.CLASS_V6_DEFAULT] } };
    for (const prefix of prefixes) this.#prefixes.add(prefix);
  }

  get size(): number {
    return this.#prefixes.size;
  }

  pointers(): V6Pointers {
    return {
      v6Buckets: this.#table.line,
      v6BucketMask: Math.max(0, this.#table.buckets - 1),
      v6Short: this.#short.line,
      v6ShortCount: this.#short.lines === 0 ? 0 : this.#short.runs.starts.length,
    };
  }

  /** Writes everything to fresh lines; packets see it when a generation with the new pointers is in force. */
  async build(pause: () => Promise<void>): Promise<void> {
    const { runs, lines } = this.#shortRuns();
    this.#short = { line: lines === 0 ? 0 : this.#allocator.allocate(lines), lines, runs };
    if (lines > 0) writeShortRuns(runs, this.#lines, this.#short.line);
    let buckets = this.#fewestBuckets();
    while (!(await this.#buildBuckets(buckets, pause))) buckets *= 2;
  }

  /**
   * Takes a change of prefixes in, in memory only: {@link show} writes it.
   *
   * @returns lines that showing it takes, or building anew where it cannot be shown
   * @throws CapacityError
   */
  stage(add: readonly V6Prefix[], remove: readonly V6Prefix[]): number {
    const records = new Set<number>();
    let inPlace = true;
    const note = ({ length, prefix }: V6Prefix) => {
      if (length < SHORTEST_RECORD) inPlace = false;
      else records.add(prefix);
    };
    for (const prefix of add) if (this.#prefixes.add(prefix)) note(prefix);
    for (const prefix of remove) if (this.#prefixes.remove(prefix)) note(prefix);
    if (this.#table.buckets === 0 && records.size > 0) inPlace = false;
    this.#staged = inPlace ? records : undefined;
    if (inPlace) return this.#linesOf(records, this.#short.runs);
    const { runs, lines } = this.#shortRuns();
    const buckets = this.#prefixes.recordCount === 0 ? 0 : this.#fewestBuckets();
    return lines + buckets + this.#linesOf(this.#prefixes.prefixes(), runs);
  }

  /**
   * Shows the staged change to packets, each /48 by one store.
   *
   * @returns false when the tables must be built anew and a new generation point to them
   */
  show(): boolean {
    const records = this.#staged;
    this.#staged = undefined;
    if (records === undefined) return false;
    for (const prefix of records) if (!this.#changeRecord(prefix)) return false;
    return true;
  }

  /** Gives the lines of the buckets and intervals back, which no generation points to any more. */
  retireTables(pointers: V6Pointers): void {
    if (pointers.v6BucketMask > 0) {
      const buckets = pointers.v6BucketMask + 1;
      for (let bucket = 0; bucket < buckets; bucket++) {
        const words = (pointers.v6Buckets + bucket) * LINE_WORDS + L.BUCKET_WORDS;
        for (let slot = 0; slot < L.BUCKET_SLOTS; slot++)
          this.#retireNode(this.#lines[words + slot]!);
      }
      this.#allocator.retire(pointers.v6Buckets, buckets);
    }
    this.#allocator.retire(pointers.v6Short, Math.ceil(pointers.v6ShortCount / L.SHORT_PER_LINE));
  }

  /** Unmarks /48s that no record touches. After the flip and a grace period. */
  unmarkOthers(): void {
    /* Word by word from one to the other: clearing first would hide prefixes for a moment. */
    const marks = new Uint32Array(this.#touched.length);
    for (const prefix of this.#prefixes.prefixes()) mark(marks, prefix);
    this.#touched.set(marks);
  }

  /** Classes of what no record holds, and the lines that they take. */
  #shortRuns(): { readonly runs: V6Runs<number>; readonly lines: number } {
    const runs = this.#prefixes.shortRuns(this.#classes);
    if (runs.starts.length > MAX_SHORT_RUNS) {
      throw new CapacityError(
        "IPv6 prefixes shorter than /48",
        MAX_SHORT_RUNS,
        `${runs.starts.length} intervals are needed`,
      );
    }
    const isDefault = runs.starts.length === 1 && runs.classes[0] === L.CLASS_V6_DEFAULT;
    return { runs, lines: isDefault ? 0 : shortLines(runs) };
  }

  #fewestBuckets(): number {
    let buckets = MIN_BUCKETS;
    while (buckets * RECORDS_PER_BUCKET < this.#prefixes.recordCount) buckets *= 2;
    return buckets;
  }

  /** Lines of the nodes of some /48s. @throws CapacityError */
  #linesOf(records: Iterable<number>, short: V6Runs<number>): number {
    let lines = 0;
    for (const prefix of records) lines += linesOfRecord(prefix, this.#runsOf(prefix, short));
    return lines;
  }

  async #buildBuckets(buckets: number, pause: () => Promise<void>): Promise<boolean> {
    if (this.#prefixes.recordCount === 0) {
      this.#table = { lines: this.#lines, line: 0, buckets: 0 };
      return true;
    }
    const line = this.#allocator.allocate(buckets);
    const table = { lines: this.#lines, line, buckets };
    this.#lines.fill(0, line * LINE_WORDS, (line + buckets) * LINE_WORDS);
    const placed: (readonly [prefix: number, place: number])[] = [];
    for (const prefix of this.#prefixes.prefixes()) {
      const place = bucketPlace(table, prefix, "place");
      if (place < 0) {
        this.#allocator.retire(line, buckets);
        return false;
      }
      writeBucketKey(this.#lines, bucketKeyAt(place), prefix);
      placed.push([prefix, place]);
    }
    for (const [index, [prefix, place]] of placed.entries()) {
      if (index % 4096 === 0) await pause();
      mark(this.#touched, prefix);
      this.#lines[place] = this.#writeRecord(prefix, this.#runsOf(prefix));
    }
    this.#table = table;
    return true;
  }

  /** A record whose last prefix went keeps its place with the class around it, until the next build. */
  #changeRecord(prefix: number): boolean {
    const runs = this.#runsOf(prefix);
    const found = bucketPlace(this.#table, prefix, "find");
    const place = found < 0 ? bucketPlace(this.#table, prefix, "place") : found;
    if (place < 0) return false;
    const before = this.#lines[place]!;
    const word = this.#writeRecord(prefix, runs);
    mark(this.#touched, prefix);
    Atomics.store(this.#lines, place, word);
    if (found < 0) writeBucketKey(this.#lines, bucketKeyAt(place), prefix);
    else this.#retireNode(before);
    return true;
  }

  #retireNode(word: number): void {
    if ((word & L.WORD_IS_LINE) === 0) return;
    const node = word & L.WORD_LINE_MASK;
    const count = this.#lines[node * LINE_WORDS]!;
    this.#allocator.retire(node, 1 + Math.ceil(count / L.NODE_ENTRIES_PER_LINE));
  }

  #runsOf(prefix: number, short = this.#short.runs): V6Runs<bigint> {
    const background = classAt(short, prefix);
    return this.#prefixes.recordRuns(prefix, background, this.#classes);
  }

  #writeRecord(prefix: number, runs: V6Runs<bigint>): number {
    const lines = linesOfRecord(prefix, runs);
    return writeNode(runs, this.#lines, lines === 0 ? 0 : this.#allocator.allocate(lines));
  }
}

/** @throws CapacityError */
function linesOfRecord(prefix: number, runs: V6Runs<bigint>): number {
  if (runs.starts.length <= MAX_NODE_RUNS) return nodeLines(runs);
  throw new CapacityError(
    "IPv6 prefixes inside one /48",
    MAX_NODE_RUNS,
    `the /48 number ${prefix.toString(16)} needs ${runs.starts.length} runs`,
  );
}

function mark(marks: Uint32Array, prefix: number): void {
  const bit = hashV6Prefix(prefix) >>> 8;
  marks[bit >>> 5]! |= 1 << (bit & 31);
}
