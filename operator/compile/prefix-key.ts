import { MAX_SET_IDS, type SetId } from "./address-classes.js";

/**
 * One IPv4 prefix of one set as a number, so that a million of them sort as a Float64Array:
 *
 *     address (32 bits) | length (6) | operation (1: exception) | set (13)
 *
 * 52 bits; numeric order is the order of a sweep: by first address, wider prefixes first.
 */
export type PrefixKey = number;

const LENGTH_UNIT = 2 * MAX_SET_IDS;
const ADDRESS_UNIT = LENGTH_UNIT * 64;

export function prefixKey(
  address: number,
  length: number,
  set: SetId,
  exception: boolean,
): PrefixKey {
  return address * ADDRESS_UNIT + length * LENGTH_UNIT + (exception ? MAX_SET_IDS : 0) + set;
}

export function keyAddress(key: PrefixKey): number {
  return Math.floor(key / ADDRESS_UNIT);
}

/** Length, operation and set as one small integer. */
export function keyRest(key: PrefixKey): number {
  return key % ADDRESS_UNIT;
}

export function restLength(rest: number): number {
  return (rest / LENGTH_UNIT) | 0;
}

export function restSet(rest: number): SetId {
  return rest % MAX_SET_IDS;
}

export function restIsException(rest: number): boolean {
  return (rest & MAX_SET_IDS) !== 0;
}

/** Keys of all prefixes that start in the /16 `region` lie in [regionStart, regionEnd). */
export function regionStart(region: number): PrefixKey {
  return region * 65536 * ADDRESS_UNIT;
}
