/** What the oracle judges with, and what it answers. */

import type {
  CidrList,
  NodeRecord,
  RuleRecord,
  XdpPolicyRecord,
} from "../../operator/model/records.js";

/** Everything that decides a packet's fate on one node, except the packet and what came before it. */
export interface World {
  /** The judging node. `nodeSelector` reads its labels; for `nodes` peers it counts only if in `nodes`. */
  readonly node: NodeRecord;
  readonly nodes: readonly NodeRecord[];
  /** Names of the interfaces that exist on the node. */
  readonly interfaces: readonly string[];
  /** Interfaces of a policy that names none. */
  readonly uplinks: readonly string[];
  /** In any order. */
  readonly policies: readonly XdpPolicyRecord[];
  /** Set name → union of all objects that feed the set. */
  readonly sets: ReadonlyMap<string, CidrList>;
  /** All with action Accept. */
  readonly failSafe: readonly RuleRecord[];
  /** The agent's option for unparsable packets. */
  readonly unparsable: "Drop" | "Pass";
  /** Socket maps in which every queue has a socket. */
  readonly socketMaps: readonly string[];
  /** Milliseconds since the epoch at which judging begins. */
  readonly nowMs: number;
}

export type Verdict = "pass" | "drop" | "redirect";

export type UnparsableReason = "vlan-depth" | "truncated" | "extension-headers";

export type Reason =
  | "rule"
  | "limit"
  | "redirect"
  | "default"
  | "established"
  | "no-rule"
  | "not-ip"
  | "not-judged"
  | UnparsableReason;

/**
 * What a matching rule did to the packet. The `would-` forms are those of Audit mode.
 * `established`: a `defaultAction: Drop` that let a packet of a known connection live.
 */
export type Effect =
  | "accept"
  | "drop"
  | "redirect"
  | "pass-on"
  | "within-rate"
  | "established"
  | "would-accept"
  | "would-drop"
  | "would-redirect";

export interface MatchedRule {
  readonly policy: string;
  readonly rule: string;
  readonly effect: Effect;
}

export interface Evaluation {
  readonly verdict: Verdict;
  readonly reason: Reason;
  /** Policy and rule that decided; absent when no rule did. */
  readonly policy?: string;
  readonly rule?: string;
  /** All counted rules in the order of the walk; `defaultAction: Pass` is never among them. */
  readonly matched: readonly MatchedRule[];
}
