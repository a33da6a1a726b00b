/** What a direction of a packet ends with, and which rules say so. */

import type { Tier } from "./manifests.js";

export interface RuleName {
  /** The object's name; a NetworkPolicy's with its namespace. */
  readonly policy: string;
  /** The rule's own name, or its place: `ingress[0]`. */
  readonly rule: string;
}

export type Verdict =
  /** Rules that no policy can change: N22, N33, and those of {@link FixedReason}. */
  | { readonly by: "fixed"; readonly allowed: true; readonly reason: FixedReason }
  | ({ readonly by: Tier; readonly allowed: boolean } & RuleName)
  /** Every rule that allows the packet: they have no order (N4). */
  | { readonly by: "NetworkPolicy"; readonly allowed: true; readonly rules: readonly RuleName[] }
  /** All NetworkPolicies that isolate the pod in this direction, by name. */
  | { readonly by: "isolation"; readonly allowed: false; readonly policies: readonly string[] }
  | { readonly by: "default"; readonly allowed: true };

export type FixedReason =
  /** The end of this direction is no pod of the pod network: it has no policy. */
  | "no-pod"
  /** A pod reaches itself (N22). */
  | "own-pod"
  /** A pod and the node that it runs on (N33). */
  | "own-node"
  /** ICMPv6 133 to 137, without which IPv6 does not work (N30). */
  | "neighbour-discovery";

export interface Judgement {
  readonly allowed: boolean;
  /** By the policies of the source. */
  readonly egress: Verdict;
  /** By the policies of the destination; also when the egress is not allowed. */
  readonly ingress: Verdict;
  /** What would be if the policies in audit mode were enforced like the others. */
  readonly audit: Omit<Judgement, "audit">;
}

/** For reports: `denied by isolation (web/deny-all)`. */
export function describeVerdict(verdict: Verdict): string {
  const outcome = verdict.allowed ? "allowed" : "denied";
  switch (verdict.by) {
    case "fixed":
      return `${outcome}, fixed rule ${verdict.reason}`;
    case "Admin":
    case "Baseline":
      return `${outcome} by ClusterNetworkPolicy ${verdict.policy}, ${verdict.rule} (${verdict.by})`;
    case "NetworkPolicy":
      return `${outcome} by NetworkPolicy ${verdict.rules.map(({ policy, rule }) => `${policy}, ${rule}`).join(" | ")}`;
    case "isolation":
      return `${outcome} by isolation: ${verdict.policies.join(", ")}`;
    case "default":
      return `${outcome} by default`;
  }
}
