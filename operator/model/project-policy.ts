import { parseDateTime, parseDuration } from "./date-time.js";
import { type FieldPath, type Finding, warning } from "./finding.js";
import type { XdpPolicyManifest } from "./generated/xdp-policy.js";
import { projectPeers } from "./project-peer.js";
import { projectProtocols } from "./project-protocol.js";
import { type Draft, type Projection, soundEntries } from "./projection.js";
import type { Peer, ProtocolMatch, RuleAction, RuleRecord, XdpPolicyRecord } from "./records.js";

export type RuleManifest = XdpPolicyManifest["spec"]["ingress"][number];

/** The largest Ethernet frame without VLAN tags and jumbo payload. */
const FULL_FRAME_BYTES = 1514;

/**
 * Turns a manifest with defaults filled in into its record; worth something without faults only.
 */
export function projectPolicy(
  manifest: XdpPolicyManifest,
  projection: Projection,
): Draft<XdpPolicyRecord> {
  const { spec } = manifest;
  const path = ["spec", "ingress"];
  const rules = soundEntries(spec.ingress, path, projection);
  const confirmWithinMs =
    typeof spec.confirmWithin === "string" ? parseDuration(spec.confirmWithin) : undefined;
  return {
    kind: "XdpPolicy",
    name: manifest.metadata.name,
    priority: spec.priority,
    nodeSelector: spec.nodeSelector,
    interfaces: spec.interfaces,
    mode: spec.mode,
    defaultAction: spec.defaultAction,
    ...(confirmWithinMs !== undefined && { confirmWithinMs }),
    rules: Array.from(rules, ([index, rule]) => projectRule(rule, [...path, index], projection)),
  };
}

function projectRule(rule: RuleManifest, path: FieldPath, projection: Projection): RuleRecord {
  const { findings } = projection;
  const from = projectPeers(rule.from ?? [], [...path, "from"], findings);
  const to = projectPeers(rule.to ?? [], [...path, "to"], findings);
  const protocols = projectProtocols(rule.protocols ?? [], [...path, "protocols"], findings);
  warnOfMixedFamilies(path, from, to, protocols, findings);
  const expiresAtMs = rule.expiresAt === undefined ? undefined : parseDateTime(rule.expiresAt);
  if (expiresAtMs !== undefined && expiresAtMs <= projection.nowMs) {
    findings.push(
      warning(
        "SLUICE_EXPIRED",
        [...path, "expiresAt"],
        `the rule ${rule.name} expired at ${rule.expiresAt} and does not act`,
      ),
    );
  }
  return {
    name: rule.name,
    action: projectAction(rule, path, findings),
    from,
    to,
    protocols,
    traits: rule.traits ?? [],
    logOneIn: rule.log?.oneIn ?? 0,
    ...(expiresAtMs !== undefined && { expiresAtMs }),
  };
}

function projectAction(rule: RuleManifest, path: FieldPath, findings: Finding[]): RuleAction {
  const { action, rateLimit, redirect } = rule;
  if (action === "Limit" && rateLimit !== undefined) {
    const unit = rateLimit.bytesPerSecond === undefined ? "packets" : "bytes";
    const rate = rateLimit.bytesPerSecond ?? rateLimit.packetsPerSecond ?? 0;
    const burst = rateLimit.burst ?? rate;
    if (unit === "bytes" && burst < FULL_FRAME_BYTES) {
      const field = rateLimit.burst === undefined ? "bytesPerSecond" : "burst";
      findings.push(
        warning(
          "SLUICE_SMALL_BURST",
          [...path, "rateLimit", field],
          `a burst of ${burst} bytes never lets a full frame of ${FULL_FRAME_BYTES} bytes pass`,
          `Write a burst of ${FULL_FRAME_BYTES} bytes or more`,
        ),
      );
    }
    const { per, ipv4PrefixLength, ipv6PrefixLength } = rateLimit;
    return {
      kind: "Limit",
      rateLimit: { unit, rate, burst, per, ipv4PrefixLength, ipv6PrefixLength },
    };
  }
  if (action === "Redirect" && redirect !== undefined) {
    if (redirect.cpus !== undefined) {
      return { kind: "Redirect", target: { kind: "cpus", cpus: redirect.cpus } };
    }
    if (redirect.interface !== undefined) {
      return { kind: "Redirect", target: { kind: "interface", name: redirect.interface } };
    }
    return { kind: "Redirect", target: { kind: "socketMap", name: redirect.socketMap ?? "" } };
  }
  // A Limit without rateLimit is refused by a rule of the schema: this record is then thrown away.
  return { kind: action === "Accept" || action === "Pass" ? action : "Drop" };
}

type Families = { readonly field: string; readonly has4: boolean; readonly has6: boolean };

/** Warns when the fields of a rule leave no IP family that all of them match. */
function warnOfMixedFamilies(
  path: FieldPath,
  from: readonly Peer[],
  to: readonly Peer[],
  protocols: readonly ProtocolMatch[],
  findings: Finding[],
): void {
  const fields = [
    peerFamilies("from", from),
    peerFamilies("to", to),
    protocolFamilies(protocols),
  ].filter((families) => families !== undefined);
  if (fields.length === 0) return;
  if (fields.every(({ has4 }) => has4) || fields.every(({ has6 }) => has6)) return;
  const words = fields
    .filter(({ has4, has6 }) => has4 !== has6)
    .map(({ field, has4 }) => `${field} matches only ${has4 ? "IPv4" : "IPv6"}`);
  findings.push(warning("SLUICE_MIXED_FAMILIES", path, `no packet can match: ${words.join(", ")}`));
}

function peerFamilies(field: string, peers: readonly Peer[]): Families | undefined {
  // What sets and nodes hold is not known here.
  if (peers.length === 0 || peers.some(({ kind }) => kind !== "cidr")) return undefined;
  const has = (family: 4 | 6) =>
    peers.some((peer) => peer.kind === "cidr" && peer.cidr.family === family);
  return { field, has4: has(4), has6: has(6) };
}

function protocolFamilies(protocols: readonly ProtocolMatch[]): Families | undefined {
  if (protocols.length === 0) return undefined;
  return {
    field: "protocols",
    has4: protocols.some(({ kind }) => kind !== "icmpv6"),
    has6: protocols.some(({ kind }) => kind !== "icmp"),
  };
}
