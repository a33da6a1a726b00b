import { formatAddress, formatCidr } from "./cidr-format.js";
import type {
  Cidr,
  LabelSelector,
  Peer,
  PortRange,
  ProtocolMatch,
  RateLimit,
  RedirectTarget,
  RuleRecord,
} from "./records.js";

/** Entries of one list that are written out; the rest is counted. */
const MOST_SHOWN = 3;

/**
 * The conditions of a rule in one line: `from 10.0.0.0/8 except 10.1.0.0/16, set spamhaus; tcp to 443 SYN not ACK`.
 *
 * @returns empty for a rule that matches every packet
 */
export function describeMatch(
  rule: Pick<RuleRecord, "from" | "to" | "protocols" | "traits">,
): string {
  const parts: string[] = [];
  if (rule.from.length > 0) parts.push(`from ${some(rule.from.map(peerText))}`);
  if (rule.to.length > 0) parts.push(`to ${some(rule.to.map(peerText))}`);
  if (rule.protocols.length > 0) parts.push(some(rule.protocols.map(protocolText)));
  if (rule.traits.length > 0) parts.push(`trait ${some(rule.traits)}`);
  return parts.join("; ");
}

/** The action and its parameters: `Limit 1000 packets/s per source address, burst 100`. */
export function describeAction({ action }: Pick<RuleRecord, "action">): string {
  switch (action.kind) {
    case "Limit":
      return `Limit ${rateText(action.rateLimit)}`;
    case "Redirect":
      return `Redirect to ${targetText(action.target)}`;
    default:
      return action.kind;
  }
}

function some(texts: readonly string[]): string {
  // One more than shown would take as much room as the words that replace it.
  if (texts.length <= MOST_SHOWN + 1) return texts.join(", ");
  return `${texts.slice(0, MOST_SHOWN).join(", ")} and ${texts.length - MOST_SHOWN} more`;
}

function peerText(peer: Peer): string {
  switch (peer.kind) {
    case "cidrSet":
      return `set ${peer.setName}`;
    case "nodes":
      return `nodes ${selectorText(peer.selector)}`;
    case "cidr": {
      const cidr = cidrText(peer.cidr);
      return peer.except.length === 0 ? cidr : `${cidr} except ${some(peer.except.map(cidrText))}`;
    }
  }
}

function cidrText(cidr: Cidr): string {
  return cidr.length === (cidr.family === 4 ? 32 : 128) ? formatAddress(cidr) : formatCidr(cidr);
}

/** As `kubectl --selector` takes it. */
function selectorText({ matchLabels = {}, matchExpressions = [] }: LabelSelector): string {
  const parts = Object.entries(matchLabels).map(([key, value]) => `${key}=${value}`);
  for (const { key, operator, values = [] } of matchExpressions) {
    if (operator === "Exists") parts.push(key);
    else if (operator === "DoesNotExist") parts.push(`!${key}`);
    else parts.push(`${key} ${operator === "In" ? "in" : "notin"} (${values.join(",")})`);
  }
  return parts.length === 0 ? "all" : parts.join(",");
}

function protocolText(match: ProtocolMatch): string {
  switch (match.kind) {
    case "protocol":
      return `protocol ${match.number}`;
    case "icmp":
    case "icmpv6": {
      const type = match.type === undefined ? "" : ` type ${match.type}`;
      return `${match.kind}${type}${match.code === undefined ? "" : ` code ${match.code}`}`;
    }
    default: {
      const words: string[] = [match.kind];
      if (match.sourcePort !== undefined) words.push(`from port ${portText(match.sourcePort)}`);
      if (match.destinationPort !== undefined) words.push(`port ${portText(match.destinationPort)}`);
      if (match.kind === "tcp" && match.flags !== undefined) {
        const { set, unset } = match.flags;
        if (set.length > 0) words.push(set.join("+"));
        if (unset.length > 0) words.push(`not ${unset.join("+")}`);
      }
      return words.join(" ");
    }
  }
}

function portText({ start, end }: PortRange): string {
  return start === end ? String(start) : `${start}-${end}`;
}

function rateText(limit: RateLimit): string {
  const { unit, rate, burst, per, ipv4PrefixLength, ipv6PrefixLength } = limit;
  const whose = {
    Node: "per node",
    SourceAddress: "per source address",
    SourcePrefix: `per source /${ipv4PrefixLength} or IPv6 /${ipv6PrefixLength}`,
  };
  return `${rate} ${unit}/s ${whose[per]}, burst ${burst}`;
}

function targetText(target: RedirectTarget): string {
  switch (target.kind) {
    case "cpus":
      return `CPU ${target.cpus.join(",")}`;
    case "interface":
      return `interface ${target.name}`;
    case "socketMap":
      return `socket map ${target.name}`;
  }
}
