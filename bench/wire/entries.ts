import { randomV4, seededRandom } from "../addresses.js";

/** What a set of one holds, and all sources of a flood against it. */
export function oneEntry(): Uint32Array {
  return randomV4(1, seededRandom(21));
}

/** A million random addresses, the same in the generator and in the sets. */
export function manyEntries(): Uint32Array {
  return randomV4(1_000_000, seededRandom(22));
}
