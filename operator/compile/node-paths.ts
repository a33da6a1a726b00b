import { formatAddress, formatCidr } from "../model/cidr-format.js";
import type { NodeRecord, Problem } from "../model/records.js";
import { type NodeAddress, nodeTexts, type PodCidr } from "./node-texts.js";
import { PrefixIndex } from "./prefix-index.js";

/** What a node's pods, and the node itself, are reached by. */
export interface NodePlace {
  readonly name: string;
  /** Ranges of its pods that no other node has the better right to. */
  readonly podCidrs: readonly PodCidr[];
  /** InternalIPs that no other node has, in the order of the object. */
  readonly addresses: readonly NodeAddress[];
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
  readonly linkLocal: string;
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
  const placeOf = (node: NodeRecord): NodePlace => {
    const own = nodeTexts(node).addresses.filter(({ text }) => addresses.get(text) === node);
    const first = (family: 4 | 6) => own.find((address) => address.family === family)?.text;
    return {
      name: node.name,
      podCidrs: ranges.get(node) ?? [],
      addresses: own,
      ipv4: first(4),
      ipv6: first(6),
    };
  };
  const ownNode = byAge.find(({ name }) => name === ownName);
  const own = ownNode && placeOf(ownNode);
  const others = byAge
    .filter((node) => node !== ownNode)
    .map((node) => {
      const place = placeOf(node);
      const { mac, linkLocal } = nodeTexts(node);
      return { ...place, tunnel: own && tunnelBetween(own, place), mac, linkLocal };
    });
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

/** Node by address. */
function ownersOfAddresses(
  byAge: readonly NodeRecord[],
  ownName: string,
  problems: Problem[],
): ReadonlyMap<string, NodeRecord> {
  const owners = new Map<string, NodeRecord>();
  for (const node of byAge) {
    for (const { text: address } of nodeTexts(node).addresses) {
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
  return owners;
}

/** Ranges by node. */
function ownersOfRanges(
  byAge: readonly NodeRecord[],
  problems: Problem[],
): ReadonlyMap<NodeRecord, readonly PodCidr[]> {
  const all = byAge.flatMap(({ podCidrs, internalAddresses }) => [
    ...podCidrs,
    ...internalAddresses,
  ]);
  const addresses = new PrefixIndex<NodeRecord>(all);
  for (const node of byAge) {
    for (const address of node.internalAddresses) addresses.add(address, node);
  }
  const kept = new PrefixIndex<NodeRecord>(all);
  const ranges = new Map<NodeRecord, readonly PodCidr[]>();
  for (const node of byAge) {
    const own = nodeTexts(node).podCidrs.filter(({ cidr, text }) => {
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
    for (const { cidr } of own) kept.add(cidr, node);
    ranges.set(node, own);
  }
  return ranges;
}

function about({ name, origin }: NodeRecord, field: string) {
  return { severity: "warning", origin, kind: "Node", name, field } as const;
}
