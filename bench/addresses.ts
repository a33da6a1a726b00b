/** Addresses to fill sets with, and sources to send from: random, and the same in every run. */

/** Uniform 32-bit numbers. */
export type Random = () => number;

/** The generator of Marsaglia's "Xorshift RNGs" (2003) with period 2^32 − 1, mixed once more at the end. */
export function seededRandom(seed: number): Random {
  let state = Math.imul(2 * seed + 1, 0x9e3779b1);
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    const mixed = Math.imul(state ^ (state >>> 16), 0x45d9f3b);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  };
}

/** 0/8, 127/8 and 224/3 send nothing. */
function isUnicast(address: number): boolean {
  const first = address >>> 24;
  return first !== 0 && first !== 127 && first < 224;
}

/** Distinct unicast IPv4 addresses in host order, in random order. */
export function randomV4(count: number, random: Random): Uint32Array {
  const seen = new Set<number>();
  while (seen.size < count) {
    const address = random();
    if (isUnicast(address)) seen.add(address);
  }
  return Uint32Array.from(seen);
}

/** What a source has to do with the entries of a set. */
export type V4Kinship =
  /** An entry. */
  | "entry"
  /** Anything else. */
  | "stranger"
  /** No entry, but in the /24 of one: the longest way through the tables. */
  | "neighbour"
  /** In a /24 without entries: legitimate traffic while a botnet is blocked. */
  | "legitimate";

/** IPv4 sources in network order, as a program reads them, drawn at random. */
export function v4Sources(
  entries: Uint32Array,
  kinship: V4Kinship,
  count: number,
  random: Random,
): Uint32Array {
  const sources = new Uint32Array(count);
  const set = new Set(entries);
  const prefixes = new Set(entries.map((entry) => entry >>> 8));
  for (let filled = 0; filled < count; ) {
    const entry = entries[random() % Math.max(1, entries.length)] ?? 0;
    const address =
      kinship === "entry" ? entry : kinship === "neighbour" ? beside(entry) : random();
    if (kinship !== "entry") {
      if (!isUnicast(address) || set.has(address)) continue;
      if (kinship === "legitimate" && prefixes.has(address >>> 8)) continue;
    }
    sources[filled++] = swapBytes(address);
  }
  return sources;

  function beside(entry: number): number {
    return ((entry & 0xffffff00) | (random() & 255)) >>> 0;
  }
}

function swapBytes(word: number): number {
  return ((word >>> 24) | ((word >>> 8) & 0xff00) | ((word << 8) & 0xff0000) | (word << 24)) >>> 0;
}

/** IPv6 addresses as columns of their halves in host order. */
export interface V6Addresses {
  readonly high: BigUint64Array;
  readonly low: BigUint64Array;
}

/** Addresses in 2000::/3; random 61 bits do not meet twice. */
export function randomV6(count: number, random: Random): V6Addresses {
  const word = () => BigInt(random());
  const high = new BigUint64Array(count).map(
    () => (1n << 61n) | (((word() << 32n) | word()) >> 3n),
  );
  const low = new BigUint64Array(count).map(() => (word() << 32n) | word());
  return { high, low };
}

/** IPv6 sources as bytes, 16 each, drawn at random from the entries. */
export function v6Sources({ high, low }: V6Addresses, count: number, random: Random): Buffer {
  const bytes = Buffer.alloc(count * 16);
  for (let i = 0; i < count; i++) {
    const entry = random() % high.length;
    bytes.writeBigUInt64BE(high[entry]!, i * 16);
    bytes.writeBigUInt64BE(low[entry]!, i * 16 + 8);
  }
  return bytes;
}
