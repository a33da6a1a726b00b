import { formatV4, formatV6 } from "./cidr-format.js";
import type { AddressPair, NamedPort, PodRecord } from "./records-pod.js";

/** A pod, as far as it matters to who asks about packets. */
export interface PodFacts {
  readonly namespace: string;
  readonly name: string;
  /** Missing: not scheduled yet. */
  readonly node?: string;
  /** At most one of each family, IPv4 first. */
  readonly addresses: readonly string[];
  readonly namedPorts: readonly NamedPort[];
  readonly hostNetwork: boolean;
}

/** What an address, or a pod's name, stands for. */
export type Place =
  | { readonly kind: "pod"; readonly pod: PodFacts }
  | { readonly kind: "node"; readonly node: string }
  | { readonly kind: "outside" };

export function podFacts(record: Omit<PodRecord, "origin">): PodFacts {
  const { namespace, name, nodeName, namedPorts, isHostNetwork } = record;
  return {
    namespace,
    name,
    ...(nodeName !== undefined && { node: nodeName }),
    addresses: addressTexts(record),
    namedPorts,
    hostNetwork: isHostNetwork,
  };
}

function addressTexts({ ipv4, ipv6 }: AddressPair): readonly string[] {
  return [
    ...(ipv4 === undefined ? [] : [formatV4(ipv4)]),
    ...(ipv6 === undefined ? [] : [formatV6(ipv6.high, ipv6.low)]),
  ];
}
