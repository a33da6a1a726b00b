/** Projected records of Services and EndpointSlices: what services.md §1 decides by. */
import type { Cidr, Origin } from "./records.js";
import type { AddressPair, Labels, Transport } from "./records-pod.js";

export interface ServicePort {
  /** Empty: the only port of its Service, unnamed. */
  readonly name: string;
  readonly protocol: Transport;
  readonly port: number;
  /** Number or name, for people: endpoints are taken from slices, which have it resolved. */
  readonly targetPort: number | string;
  /** 0: none. */
  readonly nodePort: number;
}

export type TrafficPolicy = "Cluster" | "Local";

/** The addresses are the cluster IPs; none for headless Services and for type ExternalName. */
export interface ServiceRecord extends AddressPair {
  readonly kind: "Service";
  readonly namespace: string;
  readonly name: string;
  readonly origin: Origin;
  /** Milliseconds since the epoch; 0: unknown. Of two that claim one address the older has it. */
  readonly createdAtMs: number;
  readonly type: "ClusterIP" | "NodePort" | "LoadBalancer" | "ExternalName";
  /** By its labels another proxy's, or to be left alone: not to be served. */
  readonly isExcluded: boolean;
  readonly isHeadless: boolean;
  readonly ports: readonly ServicePort[];
  /** Each /32 or /128. */
  readonly externalIPs: readonly Cidr[];
  /** Each /32 or /128; only those to capture: with ipMode `VIP` or without ipMode. */
  readonly loadBalancerIPs: readonly Cidr[];
  /** Empty: any source. */
  readonly sourceRanges: readonly Cidr[];
  readonly externalTrafficPolicy: TrafficPolicy;
  readonly internalTrafficPolicy: TrafficPolicy;
  /** 0: none. */
  readonly healthCheckNodePort: number;
  /** Session affinity by client address; 0: none. */
  readonly affinitySeconds: number;
  readonly publishNotReadyAddresses: boolean;
  readonly trafficDistribution: string | undefined;
  readonly loadBalancerClass: string | undefined;
  /** Those of `sluice.dev/` and the topology mode's. */
  readonly annotations: Labels;
}

export interface EndpointPort {
  /** Joins it to the Service's port of the same name and protocol. */
  readonly name: string;
  readonly protocol: Transport;
  readonly port: number;
}

/**
 * Numbers of up to 32 bits. A short plain array of numbers costs half of a typed array, whose
 * buffer alone takes 200 bytes; a long one costs more.
 */
export type WordColumn = readonly number[] | Uint32Array;

/** Bits of an endpoint's conditions. */
export const READY = 1;
export const SERVING = 2;
export const TERMINATING = 4;

/** Endpoints lie in columns, each the same number at the same index. */
export interface EndpointSliceRecord {
  readonly kind: "EndpointSlice";
  readonly namespace: string;
  readonly name: string;
  readonly origin: Origin;
  /** Undefined: belongs to no Service, and means nothing. */
  readonly serviceName: string | undefined;
  /** As of a Service. */
  readonly isExcluded: boolean;
  /** A slice of domain names (FQDN) has no endpoints here. */
  readonly family: 4 | 6;
  readonly ports: readonly EndpointPort[];
  /** One word per endpoint for IPv4, four for IPv6, most significant first. */
  readonly addresses: WordColumn;
  /** READY, SERVING and TERMINATING or-ed, one per endpoint. */
  readonly conditions: readonly number[];
  /** Undefined at an index: on no node that is known, so a remote one. Empty: all are. */
  readonly nodeNames: readonly (string | undefined)[];
  /** Zones that each endpoint is meant for; undefined: no endpoint has such hints. */
  readonly zoneHints: readonly (readonly string[])[] | undefined;
  /** Nodes that each endpoint is meant for; undefined: no endpoint has such hints. */
  readonly nodeHints: readonly (readonly string[])[] | undefined;
  /** When the change that led to this version happened: milliseconds since the epoch. */
  readonly triggeredAtMs: number | undefined;
}
