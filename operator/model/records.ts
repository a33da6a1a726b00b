/**
 * Projected records: what the compiler reads. Never raw API objects.
 * Meanings are defined in docs/xdp-policy.md.
 */

/** `source` of an object that came from the API server. */
export const API_SOURCE = "api";

/** Where an object came from, for messages: a file and line, or an API server object. */
export interface Origin {
  /** Path as the user gave it, or {@link API_SOURCE}. */
  readonly source: string;
  /** 1-based line of the document's first line; absent for API objects. */
  readonly line?: number;
}

/** One CIDR, canonical: host bits are zero. */
export type Cidr = CidrV4 | CidrV6;

export interface CidrV4 {
  readonly family: 4;
  /** Address in host order, 0 … 2^32 − 1. */
  readonly address: number;
  /** 0 … 32. */
  readonly length: number;
}

export interface CidrV6 {
  readonly family: 6;
  /** Upper and lower 64 bits in host order. */
  readonly high: bigint;
  readonly low: bigint;
  /** 0 … 128. */
  readonly length: number;
}

/** Kubernetes label selector (matchLabels folded into matchExpressions is not done: kept as written). */
export interface LabelSelector {
  readonly matchLabels?: Readonly<Record<string, string>>;
  readonly matchExpressions?: readonly LabelExpression[];
}

export interface LabelExpression {
  readonly key: string;
  readonly operator: "In" | "NotIn" | "Exists" | "DoesNotExist";
  readonly values?: readonly string[];
}

export type Peer =
  | { readonly kind: "cidr"; readonly cidr: Cidr; readonly except: readonly Cidr[] }
  | { readonly kind: "cidrSet"; readonly setName: string }
  | { readonly kind: "nodes"; readonly selector: LabelSelector };

/** Both ends included; a single port has start = end. */
export interface PortRange {
  readonly start: number;
  readonly end: number;
}

export type TcpFlag = "FIN" | "SYN" | "RST" | "PSH" | "ACK" | "URG" | "ECE" | "CWR";

export type ProtocolMatch =
  | {
      readonly kind: "tcp";
      readonly destinationPort?: PortRange;
      readonly sourcePort?: PortRange;
      readonly flags?: { readonly set: readonly TcpFlag[]; readonly unset: readonly TcpFlag[] };
    }
  | {
      readonly kind: "udp" | "sctp";
      readonly destinationPort?: PortRange;
      readonly sourcePort?: PortRange;
    }
  | { readonly kind: "icmp" | "icmpv6"; readonly type?: number; readonly code?: number }
  | { readonly kind: "protocol"; readonly number: number };

export type Trait =
  | "Fragment"
  | "IPOptions"
  | "SameAddress"
  | "MartianSource"
  | "ZeroPort"
  | "ImpossibleTCPFlags"
  | "Bogon";

export interface RateLimit {
  readonly unit: "packets" | "bytes";
  /** Units per second, ≥ 1. */
  readonly rate: number;
  /** Units, ≥ 1. */
  readonly burst: number;
  readonly per: "Node" | "SourceAddress" | "SourcePrefix";
  /** Only read with `per: SourcePrefix`. */
  readonly ipv4PrefixLength: number;
  readonly ipv6PrefixLength: number;
}

export type RedirectTarget =
  | { readonly kind: "cpus"; readonly cpus: readonly number[] }
  | { readonly kind: "interface"; readonly name: string }
  | { readonly kind: "socketMap"; readonly name: string };

export type RuleAction =
  | { readonly kind: "Accept" | "Drop" | "Pass" }
  | { readonly kind: "Limit"; readonly rateLimit: RateLimit }
  | { readonly kind: "Redirect"; readonly target: RedirectTarget };

export interface RuleRecord {
  readonly name: string;
  readonly action: RuleAction;
  /** Empty: any source. */
  readonly from: readonly Peer[];
  /** Empty: any destination. */
  readonly to: readonly Peer[];
  /** Empty: any IP protocol. */
  readonly protocols: readonly ProtocolMatch[];
  /** Empty: any packet. */
  readonly traits: readonly Trait[];
  /** Report one matching packet of this many; 0: none. */
  readonly logOneIn: number;
  /** Milliseconds since the epoch. */
  readonly expiresAtMs?: number;
}

export type DefaultAction = "Pass" | "Accept" | "Drop";

export interface XdpPolicyRecord {
  readonly kind: "XdpPolicy";
  readonly name: string;
  readonly origin: Origin;
  /** metadata.generation from the API server; in manifest mode counted by the source, from 1. */
  readonly generation: number;
  readonly priority: number;
  readonly nodeSelector: LabelSelector;
  /** Globs; empty: the node's uplinks. */
  readonly interfaces: readonly string[];
  readonly mode: "Enforce" | "Audit";
  readonly defaultAction: DefaultAction;
  readonly confirmWithinMs?: number;
  readonly rules: readonly RuleRecord[];
}

export interface XdpCidrSetRecord {
  readonly kind: "XdpCidrSet";
  /** Name of the object. */
  readonly name: string;
  readonly origin: Origin;
  readonly generation: number;
  /** Name of the set that this object feeds. */
  readonly setName: string;
  readonly entries: CidrList;
}

/**
 * Many CIDRs as columns, in no particular order, duplicates allowed:
 * at a million entries one object per CIDR would cost 100 MB.
 */
export interface CidrList {
  readonly v4: {
    /** Host order. */
    readonly address: Uint32Array;
    readonly length: Uint8Array;
    /** Seconds since the epoch, rounded up; 0: never. */
    readonly expiresAt: Float64Array | undefined;
  };
  readonly v6: {
    readonly high: BigUint64Array;
    readonly low: BigUint64Array;
    readonly length: Uint8Array;
    readonly expiresAt: Float64Array | undefined;
  };
}

export interface NodeRecord {
  readonly kind: "Node";
  readonly name: string;
  readonly origin: Origin;
  readonly labels: Readonly<Record<string, string>>;
  readonly addresses: readonly Cidr[];
  /** Those of them by which the nodes of the cluster reach it, in the order of the object. */
  readonly internalAddresses: readonly Cidr[];
  /** Milliseconds since the epoch; 0 when the object does not say. */
  readonly createdAtMs: number;
  /** What its pods get their addresses from; empty: nothing assigned yet. */
  readonly podCidrs: readonly Cidr[];
  /** Being deleted, or marked by the cluster autoscaler: balancers shall send nothing new. */
  readonly isLeaving: boolean;
}

export type ObjectRecord = XdpPolicyRecord | XdpCidrSetRecord | NodeRecord;

/** An object that was refused, or one worth a warning. One line for people, parts for programs. */
export interface Problem {
  readonly severity: "error" | "warning";
  /** Stable code, `SLUICE_…`. */
  readonly code: string;
  readonly origin: Origin;
  /** Kind and name, when known. */
  readonly kind?: string;
  readonly name?: string;
  /** Path inside the object, `spec.ingress[2].from[0].cidr`. */
  readonly field?: string;
  /** 1-based line of that field in the source, when known. */
  readonly line?: number;
  /** What is wrong. */
  readonly message: string;
  /** What to do about it. */
  readonly remedy: string;
  /** Generation of the last good version of the object, when that stays in force. */
  readonly keptGeneration?: number;
}
