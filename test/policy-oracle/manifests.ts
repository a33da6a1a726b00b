/** The objects as the API server gives them: the fields of them that a verdict depends on. */

export interface Metadata {
  readonly name: string;
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  /** Changes no verdict: a terminating pod stays a pod until it has ended (N24). */
  readonly deletionTimestamp?: string;
}

export interface LabelSelector {
  readonly matchLabels?: Readonly<Record<string, string>>;
  readonly matchExpressions?: readonly SelectorRequirement[];
}

export interface SelectorRequirement {
  readonly key: string;
  readonly operator: "In" | "NotIn" | "Exists" | "DoesNotExist";
  readonly values?: readonly string[];
}

export type Protocol = "TCP" | "UDP" | "SCTP";

export interface ContainerPort {
  readonly name?: string;
  readonly containerPort: number;
  readonly protocol?: Protocol;
}

export interface Container {
  readonly name: string;
  readonly ports?: readonly ContainerPort[];
  /** Of an init container: "Always" makes it a sidecar, which serves while the pod runs. */
  readonly restartPolicy?: string;
}

export interface Pod {
  readonly metadata: Metadata;
  readonly spec: {
    readonly nodeName?: string;
    readonly hostNetwork?: boolean;
    readonly containers: readonly Container[];
    readonly initContainers?: readonly Container[];
  };
  readonly status?: {
    readonly phase?: string;
    readonly podIP?: string;
    readonly podIPs?: readonly { readonly ip: string }[];
  };
}

export interface Namespace {
  readonly metadata: Metadata;
}

export interface Node {
  readonly metadata: Metadata;
  readonly status?: {
    readonly addresses?: readonly { readonly type: string; readonly address: string }[];
  };
}

export type Direction = "egress" | "ingress";

export interface NetworkPolicyPeer {
  readonly podSelector?: LabelSelector;
  readonly namespaceSelector?: LabelSelector;
  readonly ipBlock?: { readonly cidr: string; readonly except?: readonly string[] };
}

export interface NetworkPolicyPort {
  readonly protocol?: Protocol;
  readonly port?: number | string;
  readonly endPort?: number;
}

export interface NetworkPolicyIngressRule {
  readonly from?: readonly NetworkPolicyPeer[];
  readonly ports?: readonly NetworkPolicyPort[];
}

export interface NetworkPolicyEgressRule {
  readonly to?: readonly NetworkPolicyPeer[];
  readonly ports?: readonly NetworkPolicyPort[];
}

export interface NetworkPolicy {
  readonly metadata: Metadata;
  readonly spec?: {
    readonly podSelector?: LabelSelector;
    readonly policyTypes?: readonly ("Ingress" | "Egress")[];
    readonly ingress?: readonly NetworkPolicyIngressRule[];
    readonly egress?: readonly NetworkPolicyEgressRule[];
  };
}

export type Tier = "Admin" | "Baseline";

export interface NamespacedPods {
  readonly namespaceSelector?: LabelSelector;
  readonly podSelector?: LabelSelector;
}

/** Exactly one field is set; none: the peer has a field of a newer version (C10). */
export interface ClusterPolicyPeer {
  readonly namespaces?: LabelSelector;
  readonly pods?: NamespacedPods;
  readonly nodes?: LabelSelector;
  readonly networks?: readonly string[];
  readonly domainNames?: readonly string[];
}

export interface ClusterPolicyPort {
  readonly number?: number;
  readonly range?: { readonly start: number; readonly end: number };
}

export interface ClusterPolicyTransport {
  readonly destinationPort?: ClusterPolicyPort;
}

/** Exactly one field is set. */
export interface ClusterPolicyProtocol {
  readonly tcp?: ClusterPolicyTransport;
  readonly udp?: ClusterPolicyTransport;
  readonly sctp?: ClusterPolicyTransport;
  readonly destinationNamedPort?: string;
}

export type Action = "Accept" | "Deny" | "Pass";

interface ClusterPolicyRule {
  readonly name?: string;
  readonly action: Action;
  readonly protocols?: readonly ClusterPolicyProtocol[];
}

export type ClusterPolicyIngressRule = ClusterPolicyRule & {
  readonly from: readonly ClusterPolicyPeer[];
};

export type ClusterPolicyEgressRule = ClusterPolicyRule & {
  readonly to: readonly ClusterPolicyPeer[];
};

export interface ClusterNetworkPolicy {
  readonly metadata: Metadata;
  readonly spec: {
    readonly tier: Tier;
    readonly priority: number;
    readonly subject: { readonly namespaces?: LabelSelector; readonly pods?: NamespacedPods };
    readonly ingress?: readonly ClusterPolicyIngressRule[];
    readonly egress?: readonly ClusterPolicyEgressRule[];
  };
}

export interface Cluster {
  readonly namespaces: readonly Namespace[];
  readonly nodes: readonly Node[];
  readonly pods: readonly Pod[];
  readonly networkPolicies: readonly NetworkPolicy[];
  readonly clusterNetworkPolicies: readonly ClusterNetworkPolicy[];
}

/** `namespace/name`, as verdicts and packets name pods and NetworkPolicies. */
export function keyOf({ metadata }: { readonly metadata: Metadata }): string {
  return `${metadata.namespace ?? "default"}/${metadata.name}`;
}

/** The annotation `sluice.dev/mode: audit`: judged and reported, but not enforced. */
export function isAudit({ metadata }: { readonly metadata: Metadata }): boolean {
  return metadata.annotations?.["sluice.dev/mode"] === "audit";
}
