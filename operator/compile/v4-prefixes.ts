import { sortKeys } from "./sort-keys.js";
import { keyAddress, keyRest, type PrefixKey, regionStart, restLength } from "./prefix-key.js";

const REGIONS = 65536;
const REGION_LENGTH = 16;
/** Changed regions that are kept beside the sorted base before all is sorted anew. */
const OVERLAY_LIMIT = 16384;

/**
 * All IPv4 prefixes of all sets by /16 region: a sorted base of one number each, and a small overlay of regions
 * that changed since. An edit costs what its region holds, not what the table holds.
 */
export class V4Prefixes {
  #base: Float64Array;
  /** Index in the base of each region's first key, and the end. */
  #starts: Uint32Array;
  readonly #overlay = new Map<number, Float64Array>();
  /** Prefixes shorter than /16, sorted. */
  #wide: Float64Array;

  /** @param keys in any order; sorted in place; duplicates are dropped */
  constructor(keys: Float64Array) {
    const sorted = dropDuplicates(sortKeys(keys));
    const isWide = (key: PrefixKey) => restLength(keyRest(key)) < REGION_LENGTH;
    this.#wide = sorted.filter(isWide);
    this.#base = this.#wide.length === 0 ? sorted : sorted.filter((key) => !isWide(key));
    this.#starts = regionStarts(this.#base);
  }

  get size(): number {
    let size = this.#base.length + this.#wide.length;
    for (const [region, keys] of this.#overlay) {
      size += keys.length - (this.#starts[region + 1]! - this.#starts[region]!);
    }
    return size;
  }

  /** Prefixes of /16 and longer that start in the region, sorted; do not change them. */
  region(region: number): Float64Array {
    return (
      this.#overlay.get(region) ??
      this.#base.subarray(this.#starts[region], this.#starts[region + 1])
    );
  }

  /** Prefixes shorter than /16, sorted. */
  get wide(): Float64Array {
    return this.#wide;
  }

  /**
   * Adds and removes prefixes; adding what is there and removing what is not changes nothing.
   *
   * @returns regions whose content changed, ascending
   */
  change(add: readonly PrefixKey[], remove: readonly PrefixKey[]): readonly number[] {
    const byRegion = new Map<number, { add: PrefixKey[]; remove: Set<PrefixKey> }>();
    const wideAdd: PrefixKey[] = [];
    const wideRemove = new Set<PrefixKey>();
    const touched = new Set<number>();
    const editOf = (region: number) => {
      let edit = byRegion.get(region);
      if (edit === undefined) byRegion.set(region, (edit = { add: [], remove: new Set() }));
      return edit;
    };
    const spread = (key: PrefixKey) => {
      const first = keyAddress(key) >>> 16;
      const count = 1 << (REGION_LENGTH - restLength(keyRest(key)));
      for (let region = first; region < first + count; region++) touched.add(region);
    };
    for (const key of add) {
      if (restLength(keyRest(key)) >= REGION_LENGTH) editOf(keyAddress(key) >>> 16).add.push(key);
      else {
        wideAdd.push(key);
        spread(key);
      }
    }
    for (const key of remove) {
      if (restLength(keyRest(key)) >= REGION_LENGTH) editOf(keyAddress(key) >>> 16).remove.add(key);
      else {
        wideRemove.add(key);
        spread(key);
      }
    }
    for (const [region, edit] of byRegion) {
      this.#overlay.set(region, edited(this.region(region), edit.add, edit.remove));
      touched.add(region);
    }
    this.#wide = edited(this.#wide, wideAdd, wideRemove);
    if (this.#overlay.size > OVERLAY_LIMIT) this.#compact();
    return [...touched].sort((a, b) => a - b);
  }

  #compact(): void {
    const parts: Float64Array[] = [];
    let size = 0;
    for (let region = 0; region < REGIONS; region++) {
      const keys = this.region(region);
      if (keys.length === 0) continue;
      parts.push(keys);
      size += keys.length;
    }
    const base = new Float64Array(size);
    let at = 0;
    for (const keys of parts) {
      base.set(keys, at);
      at += keys.length;
    }
    this.#base = base;
    this.#starts = regionStarts(base);
    this.#overlay.clear();
  }
}

function regionStarts(sorted: Float64Array): Uint32Array {
  const starts = new Uint32Array(REGIONS + 1);
  let at = 0;
  for (let region = 0; region <= REGIONS; region++) {
    const limit = regionStart(region);
    while (at < sorted.length && sorted[at]! < limit) at++;
    starts[region] = at;
  }
  return starts;
}

function edited(
  keys: Float64Array,
  add: readonly PrefixKey[],
  remove: ReadonlySet<PrefixKey>,
): Float64Array {
  const kept = remove.size === 0 ? keys : keys.filter((key) => !remove.has(key));
  if (add.length === 0) return kept;
  const joined = new Float64Array(kept.length + add.length);
  joined.set(kept);
  joined.set(add, kept.length);
  return dropDuplicates(joined.sort());
}

function dropDuplicates(sorted: Float64Array): Float64Array {
  let kept = 0;
  for (let i = 0; i < sorted.length; i++) {
    if (i === 0 || sorted[i] !== sorted[kept - 1]) sorted[kept++] = sorted[i]!;
  }
  return kept === sorted.length ? sorted : sorted.slice(0, kept);
}
