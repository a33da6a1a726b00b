import type { Cidr, NodeRecord } from "./records.js";
import type { AddressPair, PodRecord } from "./records-pod.js";

/** What an address belongs to. */
export type AddressOwner =
  | { readonly kind: "pod"; readonly pod: PodRecord }
  | { readonly kind: "node"; readonly node: string }
  | { readonly kind: "outside" };

/** A pod that holds the address, else a node: pods of the host network have their node's. */
export function findOwner(
  address: Cidr,
  pods: Iterable<PodRecord>,
  nodes: Iterable<Pick<NodeRecord, "name" | "addresses">>,
): AddressOwner {
  for (const pod of pods) {
    if (!pod.isHostNetwork && hasAddress(pod, address)) return { kind: "pod", pod };
  }
  for (const { name, addresses } of nodes) {
    if (addresses.some((own) => isSameAddress(own, address))) return { kind: "node", node: name };
  }
  return { kind: "outside" };
}

function isSameAddress(a: Cidr, b: Cidr): boolean {
  return a.family === 4
    ? b.family === 4 && a.address === b.address
    : b.family === 6 && a.high === b.high && a.low === b.low;
}

function hasAddress({ ipv4, ipv6 }: AddressPair, address: Cidr): boolean {
  return address.family === 4
    ? ipv4 === address.address
    : ipv6 !== undefined && ipv6.high === address.high && ipv6.low === address.low;
}
