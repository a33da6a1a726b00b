import { longestZeroRun } from "./cidr-scan.js";
import type { Cidr } from "./records.js";

/** Canonical text: `192.0.2.0/24`, `2001:db8::/32`; a single address keeps its `/32` or `/128`. */
export function formatCidr(cidr: Cidr): string {
  return `${formatAddress(cidr)}/${cidr.length}`;
}

/** The address part alone. */
export function formatAddress(cidr: Cidr): string {
  return cidr.family === 4 ? formatV4(cidr.address) : formatV6(cidr.high, cidr.low);
}

/** Dotted decimal of an address in host order. */
export function formatV4(address: number): string {
  return `${address >>> 24}.${(address >>> 16) & 255}.${(address >>> 8) & 255}.${address & 255}`;
}

/** RFC 5952 text of an address given as its upper and lower 64 bits. */
export function formatV6(high: bigint, low: bigint): string {
  const groups = new Uint16Array(8);
  for (let i = 0; i < 4; i++) {
    const shift = BigInt(48 - 16 * i);
    groups[i] = Number((high >> shift) & 0xffffn);
    groups[i + 4] = Number((low >> shift) & 0xffffn);
  }
  return formatGroups(groups);
}

/** RFC 5952 text of eight groups, most significant first. */
export function formatGroups(groups: Uint16Array): string {
  const { start, length } = longestZeroRun(groups);
  const text = (from: number, to: number) =>
    Array.from(groups.subarray(from, to), (group) => group.toString(16)).join(":");
  return length >= 2 ? `${text(0, start)}::${text(start + length, 8)}` : text(0, 8);
}
