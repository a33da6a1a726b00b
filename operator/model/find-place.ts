import { hasAddress } from "./pod-addresses.js";
import type { Cidr, NodeRecord } from "./records.js";
import type { PodRecord } from "./records-pod.js";

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
