import { formatV4, formatV6 } from "../../model/cidr-format.js";
import type { NodeRecord } from "../../model/records.js";
import type { AddressPair, PodRecord } from "../../model/records-pod.js";

/** A pod that has an address which its manifest does not tell. */
export interface GivenAddress {
  readonly pod: string;
  readonly addresses: readonly string[];
}

/** Ranges that are for tests of networks, and in no cluster: RFC 2544 and RFC 5180. */
const firstIpv4 = 0xc612_0000;
const highIpv6 = 0x2001_0002_0000_0000n;

/**
 * Gives pods addresses that have none, since a manifest is written before its pod runs: those of the host network their
 * node's, others one each of a range that no cluster has. Completed pods have none.
 */
export function giveAddresses(
  pods: readonly PodRecord[],
  nodes: readonly NodeRecord[],
): { readonly pods: readonly PodRecord[]; readonly given: readonly GivenAddress[] } {
  const given: GivenAddress[] = [];
  let next = 1;
  const complete = pods.map((pod) => {
    if (pod.isCompleted || pod.ipv4 !== undefined || pod.ipv6 !== undefined) return pod;
    if (pod.isHostNetwork) return { ...pod, ...nodeAddresses(pod, nodes) };
    const ipv4 = firstIpv4 + next;
    const ipv6 = { high: highIpv6, low: BigInt(next) };
    next++;
    given.push({
      pod: `${pod.namespace}/${pod.name}`,
      addresses: [formatV4(ipv4), formatV6(ipv6.high, ipv6.low)],
    });
    return { ...pod, ipv4, ipv6 };
  });
  return { pods: complete, given };
}

function nodeAddresses({ nodeName }: PodRecord, nodes: readonly NodeRecord[]): AddressPair {
  const addresses = nodes.find(({ name }) => name === nodeName)?.addresses ?? [];
  const v4 = addresses.find(({ family }) => family === 4);
  const v6 = addresses.find(({ family }) => family === 6);
  return {
    ipv4: v4?.family === 4 ? v4.address : undefined,
    ipv6: v6?.family === 6 ? { high: v6.high, low: v6.low } : undefined,
  };
}
