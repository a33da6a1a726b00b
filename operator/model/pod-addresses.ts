import { formatV4, formatV6 } from "./cidr-format.js";
import type { Cidr } from "./records.js";
import type { AddressPair } from "./records-pod.js";

/** Addresses of a pod as texts, IPv4 first. */
export function addressTexts({ ipv4, ipv6 }: AddressPair): readonly string[] {
  return [
    ...(ipv4 === undefined ? [] : [formatV4(ipv4)]),
    ...(ipv6 === undefined ? [] : [formatV6(ipv6.high, ipv6.low)]),
  ];
}

/** Whether a pod has an address. */
export function hasAddress({ ipv4, ipv6 }: AddressPair, address: Cidr): boolean {
  return address.family === 4
    ? ipv4 === address.address
    : ipv6 !== undefined && ipv6.high === address.high && ipv6.low === address.low;
}
