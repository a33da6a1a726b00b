import { parseCidr } from "../model/cidr.js";
import type { Cidr, NodeRecord } from "../model/records.js";
import type { NodePaths } from "./node-paths.js";
import type { PodRouting } from "./route-rows.js";

/** Multicast is answered, if at all, on the wire it was sent on. */
const NEVER_MASQUERADED: readonly Cidr[] = ["224.0.0.0/4", "ff00::/8"].map((text) =>
  parseCidr(text),
);

/** Addresses from the first to the last. */
export interface AddressSpan {
  readonly family: 4 | 6;
  readonly first: bigint;
  readonly last: bigint;
}

/** Packets from the sources that do not go to the exceptions get the address of this node. */
export interface MasqueradePlan {
  readonly sources: readonly AddressSpan[];
  readonly exceptions: readonly AddressSpan[];
}

/**
 * What leaves the cluster. Exceptions are the pods of all nodes, the nodes, and what the configuration says. In tunnel
 * mode a node to which there is no tunnel is outside: its network knows no pod.
 */
export function compileMasquerade(
  nodes: Iterable<NodeRecord>,
  paths: NodePaths,
  routing: PodRouting,
  configured: readonly Cidr[],
): MasqueradePlan {
  const own = new Set(paths.own?.name === undefined ? [] : [paths.own.name]);
  const known =
    routing === "vxlan"
      ? new Set([
          ...own,
          ...paths.others
            .filter(({ tunnel, podCidrs }) => tunnel !== undefined && podCidrs.length > 0)
            .map(({ name }) => name),
        ])
      : undefined;
  const sources: Cidr[] = [];
  const exceptions: Cidr[] = [...NEVER_MASQUERADED, ...configured];
  for (const { name, podCidrs, internalAddresses } of nodes) {
    exceptions.push(...podCidrs);
    if (known === undefined || known.has(name)) exceptions.push(...internalAddresses);
    if (own.has(name)) sources.push(...podCidrs);
  }
  return { sources: mergeSpans(sources), exceptions: mergeSpans(exceptions) };
}

/** Sorted, IPv4 first, with neither overlaps nor neighbours left. */
export function mergeSpans(cidrs: Iterable<Cidr>): readonly AddressSpan[] {
  const spans = [...cidrs].map(spanOf).sort((left, right) => {
    return left.family - right.family || compare(left.first, right.first);
  });
  const merged: AddressSpan[] = [];
  for (const span of spans) {
    const before = merged.at(-1);
    if (before?.family !== span.family || span.first > before.last + 1n) {
      merged.push(span);
    } else if (span.last > before.last) {
      merged[merged.length - 1] = { ...before, last: span.last };
    }
  }
  return merged;
}

function spanOf(cidr: Cidr): AddressSpan {
  const { family, length } = cidr;
  const first = cidr.family === 4 ? BigInt(cidr.address) : (cidr.high << 64n) | cidr.low;
  const size = 1n << BigInt((family === 4 ? 32 : 128) - length);
  return { family, first, last: first + size - 1n };
}

function compare(left: bigint, right: bigint): number {
  if (left === right) return 0;
  return left < right ? -1 : 1;
}
