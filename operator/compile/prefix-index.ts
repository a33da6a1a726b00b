import type { Cidr } from "../model/records.js";

/** A range of addresses that somebody owns. */
export interface OwnedPrefix<Owner> {
  readonly cidr: Cidr;
  readonly owner: Owner;
}

/**
 * Finds which of many ranges one overlaps, in a time that depends on how many prefix lengths there are and not on how
 * many ranges.
 */
export class PrefixIndex<Owner> {
  /** Ascending, by family. */
  readonly #lengths: Readonly<Record<4 | 6, readonly number[]>>;
  /** Ranges themselves, and what is above each of them, by family and length. */
  readonly #exact = new Map<string, OwnedPrefix<Owner>>();
  readonly #above = new Map<string, OwnedPrefix<Owner>>();

  /** @param all whatever will be added or asked for */
  constructor(all: Iterable<Cidr>) {
    const lengths = { 4: new Set<number>(), 6: new Set<number>() };
    for (const { family, length } of all) lengths[family].add(length);
    const ascending = (set: ReadonlySet<number>) => [...set].sort((left, right) => left - right);
    this.#lengths = { 4: ascending(lengths[4]), 6: ascending(lengths[6]) };
  }

  /** Of two that are added for one range the last counts. */
  add(cidr: Cidr, owner: Owner): void {
    const entry = { cidr, owner };
    for (const length of this.#lengths[cidr.family]) {
      if (length > cidr.length) break;
      const index = length === cidr.length ? this.#exact : this.#above;
      index.set(keyOf(cidr, length), entry);
    }
  }

  /** One of those added that has an address in common with the range. */
  overlapping(cidr: Cidr): OwnedPrefix<Owner> | undefined {
    for (const length of this.#lengths[cidr.family]) {
      if (length > cidr.length) break;
      const found = this.#exact.get(keyOf(cidr, length));
      if (found !== undefined) return found;
    }
    return this.#above.get(keyOf(cidr, cidr.length));
  }
}

function keyOf(cidr: Cidr, length: number): string {
  if (cidr.family === 4) {
    return `${length} ${length === 0 ? 0 : cidr.address >>> (32 - length)}`;
  }
  const value = ((cidr.high << 64n) | cidr.low) >> BigInt(128 - length);
  return `v6 ${length} ${value.toString(36)}`;
}
