import { MAX_PARTS, type PartId } from "./address-classes.js";

/**
 * One IPv4 prefix of one part of a set as a number, so that a million of them sort as a Float64Array:
 *
 *     address (32 bits) | length (6) | operation (1: exception) | part (13)
 *
 * 52 bits; numeric order is the order of a sweep: by first address, wider prefixes first.
 */
export type PrefixKey = number;

const LENGTH_UNIT = 2 * MAX_PARTS;
const ADDRESS_UNIT = LENGTH_UNIT * 64;
/** A key divided by this is the /16 region that it starts in. */
export const REGION_UNIT = ADDRESS_UNIT * 65536;

export function prefixKey(
  address: number,
  length: number,
  part: PartId,
  exception: boolean,
): PrefixKey {
  return address * ADDRESS_UNIT + length * LENGTH_UNIT + (exception ? MAX_PARTS : 0) + part;
}

export function keyAddress(key: PrefixKey): number {
  return Math.floor(key / ADDRESS_UNIT);
}

/** Length, operation and part as one small integer. */
export function keyRest(key: PrefixKey): number {
  return key % ADDRESS_UNIT;
}

export function restLength(rest: number): number {
  return (rest / LENGTH_UNIT) | 0;
}

export function restPart(rest: number): PartId {
  return rest % MAX_PARTS;
}

export function restIsException(rest: number): boolean {
  return (rest & MAX_PARTS) !== 0;
}

/** Keys of all prefixes that start in the /16 `region` lie in [regionStart, regionEnd). */
export function regionStart(region: number): PrefixKey {
  return region * REGION_UNIT;
}
