import { AddressLayout as L } from "../../datapath/generated/layout.js";
import type { ClassSteps } from "../compile/address-classes.js";
import type { PrefixKey } from "../compile/prefix-key.js";
import { V4Prefixes } from "../compile/v4-prefixes.js";
import {
  newRuns,
  regionBackgrounds,
  regionLines,
  sweepRegion,
  touchedPrefixes,
  writeRegion,
} from "../compile/v4-region.js";
import type { Bank } from "./bank.js";
import type { LineAllocator } from "./line-allocator.js";

const REGIONS = 65536;
const REGION_TOUCHED_WORDS = 8;

/** The IPv4 side of the address tables in the kernel: one half of the top table and the lines behind it. */
export class V4Table {
  readonly #prefixes: V4Prefixes;
  readonly #classes: ClassSteps;
  readonly #allocator: LineAllocator;
  readonly #lines: Uint32Array;
  readonly #touched: Uint32Array;
  readonly #top: Uint32Array;
  readonly #lineCounts = new Uint32Array(REGIONS);
  #backgrounds: Uint16Array;
  #staged: readonly number[] = [];
  readonly #runs = newRuns();
  readonly #regionTouched = new Uint32Array(REGION_TOUCHED_WORDS);

  /** @param keys all prefixes of all sets, in any order; consumed */
  constructor(
    datapath: Bank,
    half: 0 | 1,
    keys: Float64Array,
    classes: ClassSteps,
    allocator: LineAllocator,
  ) {
    this.#classes = classes;
    this.#allocator = allocator;
    this.#lines = datapath.addressLines.u32;
    this.#touched = datapath.v4Touched.u32;
    this.#top = datapath.v4Top.u32.subarray(half * REGIONS, (half + 1) * REGIONS);
    this.#prefixes = new V4Prefixes(keys);
    this.#backgrounds = regionBackgrounds(this.#prefixes.wide, classes);
  }

  get size(): number {
    return this.#prefixes.size;
  }

  /**
   * Writes every region of a half that no packet reads yet. /24s are marked as touched, none is unmarked: the other
   * half still relies on its marks.
   */
  async build(pause: () => Promise<void>): Promise<void> {
    for (let region = 0; region < REGIONS; region++) {
      if (region % 4096 === 0) await pause();
      this.#sweep(region);
      this.#markTouched(region, "add");
      this.#top[region] = this.#write(region);
    }
  }

  /** Unmarks what only the half before this one had touched. After the flip and a grace period. */
  async unmarkOthers(pause: () => Promise<void>): Promise<void> {
    for (let region = 0; region < REGIONS; region++) {
      if (region % 8192 === 0) await pause();
      if (this.#prefixes.region(region).length === 0) {
        const mark = this.#backgrounds[region] === L.CLASS_V4_DEFAULT ? 0 : 0xffffffff;
        const at = region * REGION_TOUCHED_WORDS;
        this.#touched.fill(mark, at, at + REGION_TOUCHED_WORDS);
        continue;
      }
      this.#sweep(region);
      this.#markTouched(region, "set");
    }
  }

  /**
   * Takes a change of prefixes in, in memory only: {@link show} writes it.
   *
   * @returns lines that showing it takes
   * @throws CapacityError when there are too many classes
   */
  stage(add: readonly PrefixKey[], remove: readonly PrefixKey[]): number {
    this.#staged = [];
    if (add.length === 0 && remove.length === 0) return 0;
    const wide = this.#prefixes.wide;
    this.#staged = this.#prefixes.change(add, remove);
    if (this.#prefixes.wide !== wide) {
      this.#backgrounds = regionBackgrounds(this.#prefixes.wide, this.#classes);
    }
    let lines = 0;
    for (const region of this.#staged) {
      this.#sweep(region);
      lines += regionLines(this.#runs);
    }
    return lines;
  }

  /** Shows the staged change to packets, each region by one store. */
  show(): void {
    for (const region of this.#staged) {
      this.#sweep(region);
      const before = this.#top[region]!;
      const lineCount = this.#lineCounts[region]!;
      this.#markTouched(region, "add");
      Atomics.store(this.#top, region, this.#write(region));
      if (before & L.WORD_IS_LINE) this.#allocator.retire(before & L.WORD_LINE_MASK, lineCount);
      this.#markTouched(region, "set");
    }
    this.#staged = [];
  }

  #sweep(region: number): void {
    const keys = this.#prefixes.region(region);
    sweepRegion(keys, this.#backgrounds[region]!, this.#classes, this.#runs);
  }

  /** Writes the swept region to fresh lines and returns its top word. */
  #write(region: number): number {
    const count = regionLines(this.#runs);
    this.#lineCounts[region] = count;
    const line = count === 0 ? 0 : this.#allocator.allocate(count);
    return writeRegion(this.#runs, this.#lines, line);
  }

  /** A mark too many costs a look; one too few hides a prefix. So marks come before words and go after them. */
  #markTouched(region: number, how: "add" | "set"): void {
    touchedPrefixes(this.#runs, L.CLASS_V4_DEFAULT, this.#regionTouched);
    const at = region * REGION_TOUCHED_WORDS;
    for (let word = 0; word < REGION_TOUCHED_WORDS; word++) {
      const marks = this.#regionTouched[word]!;
      if (how === "set") this.#touched[at + word] = marks;
      else if (marks !== 0) this.#touched[at + word]! |= marks;
    }
  }
}
