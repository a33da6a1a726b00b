import { isIP } from "node:net";
import ipaddr from "ipaddr.js";
import { datapathError } from "./errors.js";

/** `AF_…` numbers. */
export const Family = { unspecified: 0, inet: 2, bridge: 7, inet6: 10 } as const;

const headerBytes = 4;
const nestedFlag = 0x8000;
const longestInterfaceName = 15;

/** The other way round: constants by number. */
export function namesByNumber<Name extends string>(
  numbers: Readonly<Record<Name, number>>,
): ReadonlyMap<number, Name> {
  const entries = Object.entries(numbers) as [Name, number][];
  return new Map(entries.map(([name, number]) => [number, name]));
}

/** One attribute of a request, with its header and padding. */
export function attribute(type: number, value: Uint8Array): Buffer {
  const length = headerBytes + value.length;
  const bytes = Buffer.alloc((length + 3) & ~3);
  bytes.writeUInt16LE(length, 0);
  bytes.writeUInt16LE(type, 2);
  bytes.set(value, headerBytes);
  return bytes;
}

export function u8Attribute(type: number, value: number): Buffer {
  return attribute(type, Buffer.from([value]));
}

/** @param what names the number in the error message */
export function u32Attribute(type: number, value: number, what: string): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(checkInteger(value, 0xffff_ffff, what));
  return attribute(type, bytes);
}

/** A number in the byte order of the network, as ports are. */
export function portAttribute(type: number, value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(checkInteger(value, 0xffff, "port"));
  return attribute(type, bytes);
}

export function stringAttribute(type: number, value: string): Buffer {
  return attribute(type, Buffer.from(`${value}\0`));
}

/** An attribute that holds others. */
export function nested(type: number, attributes: readonly Uint8Array[]): Buffer {
  return attribute(type | nestedFlag, Buffer.concat(attributes));
}

/** @throws SluiceError SLUICE_BAD_VALUE unless it is a whole number from 0 to `max` */
export function checkInteger(value: number, max: number, what: string): number {
  if (Number.isInteger(value) && value >= 0 && value <= max) return value;
  throw bad(`${what} ${value} is no whole number from 0 to ${max}`, "Give one within these limits");
}

/** @throws SluiceError SLUICE_BAD_VALUE unless it is a number that an interface can have */
export function checkIndex(index: number): number {
  if (Number.isInteger(index) && index > 0 && index <= 0x7fff_ffff) return index;
  throw bad(`${index} is no interface number`, "Look the interface up by its name first");
}

/**
 * A name that the kernel takes as it is: it makes a pattern of one with `%`.
 *
 * @throws SluiceError SLUICE_BAD_VALUE
 */
export function checkInterfaceName(name: string): string {
  const length = Buffer.byteLength(name);
  const isGood = length > 0 && length <= longestInterfaceName && !/[\s/:%\0]/.test(name);
  if (isGood && name !== "." && name !== "..") return name;
  throw bad(
    `${JSON.stringify(name)} is no name for an interface`,
    `Give 1 to ${longestInterfaceName} bytes without spaces, "/", ":" and "%"`,
  );
}

/** @throws SluiceError SLUICE_BAD_VALUE unless it is written like `02:00:00:00:00:01` */
export function encodeMac(mac: string): Buffer {
  if (/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(mac))
    return Buffer.from(mac.replaceAll(":", ""), "hex");
  throw bad(`${JSON.stringify(mac)} is no MAC address`, "Write it like 02:00:00:00:00:01");
}

export function formatMac(bytes: Buffer): string {
  return bytes.toString("hex").replaceAll(/(..)(?=.)/g, "$1:");
}

/** An address as the kernel takes it. */
export interface EncodedAddress {
  readonly family: typeof Family.inet | typeof Family.inet6;
  readonly bytes: Buffer;
  /** Bits of an address of the family. */
  readonly bits: 32 | 128;
}

/** @throws SluiceError SLUICE_BAD_VALUE unless it is one address, without prefix and zone */
export function encodeAddress(address: string): EncodedAddress {
  const version = isIP(address);
  if (version === 0 || address.includes("%")) {
    throw bad(
      `${JSON.stringify(address)} is no IP address`,
      "Write it like 192.0.2.1 or 2001:db8::1, without a prefix length",
    );
  }
  if (version === 4) {
    return { family: Family.inet, bytes: Buffer.from(address.split(".").map(Number)), bits: 32 };
  }
  const bytes = Buffer.from(ipaddr.IPv6.parse(address).toByteArray());
  return { family: Family.inet6, bytes, bits: 128 };
}

/** A range of addresses as the kernel takes it. */
export interface EncodedPrefix extends EncodedAddress {
  readonly length: number;
}

/** @throws SluiceError SLUICE_BAD_VALUE unless it is written like `192.0.2.0/24`, with no bit set behind the prefix */
export function encodePrefix(cidr: string): EncodedPrefix {
  const [address = "", length = "", ...rest] = cidr.split("/");
  const encoded = encodeAddress(address);
  if (!/^\d{1,3}$/.test(length) || Number(length) > encoded.bits || rest.length > 0) {
    throw bad(`${JSON.stringify(cidr)} is no range of addresses`, "Write it like 192.0.2.0/24");
  }
  if (hasBitsBehind(encoded.bytes, Number(length))) {
    const network = (encoded.bits === 32 ? ipaddr.IPv4 : ipaddr.IPv6).networkAddressFromCIDR(cidr);
    throw bad(
      `${cidr} has bits set behind its prefix`,
      `Write ${network.toString()}/${length}, or a longer prefix`,
    );
  }
  return { ...encoded, length: Number(length) };
}

function hasBitsBehind(bytes: Buffer, length: number): boolean {
  return bytes.some((byte, index) => {
    const inPrefix = Math.min(Math.max(length - index * 8, 0), 8);
    return (byte & (0xff >> inPrefix)) !== 0;
  });
}

export function formatAddress(bytes: Buffer): string {
  // Dumps have thousands of them.
  if (bytes.length === 4) return bytes.join(".");
  return ipaddr.fromByteArray([...bytes]).toString();
}

function bad(problem: string, remedy: string) {
  return datapathError("SLUICE_BAD_VALUE", problem, { remedy });
}
