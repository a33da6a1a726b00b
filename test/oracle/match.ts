/** Whether one rule matches one packet: docs/xdp-policy.md §1 and §3. */

import type {
  LabelSelector,
  NodeRecord,
  Peer,
  PortRange,
  ProtocolMatch,
  RuleRecord,
} from "../../operator/model/records.js";
import { type Address, cidrContains, listContains } from "./address.js";
import { type Packet, PROTOCOL } from "./packet.js";
import type { World } from "./world.js";

/** All given fields match; inside a field one entry is enough. Expiry is not looked at here. */
export function ruleMatches(
  rule: RuleRecord,
  packet: Packet,
  world: Pick<World, "sets" | "nodes">,
  nowMs: number,
): boolean {
  return (
    (rule.from.length === 0 ||
      rule.from.some((peer) => peerMatches(peer, packet.source, world, nowMs))) &&
    (rule.to.length === 0 ||
      rule.to.some((peer) => peerMatches(peer, packet.destination, world, nowMs))) &&
    (rule.protocols.length === 0 ||
      rule.protocols.some((match) => protocolMatches(match, packet))) &&
    (rule.traits.length === 0 || rule.traits.some((trait) => packet.traits.has(trait)))
  );
}

function peerMatches(
  peer: Peer,
  address: Address,
  world: Pick<World, "sets" | "nodes">,
  nowMs: number,
): boolean {
  switch (peer.kind) {
    case "cidr":
      return (
        cidrContains(peer.cidr, address) &&
        !peer.except.some((block) => cidrContains(block, address))
      );
    case "cidrSet": {
      const set = world.sets.get(peer.setName);
      if (set === undefined) {
        throw new Error(`the world has no set "${peer.setName}", but a rule names it`);
      }
      return listContains(set, address, nowMs);
    }
    case "nodes":
      return world.nodes.some(
        (node) =>
          selectorMatches(peer.selector, node.labels) &&
          node.addresses.some((cidr) => cidrContains(cidr, address)),
      );
  }
}

/** Kubernetes' meaning: all requirements hold; `NotIn` also holds for a label that is absent. */
export function selectorMatches(selector: LabelSelector, labels: NodeRecord["labels"]): boolean {
  const labelsMatch = Object.entries(selector.matchLabels ?? {}).every(
    ([key, value]) => labels[key] === value,
  );
  const expressionsMatch = (selector.matchExpressions ?? []).every(({ key, operator, values }) => {
    const value = labels[key];
    switch (operator) {
      case "In":
        return value !== undefined && (values ?? []).includes(value);
      case "NotIn":
        return value === undefined || !(values ?? []).includes(value);
      case "Exists":
        return value !== undefined;
      case "DoesNotExist":
        return value === undefined;
    }
  });
  return labelsMatch && expressionsMatch;
}

function protocolMatches(match: ProtocolMatch, packet: Packet): boolean {
  switch (match.kind) {
    case "tcp":
      return (
        packet.protocol === PROTOCOL.tcp && portsMatch(match, packet) && flagsMatch(match, packet)
      );
    case "udp":
      return packet.protocol === PROTOCOL.udp && portsMatch(match, packet);
    case "sctp":
      return packet.protocol === PROTOCOL.sctp && portsMatch(match, packet);
    case "icmp":
      return (
        packet.source.family === 4 &&
        packet.protocol === PROTOCOL.icmp &&
        typeMatches(match, packet)
      );
    case "icmpv6":
      return (
        packet.source.family === 6 &&
        packet.protocol === PROTOCOL.icmpv6 &&
        typeMatches(match, packet)
      );
    case "protocol":
      return packet.protocol === match.number;
  }
}

function portsMatch(
  match: { readonly sourcePort?: PortRange; readonly destinationPort?: PortRange },
  packet: Packet,
): boolean {
  return (
    portMatches(match.sourcePort, packet.ports?.source) &&
    portMatches(match.destinationPort, packet.ports?.destination)
  );
}

function portMatches(range: PortRange | undefined, port: number | undefined): boolean {
  return range === undefined || (port !== undefined && range.start <= port && port <= range.end);
}

function flagsMatch(
  match: Extract<ProtocolMatch, { readonly kind: "tcp" }>,
  packet: Packet,
): boolean {
  const { flags } = match;
  if (flags === undefined || (flags.set.length === 0 && flags.unset.length === 0)) {
    return true;
  }
  const present = packet.tcpFlags;
  return (
    present !== undefined &&
    flags.set.every((flag) => present.has(flag)) &&
    flags.unset.every((flag) => !present.has(flag))
  );
}

function typeMatches(
  match: { readonly type?: number; readonly code?: number },
  packet: Packet,
): boolean {
  return (
    (match.type === undefined || match.type === packet.icmp?.type) &&
    (match.code === undefined || match.code === packet.icmp?.code)
  );
}
