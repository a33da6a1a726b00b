import type { AddressWords } from "./service-address.js";

/** What a Maglev table spreads packets over. */
export interface MaglevBackend {
  readonly address: AddressWords;
  readonly port: number;
  /** Its share beside the others; 0: none, missing: 1. */
  readonly weight?: number;
}

/** Slots for each backend, at least. */
const SLOTS = 100;
/** While there are few backends they have this many: then 1 % of the others moves when one of 100 leaves, not 1.6 %. */
const SLOTS_OF_FEW = 300;
const SIZE_OF_FEW = 60_000;
/** Primes, each about √2 of the one before: a table rarely gets another size, which moves everything. */
const SIZES: readonly number[] = [
  101, 151, 211, 307, 431, 601, 853, 1201, 1699, 2411, 3407, 4801, 6791, 9601, 13_577, 19_207,
  27_179, 38_431, 54_311, 76_801, 108_631, 153_607, 217_229, 307_201, 434_459, 614_413, 868_909,
  1_228_837, 1_737_793, 2_457_607, 3_475_579, 4_915_217, 6_951_143, 9_830_413, 13_902_289,
  19_660_807,
];
const OFFSET_SEED = 0x9747b28c;
const SKIP_SEED = 0x85ebca6b;

/** The prime of the ladder that a table of so many backends has; undefined: too many for any. */
export function maglevSize(count: number): number | undefined {
  if (count === 1) return SIZES[0];
  const wanted = Math.max(count * SLOTS, Math.min(count * SLOTS_OF_FEW, SIZE_OF_FEW));
  return SIZES.find((size) => size >= wanted);
}

/**
 * Maglev's table (Eisenbud et al., NSDI 2016): for each slot the index of a backend. It is the same on every node for the
 * same backends, and keeps nearly all slots of the others when one leaves.
 *
 * @param backends in order of address and port
 * @returns empty without backends
 */
export function maglevTable(backends: readonly MaglevBackend[]): Uint32Array {
  const size = maglevSize(backends.length);
  const heaviest = backends.reduce((most, { weight = 1 }) => Math.max(most, weight), 0);
  if (size === undefined || heaviest <= 0) return new Uint32Array(0);
  const count = backends.length;
  const positions = new Uint32Array(count);
  const skips = new Uint32Array(count);
  const shares = new Float64Array(count);
  for (const [index, { address, port, weight = 1 }] of backends.entries()) {
    positions[index] = hash(address, port, OFFSET_SEED) % size;
    skips[index] = (hash(address, port, SKIP_SEED) % (size - 1)) + 1;
    shares[index] = Math.max(0, weight) / heaviest;
  }
  return fill(size, positions, skips, shares);
}

/** Backends take their next free slot in turns; one of half the weight every other turn. */
function fill(
  size: number,
  positions: Uint32Array,
  skips: Uint32Array,
  shares: Float64Array,
): Uint32Array {
  const FREE = 0xffff_ffff;
  const table = new Uint32Array(size).fill(FREE);
  const credits = new Float64Array(shares.length);
  let filled = 0;
  for (;;) {
    for (let index = 0; index < shares.length; index++) {
      const credit = credits[index]! + shares[index]!;
      if (credit < 1) {
        credits[index] = credit;
        continue;
      }
      credits[index] = credit - 1;
      const skip = skips[index]!;
      let at = positions[index]!;
      while (table[at] !== FREE) {
        at += skip;
        if (at >= size) at -= size;
      }
      table[at] = index;
      at += skip;
      positions[index] = at >= size ? at - size : at;
      if (++filled === size) return table;
    }
  }
}

/** MurmurHash3 of the words of the address and the port. */
function hash(address: AddressWords, port: number, seed: number): number {
  let state = seed;
  for (const word of address) state = mix(state, word);
  state = mix(state, port) ^ (address.length * 4 + 4);
  state = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
  state = Math.imul(state ^ (state >>> 13), 0xc2b2ae35);
  return (state ^ (state >>> 16)) >>> 0;
}

function mix(state: number, word: number): number {
  const scrambled = Math.imul(rotate(Math.imul(word, 0xcc9e2d51), 15), 0x1b873593);
  return (Math.imul(rotate(state ^ scrambled, 13), 5) + 0xe6546b64) | 0;
}

function rotate(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}
