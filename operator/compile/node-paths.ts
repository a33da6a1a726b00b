import { createHash } from "node:crypto";
import { formatAddress, formatCidr } from "../model/cidr-format.js";
import type { Cidr, NodeRecord, Problem } from "../model/records.js";
import { PrefixIndex } from "./prefix-index.js";

/** What a node's pods, and the node itself, are reached by. */
export interface NodePlace {
  readonly name: string;
  /** Ranges of its pods that no other node has the better right to. */
  readonly podCidrs: readonly Cidr[];
  /** InternalIPs that no other node has, as text, in the order of the object. */
  readonly addresses: readonly string[];
  /** The first one of each family. */
  readonly ipv4: string | undefined;
  readonly ipv6: string | undefined;
}

/** Another node. */
export interface NodePath extends NodePlace {
  /** Ends of the tunnel to it: IPv4 where both have it, else IPv6; undefined: they have no family in common. */
  readonly tunnel: TunnelEnds | undefined;
  /** Of its tunnel devices. */
  readonly mac: string;
}

export interface TunnelEnds {
  readonly family: 4 | 6;
  readonly local: string;
  readonly remote: string;
}

export interface NodePaths {
  /** Undefined while the API server has not told of it. */
  readonly own: NodePlace | undefined;
  readonly others: readonly NodePath[];
  readonly problems: readonly Problem[];
}

/**
 * Says how each node is reached. Nothing is reached by two ways: of two nodes whose ranges overlap the older keeps its
 * own, of two with the same address the younger (it was registered again), each with a warning that names both. A range
 * with the address of a node in it would lead that node's own packets into the tunnel, so it is not used.
 */
export function compileNodePaths(nodes: Iterable<NodeRecord>, ownName: string): NodePaths {
  const byAge = [...nodes].sort(
    (left, right) => left.createdAtMs - right.createdAtMs || (left.name < right.name ? -1 : 1),
  );
  const problems: Problem[] = [];
  const addresses = ownersOfAddresses(byAge, ownName, problems);
  const ranges = ownersOfRanges(byAge, problems);
  const places = byAge.map((node): NodePlace => {
    const own = node.internalAddresses.filter(
      (cidr) => addresses.get(formatAddress(cidr)) === node.name,
    );
    const first = (family: 4 | 6) => own.find((cidr) => cidr.family === family);
    const text = (cidr: Cidr | undefined) => cidr && formatAddress(cidr);
    return {
      name: node.name,
      podCidrs: ranges.get(node.name) ?? [],
      addresses: own.map(formatAddress),
      ipv4: text(first(4)),
      ipv6: text(first(6)),
    };
  });
  const own = places.find(({ name }) => name === ownName);
  const others = places
    .filter((place) => place !== own)
    .map((place) => ({
      ...place,
      tunnel: own === undefined ? undefined : tunnelBetween(own, place),
      mac: tunnelMac(place.name),
    }));
  return { own, others, problems };
}

function tunnelBetween(own: NodePlace, other: NodePlace): TunnelEnds | undefined {
  if (own.ipv4 !== undefined && other.ipv4 !== undefined) {
    return { family: 4, local: own.ipv4, remote: other.ipv4 };
  }
  if (own.ipv6 !== undefined && other.ipv6 !== undefined) {
    return { family: 6, local: own.ipv6, remote: other.ipv6 };
  }
  return undefined;
}

/** Of the tunnel devices of a node: every node can tell that of every other by its name alone. */
export function tunnelMac(nodeName: string): string {
  const bytes = createHash("sha256").update(`sluice tunnel ${nodeName}`).digest().subarray(0, 6);
  // Of one station, and not from a vendor.
  bytes[0] = ((bytes[0] ?? 0) & 0xfc) | 0x02;
  return bytes.toString("hex").replaceAll(/(..)(?=.)/g, "$1:");
}

/** Node by address. */
function ownersOfAddresses(
  byAge: readonly NodeRecord[],
  ownName: string,
  problems: Problem[],
): ReadonlyMap<string, string> {
  const owners = new Map<string, NodeRecord>();
  for (const node of byAge) {
    for (const address of node.internalAddresses.map(formatAddress)) {
      const before = owners.get(address);
      const keeps = before?.name === ownName;
      if (!keeps) owners.set(address, node);
      if (before === undefined || before === node) continue;
      const [kept, lost] = keeps ? [before, node] : [node, before];
      problems.push({
        ...about(lost, "status.addresses"),
        code: "SLUICE_NODE_ADDRESS",
        message: `nodes ${lost.name} and ${kept.name} have the same InternalIP ${address}; it counts as that of ${kept.name}`,
        remedy: "Delete the Node object that no node stands behind, or correct its addresses",
      });
    }
  }
  return new Map([...owners].map(([address, { name }]) => [address, name]));
}

/** Ranges by node. */
function ownersOfRanges(
  byAge: readonly NodeRecord[],
  problems: Problem[],
): ReadonlyMap<string, readonly Cidr[]> {
  const all = byAge.flatMap(({ podCidrs, internalAddresses }) => [
    ...podCidrs,
    ...internalAddresses,
  ]);
  const addresses = new PrefixIndex<NodeRecord>(all);
  for (const node of byAge) {
    for (const address of node.internalAddresses) addresses.add(address, node);
  }
  const kept = new PrefixIndex<NodeRecord>(all);
  const ranges = new Map<string, readonly Cidr[]>();
  for (const node of byAge) {
    const own = node.podCidrs.filter((cidr) => {
      const text = formatCidr(cidr);
      const inside = addresses.overlapping(cidr);
      if (inside !== undefined) {
        problems.push({
          ...about(node, "spec.podCIDRs"),
          code: "SLUICE_POD_CIDR",
          message: `podCIDR ${text} of node ${node.name} has the address ${formatAddress(inside.cidr)} of node ${inside.owner.name} in it; nothing is routed there`,
          remedy: "Give pods addresses that no node has",
        });
        return false;
      }
      const other = kept.overlapping(cidr);
      if (other !== undefined && other.owner !== node) {
        problems.push({
          ...about(node, "spec.podCIDRs"),
          code: "SLUICE_POD_CIDR",
          message: `podCIDR ${text} of node ${node.name} overlaps ${formatCidr(other.cidr)} of node ${other.owner.name}, which is older and keeps it`,
          remedy: `Give ${node.name} another podCIDR: delete its Node object and register it again`,
        });
        return false;
      }
      return true;
    });
    for (const cidr of own) kept.add(cidr, node);
    ranges.set(node.name, own);
  }
  return ranges;
}

function about({ name, origin }: NodeRecord, field: string) {
  return { severity: "warning", origin, kind: "Node", name, field } as const;
}
