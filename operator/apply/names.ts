import { Effect, Reason, Verdict } from "../../datapath/generated/layout.js";
import type { ReasonName, VerdictName } from "../api/engine.js";

export const VERDICT_NAMES: readonly VerdictName[] = named<VerdictName>({
  pass: Verdict.VERDICT_PASS,
  drop: Verdict.VERDICT_DROP,
  redirect: Verdict.VERDICT_REDIRECT,
  aborted: Verdict.VERDICT_ABORTED,
});

export const REASON_NAMES: readonly ReasonName[] = named<ReasonName>({
  "no-rule": Reason.REASON_NO_RULE,
  "not-judged": Reason.REASON_NOT_JUDGED,
  "not-ip": Reason.REASON_NOT_IP,
  rule: Reason.REASON_RULE,
  default: Reason.REASON_DEFAULT,
  limit: Reason.REASON_LIMIT,
  redirect: Reason.REASON_REDIRECT,
  established: Reason.REASON_ESTABLISHED,
  truncated: Reason.REASON_TRUNCATED,
  "vlan-depth": Reason.REASON_VLAN_DEPTH,
  "extension-headers": Reason.REASON_EXTENSION_HEADERS,
  internal: Reason.REASON_INTERNAL,
  spoofed: Reason.REASON_SPOOFED,
  "unknown-pod": Reason.REASON_UNKNOWN_POD,
  translation: Reason.REASON_TRANSLATION,
  flow: Reason.REASON_FLOW,
});

const EFFECT_NAMES: readonly string[] = named<string>({
  none: Effect.EFFECT_NONE,
  accept: Effect.EFFECT_ACCEPT,
  drop: Effect.EFFECT_DROP,
  pass: Effect.EFFECT_PASS,
  "within limit": Effect.EFFECT_WITHIN_LIMIT,
  "above limit": Effect.EFFECT_ABOVE_LIMIT,
  redirect: Effect.EFFECT_REDIRECT,
  established: Effect.EFFECT_ESTABLISHED,
});

/** Name of an `enum effect`, without its audit bit. */
export function effectName(effect: number): string {
  return EFFECT_NAMES[effect & ~Effect.EFFECT_AUDIT] ?? `effect ${effect}`;
}

export function isAudit(effect: number): boolean {
  return (effect & Effect.EFFECT_AUDIT) !== 0;
}

/** Protocol numbers that have a name people use; IANA protocol-numbers. */
const PROTOCOLS = new Map([
  [1, "ICMP"],
  [2, "IGMP"],
  [4, "IPIP"],
  [6, "TCP"],
  [17, "UDP"],
  [41, "IPv6"],
  [47, "GRE"],
  [50, "ESP"],
  [51, "AH"],
  [58, "ICMPv6"],
  [89, "OSPF"],
  [103, "PIM"],
  [112, "VRRP"],
  [132, "SCTP"],
  [256, "not IP"],
]);

/** `TCP` for 6, `protocol 99` for what has no common name; 256 stands for frames that are not IP. */
export function protocolName(protocol: number): string {
  return PROTOCOLS.get(protocol) ?? `protocol ${protocol}`;
}

function named<Name extends string>(numbers: Record<Name, number>): Name[] {
  const names: Name[] = [];
  for (const [name, number] of Object.entries(numbers) as [Name, number][]) names[number] = name;
  return names;
}
