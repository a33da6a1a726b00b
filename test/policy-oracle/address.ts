/** IP addresses and blocks from their text. */

import { isIPv6 } from "node:net";

export type Family = 4 | 6;

export interface Address {
  readonly family: Family;
  readonly value: bigint;
}

export interface Block extends Address {
  readonly prefixLength: number;
}

/** The same few texts are asked for again and again: at each packet, at each pod. */
const parsed = new Map<string, Address>();
const MAX_PARSED = 10_000;

/** Throws when the text is no address. Leading zeros are decimal, as in the API server (N19). */
export function parseAddress(text: string): Address {
  const known = parsed.get(text);
  if (known !== undefined) {
    return known;
  }
  if (parsed.size >= MAX_PARSED) {
    parsed.clear();
  }
  const address = readAddress(text);
  parsed.set(text, address);
  return address;
}

function readAddress(text: string): Address {
  const octets = text.split(".");
  if (octets.length === 4 && octets.every((octet) => /^\d+$/.test(octet) && Number(octet) < 256)) {
    return { family: 4, value: octets.reduce((sum, octet) => sum * 256n + BigInt(octet), 0n) };
  }
  if (!isIPv6(text) || text.includes("%")) {
    throw new Error(`${text} is no IP address`);
  }
  const [head = "", tail] = withoutDots(text).split("::");
  const groupsOf = (part: string) => (part === "" ? [] : part.split(":"));
  const [first, last] = [groupsOf(head), groupsOf(tail ?? "")];
  const zeros = Array.from({ length: 8 - first.length - last.length }, () => "0");
  const value = [...first, ...zeros, ...last].reduce(
    (sum, group) => sum * 65536n + BigInt(`0x${group}`),
    0n,
  );
  // An IPv4-mapped address is the IPv4 address, as in Go's net package.
  return value >> 32n === 0xffffn
    ? { family: 4, value: value & 0xffff_ffffn }
    : { family: 6, value };
}

/** Host bits may be set: they do not count (N19). Throws when the text is no block. */
export function parseBlock(text: string): Block {
  const [address = "", length = ""] = text.split("/");
  const { family, value } = parseAddress(address);
  const prefixLength = Number(length);
  if (!/^\d+$/.test(length) || prefixLength > bitsOf(family)) {
    throw new Error(`${text} is no CIDR block`);
  }
  return { family, prefixLength, value: networkOf(value, bitsOf(family) - prefixLength) };
}

export function blockContains(block: Block, address: Address): boolean {
  return (
    block.family === address.family &&
    networkOf(address.value, bitsOf(block.family) - block.prefixLength) === block.value
  );
}

export function isSameAddress(one: Address, other: Address): boolean {
  return one.family === other.family && one.value === other.value;
}

/** IPv6 in full length: for reports and generated manifests. */
export function formatAddress({ family, value }: Address): string {
  const [count, bits] = family === 4 ? ([4, 8] as const) : ([8, 16] as const);
  const parts = Array.from({ length: count }, (_, index) => {
    const part = BigInt.asUintN(bits, value >> BigInt((count - 1 - index) * bits));
    return part.toString(family === 4 ? 10 : 16);
  });
  return parts.join(family === 4 ? "." : ":");
}

export function bitsOf(family: Family): number {
  return family === 4 ? 32 : 128;
}

function networkOf(value: bigint, hostBits: number): bigint {
  return (value >> BigInt(hostBits)) << BigInt(hostBits);
}

/** The IPv4 tail that an IPv6 address may be written with, as two groups. */
function withoutDots(text: string): string {
  const start = text.lastIndexOf(":") + 1;
  const tail = text.slice(start);
  if (!tail.includes(".")) {
    return text;
  }
  const { value } = parseAddress(tail);
  return `${text.slice(0, start)}${(value >> 16n).toString(16)}:${(value & 0xffffn).toString(16)}`;
}
