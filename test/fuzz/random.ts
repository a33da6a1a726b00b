/** Seeded random numbers: the same seed gives the same cases on every machine. */

export interface Random {
  /** 0 … 2^32 − 1. */
  uint32(): number;
  /** Both ends included. */
  between(low: number, high: number): number;
  /** True with this probability, 0 … 1. */
  chance(probability: number): boolean;
  /** One entry, each as likely as the others; throws on an empty list. */
  pick<T>(list: readonly T[]): T;
  /** One value; `[3, a], [1, b]` gives `a` three times as often as `b`. */
  weighted<T>(...choices: readonly (readonly [weight: number, value: T])[]): T;
  /** `low` … `high` values of a generator. */
  list<T>(low: number, high: number, make: (index: number) => T): T[];
  /** A number of this many bits. */
  bits(count: number): bigint;
  bytes(count: number): Uint8Array;
}

/** xoshiro128**, seeded by splitmix32 over all parts of the seed. */
export function createRandom(...seed: readonly number[]): Random {
  let [a, b, c, d] = seedWords(seed);

  const uint32 = () => {
    const result = Math.imul(rotateLeft(Math.imul(b, 5), 7), 9) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = rotateLeft(d, 11);
    return result;
  };
  const between = (low: number, high: number) =>
    low + Math.floor((uint32() / 2 ** 32) * (high - low + 1));

  return {
    uint32,
    between,
    chance: (probability) => uint32() / 2 ** 32 < probability,
    pick: (list) => {
      if (list.length === 0) {
        throw new Error("cannot pick from an empty list");
      }
      return list[between(0, list.length - 1)] as (typeof list)[number];
    },
    weighted: (...choices) => {
      let at = between(0, choices.reduce((sum, [weight]) => sum + weight, 0) - 1);
      for (const [weight, value] of choices) {
        if (at < weight) {
          return value;
        }
        at -= weight;
      }
      throw new Error("weights must be whole numbers and not all 0");
    },
    list: (low, high, make) =>
      Array.from({ length: between(low, high) }, (_, index) => make(index)),
    bits: (count) => {
      let value = 0n;
      for (let have = 0; have < count; have += 32) {
        value = (value << 32n) | BigInt(uint32());
      }
      return BigInt.asUintN(count, value);
    },
    bytes: (count) => Uint8Array.from({ length: count }, () => uint32() >>> 24),
  };
}

function seedWords(seed: readonly number[]): [number, number, number, number] {
  let state = 0;
  const mix = () => {
    state = (state + 0x9e3779b9) | 0;
    let z = state ^ (state >>> 16);
    z = Math.imul(z, 0x21f0aaad);
    z ^= z >>> 15;
    z = Math.imul(z, 0x735a2d97);
    return z ^ (z >>> 15);
  };
  for (const part of seed) {
    state ^= part | 0;
    state = mix();
    state ^= Math.floor(part / 2 ** 32);
    state = mix();
  }
  return [mix(), mix(), mix(), mix()];
}

function rotateLeft(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}
