/** Projected records of Pods and Namespaces. */
import type { Origin } from "./records.js";

/** Keys and values; records with equal labels mostly share one frozen object. */
export type Labels = Readonly<Record<string, string>>;

export type Transport = "tcp" | "udp" | "sctp";

/** One IPv6 address, its upper and lower 64 bits in host order. */
export interface AddressV6 {
  readonly high: bigint;
  readonly low: bigint;
}

/** At most one address of each family, as the API server allows. */
export interface AddressPair {
  /** Host order. */
  readonly ipv4: number | undefined;
  readonly ipv6: AddressV6 | undefined;
}

/** A container port that policies may refer to by its name. */
export interface NamedPort {
  readonly name: string;
  readonly protocol: Transport;
  readonly port: number;
}

export interface PodRecord extends AddressPair {
  readonly kind: "Pod";
  readonly namespace: string;
  readonly name: string;
  readonly origin: Origin;
  /** Differs when a pod was replaced by one of the same name. */
  readonly uid: string;
  /** Of a static pod, as the runtime knows it: `uid` is that of the mirror, which the kubelet puts at the API server. */
  readonly staticUid?: string;
  /** Undefined: not scheduled yet. */
  readonly nodeName: string | undefined;
  readonly labels: Labels;
  readonly isHostNetwork: boolean;
  /** Succeeded or Failed: it holds no address, since another pod may have it (NetworkPolicy N24). */
  readonly isCompleted: boolean;
  /** Of containers and of the init containers that stay (sidecars). */
  readonly namedPorts: readonly NamedPort[];
  /** Bits per second to the pod; undefined: no limit. */
  readonly ingressBitsPerSecond: number | undefined;
  /** Bits per second from the pod; undefined: no limit. */
  readonly egressBitsPerSecond: number | undefined;
  /** Those of `sluice.dev/` alone. */
  readonly annotations: Labels;
}

export interface NamespaceRecord {
  readonly kind: "Namespace";
  readonly name: string;
  readonly origin: Origin;
  /** With `kubernetes.io/metadata.name`, also where a manifest leaves it to the API server. */
  readonly labels: Labels;
}
