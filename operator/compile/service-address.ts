import { formatGroups, formatV4 } from "../model/cidr-format.js";
import type { Cidr } from "../model/records.js";
import type { AddressPair, Transport } from "../model/records-pod.js";

/** One word for IPv4, four for IPv6, most significant first, in host order: as slices have addresses. */
export type AddressWords = readonly number[];

/** An address as the key of a map: a number for IPv4. */
export type AddressKey = number | string;

/** An address, port and protocol as the key of a map. */
export type PortKey = number | string;

const WORD = 0xffff_ffffn;
const PROTOCOL_NUMBERS = { tcp: 0, udp: 1, sctp: 2 } as const satisfies Record<Transport, number>;
/** Port and protocol need this much. */
const PORT_UNIT = 65_536 * 4;

/** Words of the address part of a CIDR. */
export function wordsOf(cidr: Cidr): AddressWords {
  return cidr.family === 4 ? [cidr.address] : halves(cidr.high, cidr.low);
}

/** The address of a family that an object has. */
export function wordsOfPair(pair: AddressPair, family: 4 | 6): AddressWords | undefined {
  if (family === 4) return pair.ipv4 === undefined ? undefined : [pair.ipv4];
  return pair.ipv6 && halves(pair.ipv6.high, pair.ipv6.low);
}

export function addressKey(words: AddressWords): AddressKey {
  return words.length === 1 ? words[0]! : words.join(".");
}

export function portKey(words: AddressWords, port: number, protocol: Transport): PortKey {
  const rest = port * 4 + PROTOCOL_NUMBERS[protocol];
  // 50 bits.
  return words.length === 1 ? words[0]! * PORT_UNIT + rest : `${words.join(".")}:${rest}`;
}

/** Of a port of the node itself, whatever its addresses are: differs from the key of any address. */
export function nodePortKey(family: 4 | 6, port: number, protocol: Transport): PortKey {
  return -(family * PORT_UNIT + port * 4 + PROTOCOL_NUMBERS[protocol]);
}

export function formatWords(words: AddressWords): string {
  if (words.length === 1) return formatV4(words[0]!);
  const groups = words.flatMap((word) => [word >>> 16, word & 0xffff]);
  return formatGroups(Uint16Array.from(groups));
}

/** Order by address, then by port: the same on every node. */
export function compareEndpoints(
  left: { readonly address: AddressWords; readonly port: number },
  right: { readonly address: AddressWords; readonly port: number },
): number {
  for (let at = 0; at < left.address.length; at++) {
    const difference = left.address[at]! - right.address[at]!;
    if (difference !== 0) return difference;
  }
  return left.port - right.port;
}

function halves(high: bigint, low: bigint): AddressWords {
  return [high >> 32n, high & WORD, low >> 32n, low & WORD].map(Number);
}
