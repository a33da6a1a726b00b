/** Projected records of NetworkPolicies and ClusterNetworkPolicies (reference/policy.md). */
import type { Cidr, LabelSelector, Origin, PortRange } from "./records.js";
import type { Transport } from "./records-pod.js";

export type PodPeer =
  | {
      readonly kind: "pods";
      /** Undefined: the policy's own namespace (N12). */
      readonly namespaceSelector: LabelSelector | undefined;
      readonly podSelector: LabelSelector;
    }
  | { readonly kind: "cidr"; readonly cidr: Cidr; readonly except: readonly Cidr[] }
  /** All addresses of the nodes (C9). */
  | { readonly kind: "nodes"; readonly selector: LabelSelector }
  | { readonly kind: "domainNames"; readonly names: readonly string[] }
  | Unknown;

export type PodProtocol =
  | {
      readonly kind: Transport;
      /** Absent: every port. */
      readonly destinationPort?: PortRange;
    }
  /** Resolved on the destination pod (N26). */
  | {
      readonly kind: "namedPort";
      readonly name: string;
      /** Absent: any protocol that has the name. */
      readonly protocol?: Transport;
    }
  | Unknown;

/**
 * An entry of a newer ClusterNetworkPolicy, without a field that is known here. The rule fails
 * closed: Accept matches nothing, Deny and Pass deny everything (C10).
 */
export interface Unknown {
  readonly kind: "unknown";
  /** Names of the fields that it has instead; empty where the API server removed them. */
  readonly fields: readonly string[];
}

export interface PodRule {
  /** Empty: any peer. */
  readonly peers: readonly PodPeer[];
  /** Empty: any IP protocol. */
  readonly protocols: readonly PodProtocol[];
}

/** By annotation `sluice.dev/mode`. */
export type PolicyMode = "Enforce" | "Audit";

export interface NetworkPolicyRecord {
  readonly kind: "NetworkPolicy";
  readonly namespace: string;
  readonly name: string;
  readonly origin: Origin;
  readonly generation: number;
  readonly mode: PolicyMode;
  readonly podSelector: LabelSelector;
  /** What may reach the pods; undefined: they are not isolated for ingress (N2, N5, N6). */
  readonly ingress: readonly PodRule[] | undefined;
  /** What the pods may reach; undefined: they are not isolated for egress. */
  readonly egress: readonly PodRule[] | undefined;
}

export interface TierRule extends PodRule {
  /** Empty: unnamed. */
  readonly name: string;
  readonly action: "Accept" | "Deny" | "Pass";
}

export interface ClusterNetworkPolicyRecord {
  readonly kind: "ClusterNetworkPolicy";
  readonly name: string;
  readonly origin: Origin;
  readonly generation: number;
  readonly mode: PolicyMode;
  readonly tier: "Admin" | "Baseline";
  /** 0 … 1000, lower first. */
  readonly priority: number;
  readonly subject: {
    readonly namespaceSelector: LabelSelector;
    readonly podSelector: LabelSelector;
  };
  readonly ingress: readonly TierRule[];
  readonly egress: readonly TierRule[];
}
