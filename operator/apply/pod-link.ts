import type { PodKey } from "../../datapath/generated/layout.js";
import { parseCidr } from "../model/cidr.js";
import type { Cidr } from "../model/records.js";
import type { AddressPair } from "../model/records-pod.js";
import type { PortMapping } from "./host-ports.js";
import type { PodIdentity } from "./pod-objects.js";

/** A pod's interface, as it was attached. */
export interface PodLink {
  /** The end of its veth on the node. */
  readonly hostName: string;
  /** Of the interface in the pod. */
  readonly mac: string;
  readonly addresses: { readonly ipv4: string | undefined; readonly ipv6: string | undefined };
  readonly pod: PodIdentity;
  /** Missing: without limit. */
  readonly bandwidth?: PodBandwidth;
  /** Ports of the node that stand for its own; missing: none. */
  readonly ports?: readonly PortMapping[];
}

/** What one direction of a pod may take. */
export interface PodRate {
  readonly bitsPerSecond: number;
  /** What may pass at once after a pause; undefined: as much as 500 ms take. */
  readonly burstBits: number | undefined;
}

/** Undefined: without limit. */
export interface PodBandwidth {
  /** Of what the pod receives. */
  readonly ingress: PodRate | undefined;
  /** Of what it sends. */
  readonly egress: PodRate | undefined;
}

/** Addresses of a link as records have them. */
export function addressPair({ addresses: { ipv4, ipv6 } }: PodLink): AddressPair {
  const v4 = ipv4 === undefined ? undefined : parseCidr(ipv4);
  const v6 = ipv6 === undefined ? undefined : parseCidr(ipv6);
  return {
    ipv4: v4?.family === 4 ? v4.address : undefined,
    ipv6: v6?.family === 6 ? { high: v6.high, low: v6.low } : undefined,
  };
}

export interface AddressWords {
  readonly family: 4 | 6;
  /** In network order as they stand in a packet; IPv4 in the first. */
  readonly words: readonly number[];
}

export function wordsOf(text: string): AddressWords {
  const cidr = parseCidr(text);
  return { family: cidr.family, words: wordsOfCidr(cidr) };
}

/** The address as tables have it for a key. */
export function keyOfCidr(cidr: Cidr): PodKey {
  return { address: wordsOfCidr(cidr), family: cidr.family };
}

function wordsOfCidr(cidr: Cidr): readonly number[] {
  const bytes = Buffer.alloc(16);
  writeAddress(cidr, bytes);
  return [0, 4, 8, 12].map((at) => bytes.readUInt32LE(at));
}

function writeAddress(cidr: Cidr, bytes: Buffer): void {
  if (cidr.family === 4) {
    bytes.writeUInt32BE(cidr.address);
  } else {
    bytes.writeBigUInt64BE(cidr.high);
    bytes.writeBigUInt64BE(cidr.low, 8);
  }
}

/** @param mac `02:00:00:00:00:01` */
export function macBytes(mac: string): Uint8Array {
  return Uint8Array.from(mac.split(":"), (part) => Number.parseInt(part, 16));
}
