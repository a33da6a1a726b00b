import { formatCidr } from "../model/cidr-format.js";
import type { Peer, PortRange, ProtocolMatch, RuleRecord } from "../model/records.js";

/** Conditions of a rule in one line, for people: `from 10.0.0.0/8, set spamhaus; tcp to 443`. */
export function describeRule(rule: RuleRecord): string {
  const parts = [
    rule.from.length > 0 && `from ${rule.from.map(describePeer).join(", ")}`,
    rule.to.length > 0 && `to ${rule.to.map(describePeer).join(", ")}`,
    rule.protocols.length > 0 && rule.protocols.map(describeProtocol).join(", "),
    rule.traits.length > 0 && rule.traits.join(" or "),
    rule.action.kind === "Limit" && describeRate(rule.action.rateLimit),
    rule.action.kind === "Redirect" && describeTarget(rule.action.target),
  ].filter((part) => part !== false);
  return parts.length === 0 ? "any packet" : parts.join("; ");
}

function describePeer(peer: Peer): string {
  switch (peer.kind) {
    case "cidr": {
      const except = peer.except.map(formatCidr).join(" ");
      return formatCidr(peer.cidr) + (except === "" ? "" : ` except ${except}`);
    }
    case "cidrSet":
      return `set ${peer.setName}`;
    case "nodes":
      return `nodes ${JSON.stringify(peer.selector)}`;
  }
}

function describeProtocol(match: ProtocolMatch): string {
  switch (match.kind) {
    case "tcp":
    case "udp":
    case "sctp": {
      const flags = match.kind === "tcp" ? match.flags : undefined;
      const parts = [
        match.kind,
        match.sourcePort && `from ${describePorts(match.sourcePort)}`,
        match.destinationPort && describePorts(match.destinationPort),
        flags && [...flags.set, ...flags.unset.map((flag) => `!${flag}`)].join(" "),
      ];
      return parts.filter((part) => part !== undefined && part !== "").join(" ");
    }
    case "icmp":
    case "icmpv6":
      return [
        match.kind,
        match.type !== undefined && `type ${match.type}`,
        match.code !== undefined && `code ${match.code}`,
      ]
        .filter((part) => part !== false)
        .join(" ");
    case "protocol":
      return `protocol ${match.number}`;
  }
}

function describePorts({ start, end }: PortRange): string {
  return start === end ? String(start) : `${start}-${end}`;
}

function describeRate({ unit, rate, burst, per }: RateLimitOf): string {
  return `${rate} ${unit}/s, burst ${burst}, per ${per}`;
}

type LimitAction = Extract<RuleRecord["action"], { kind: "Limit" }>;
type RateLimitOf = LimitAction["rateLimit"];
type RedirectAction = Extract<RuleRecord["action"], { kind: "Redirect" }>;

function describeTarget(target: RedirectAction["target"]): string {
  switch (target.kind) {
    case "cpus":
      return `to CPUs ${target.cpus.join(" ")}`;
    case "interface":
      return `to interface ${target.name}`;
    case "socketMap":
      return `to socket map ${target.name}`;
  }
}
