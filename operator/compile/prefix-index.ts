import type { Cidr } from "../model/records.js";

/** A range of addresses that somebody owns. */
export interface OwnedPrefix<Owner> {
  readonly cidr: Cidr;
  readonly owner: Owner;
}

/** By the bits of the prefix: a number for IPv4, for IPv6 all that are needed of 64 or of 128. */
type ByBits<Owner> = Map<number | bigint, OwnedPrefix<Owner>>;

/** Ranges of one length. */
interface Level<Owner> {
  readonly length: number;
  readonly exact: ByBits<Owner>;
  /** What covers longer ranges that were added. */
  readonly above: ByBits<Owner>;
}

/**
 * Finds which of many ranges one overlaps, in a time that depends on how many prefix lengths there are and not on how
 * many ranges.
 */
export class PrefixIndex<Owner> {
  /** Shorter prefixes first, by family. */
  readonly #levels: Readonly<Record<4 | 6, readonly Level<Owner>[]>>;

  /** @param all whatever will be added or asked for */
  constructor(all: Iterable<Cidr>) {
    const lengths = { 4: new Set<number>(), 6: new Set<number>() };
    for (const { family, length } of all) lengths[family].add(length);
    const levels = (set: ReadonlySet<number>) =>
      [...set]
        .sort((left, right) => left - right)
        .map((length): Level<Owner> => ({ length, exact: new Map(), above: new Map() }));
    this.#levels = { 4: levels(lengths[4]), 6: levels(lengths[6]) };
  }

  /** Of two that are added for one range the last counts. */
  add(cidr: Cidr, owner: Owner): void {
    const entry = { cidr, owner };
    for (const { length, exact, above } of this.#levels[cidr.family]) {
      if (length > cidr.length) break;
      (length === cidr.length ? exact : above).set(bitsOf(cidr, length), entry);
    }
  }

  /** One of those added that has an address in common with the range. */
  overlapping(cidr: Cidr): OwnedPrefix<Owner> | undefined {
    for (const { length, exact, above } of this.#levels[cidr.family]) {
      if (length > cidr.length) break;
      const found = exact.size === 0 ? undefined : exact.get(bitsOf(cidr, length));
      if (found !== undefined) return found;
      if (length === cidr.length && above.size > 0) return above.get(bitsOf(cidr, length));
    }
    return undefined;
  }
}

function bitsOf(cidr: Cidr, length: number): number | bigint {
  if (cidr.family === 4) return length === 0 ? 0 : cidr.address >>> (32 - length);
  if (length <= 64) return cidr.high >> BigInt(64 - length);
  return ((cidr.high << 64n) | cidr.low) >> BigInt(128 - length);
}
