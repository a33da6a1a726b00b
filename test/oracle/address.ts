/** Addresses and CIDRs as plain numbers of 32 or 128 bits. */

import ipaddr from "ipaddr.js";
import type { Cidr, CidrList } from "../../operator/model/records.js";

export type Family = 4 | 6;

export interface Address {
  readonly family: Family;
  /** Host order: 32 or 128 bits. */
  readonly value: bigint;
}

/** One entry of a set. */
export interface SetEntry {
  readonly cidr: Cidr;
  /** Seconds since the epoch; 0: never. */
  readonly expiresAt: number;
}

export function bitsOf(family: Family): number {
  return family === 4 ? 32 : 128;
}

/** The first address of a CIDR. */
export function cidrValue(cidr: Cidr): bigint {
  return cidr.family === 4 ? BigInt(cidr.address) : (cidr.high << 64n) | cidr.low;
}

/** A CIDR from its first address; host bits of `value` are cleared. */
export function makeCidr(family: Family, value: bigint, length: number): Cidr {
  const hostBits = BigInt(bitsOf(family) - length);
  const network = (value >> hostBits) << hostBits;
  return family === 4
    ? { family, address: Number(network), length }
    : { family, high: network >> 64n, low: network & 0xffff_ffff_ffff_ffffn, length };
}

export function cidrContains(cidr: Cidr, address: Address): boolean {
  return cidr.family === address.family && samePrefix(cidrValue(cidr), address, cidr.length);
}

function samePrefix(network: bigint, address: Address, length: number): boolean {
  const hostBits = BigInt(bitsOf(address.family) - length);
  return network >> hostBits === address.value >> hostBits;
}

/** Whether an entry that still exists at `nowMs` covers the address. */
export function listContains(list: CidrList, address: Address, nowMs: number): boolean {
  return address.family === 4
    ? ipv4ListContains(list.v4, address.value, nowMs)
    : ipv6ListContains(list.v6, address, nowMs);
}

function ipv4ListContains(list: CidrList["v4"], value: bigint, nowMs: number): boolean {
  const address = Number(value);
  return list.address.some((network, index) => {
    // Numbers, not bigints: linear search of a set is where the oracle spends its time.
    const size = 2 ** (32 - (list.length[index] ?? 0));
    return address >= network && address < network + size && exists(list.expiresAt, index, nowMs);
  });
}

function ipv6ListContains(list: CidrList["v6"], address: Address, nowMs: number): boolean {
  return list.high.some((high, index) => {
    const network = (high << 64n) | (list.low[index] ?? 0n);
    return (
      samePrefix(network, address, list.length[index] ?? 0) && exists(list.expiresAt, index, nowMs)
    );
  });
}

function exists(expiresAt: Float64Array | undefined, index: number, nowMs: number): boolean {
  const seconds = expiresAt?.[index] ?? 0;
  return seconds === 0 || nowMs < seconds * 1000;
}

/** Packs entries into columns. */
export function cidrListOf(entries: readonly SetEntry[]): CidrList {
  const v4 = entries.filter((entry) => entry.cidr.family === 4);
  const v6 = entries.filter((entry) => entry.cidr.family === 6);
  const lengths = (of: readonly SetEntry[]) => Uint8Array.from(of, (entry) => entry.cidr.length);
  const expiry = (of: readonly SetEntry[]) =>
    of.some((entry) => entry.expiresAt !== 0)
      ? Float64Array.from(of, (entry) => entry.expiresAt)
      : undefined;
  return {
    v4: {
      address: Uint32Array.from(v4, (entry) => Number(cidrValue(entry.cidr))),
      length: lengths(v4),
      expiresAt: expiry(v4),
    },
    v6: {
      high: BigUint64Array.from(v6, (entry) => cidrValue(entry.cidr) >> 64n),
      low: BigUint64Array.from(v6, (entry) => BigInt.asUintN(64, cidrValue(entry.cidr))),
      length: lengths(v6),
      expiresAt: expiry(v6),
    },
  };
}

/** The opposite of {@link cidrListOf}: IPv4 entries first. */
export function entriesOf(list: CidrList): readonly SetEntry[] {
  const v4 = Array.from(list.v4.address, (address, index) => ({
    cidr: makeCidr(4, BigInt(address), list.v4.length[index] ?? 0),
    expiresAt: list.v4.expiresAt?.[index] ?? 0,
  }));
  const v6 = Array.from(list.v6.high, (high, index) => ({
    cidr: makeCidr(6, (high << 64n) | (list.v6.low[index] ?? 0n), list.v6.length[index] ?? 0),
    expiresAt: list.v6.expiresAt?.[index] ?? 0,
  }));
  return [...v4, ...v6];
}

/** `10.0.0.0/8`, `2001:db8::1`: a bare address is a /32 or /128. Throws on anything else. */
export function parseCidr(text: string): Cidr {
  const [addressText = "", lengthText] = text.split("/");
  const address = parseAddress(addressText);
  const length = lengthText === undefined ? bitsOf(address.family) : Number(lengthText);
  return makeCidr(address.family, address.value, length);
}

export function parseAddress(text: string): Address {
  const bytes = ipaddr.parse(text).toByteArray();
  const value = bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  return { family: bytes.length === 4 ? 4 : 6, value };
}

export function formatCidr(cidr: Cidr): string {
  return `${formatAddress({ family: cidr.family, value: cidrValue(cidr) })}/${cidr.length}`;
}

export function formatAddress(address: Address): string {
  return ipaddr.fromByteArray([...addressBytes(address)]).toString();
}

/** Network order: 4 or 16 bytes. */
export function addressBytes(address: Address): Uint8Array {
  const length = bitsOf(address.family) / 8;
  return Uint8Array.from({ length }, (_, index) =>
    Number((address.value >> BigInt(8 * (length - 1 - index))) & 0xffn),
  );
}
