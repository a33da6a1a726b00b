/** What a node sees of a cluster's Services: manifests as the API server has them, and the node's own set-up. */

export type Protocol = "TCP" | "UDP" | "SCTP";
export type Policy = "Cluster" | "Local";

interface Metadata {
  readonly namespace: string;
  readonly name: string;
  readonly creationTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

export interface ServicePortManifest {
  readonly name?: string;
  readonly protocol?: Protocol;
  readonly port: number;
  readonly nodePort?: number;
}

export interface Ingress {
  readonly ip?: string;
  readonly hostname?: string;
  readonly ipMode?: "VIP" | "Proxy";
}

export interface ServiceManifest {
  readonly metadata: Metadata;
  readonly spec: {
    readonly type?: "ClusterIP" | "NodePort" | "LoadBalancer" | "ExternalName";
    /** Empty for type ExternalName; `None` for headless ones. */
    readonly clusterIPs?: readonly string[];
    readonly ports?: readonly ServicePortManifest[];
    readonly externalIPs?: readonly string[];
    readonly loadBalancerSourceRanges?: readonly string[];
    readonly externalTrafficPolicy?: Policy;
    readonly internalTrafficPolicy?: Policy;
    readonly healthCheckNodePort?: number;
  };
  readonly status?: { readonly loadBalancer?: { readonly ingress?: readonly Ingress[] } };
}

export interface EndpointManifest {
  readonly addresses: readonly string[];
  readonly conditions?: {
    readonly ready?: boolean;
    readonly serving?: boolean;
    readonly terminating?: boolean;
  };
  readonly nodeName?: string;
  readonly hints?: {
    readonly forZones?: readonly { readonly name: string }[];
    readonly forNodes?: readonly { readonly name: string }[];
  };
}

export interface SliceManifest {
  readonly metadata: Metadata;
  readonly addressType: "IPv4" | "IPv6" | "FQDN";
  readonly ports?: readonly {
    readonly name: string;
    readonly protocol?: Protocol;
    readonly port?: number;
  }[];
  readonly endpoints?: readonly EndpointManifest[];
}

export interface NodeSetup {
  readonly name: string;
  readonly zone?: string;
  readonly ownAddresses: readonly string[];
  /** Those of them that ports of the node are to be had at. */
  readonly nodePortAddresses: readonly string[];
  /** Blocks of pods; with `knowsPods` false they are not known. */
  readonly podRanges: readonly string[];
  readonly serviceRanges: readonly string[];
  /** Of all nodes. */
  readonly nodeAddresses: readonly string[];
  readonly allowedExternalIPs?: readonly string[];
  readonly knowsPods: boolean;
  readonly masqueradeAll: boolean;
}

export interface World {
  readonly node: NodeSetup;
  readonly services: readonly ServiceManifest[];
  readonly slices: readonly SliceManifest[];
}

/** The first packet of a flow. */
export interface Packet {
  readonly source: string;
  readonly destination: string;
  readonly port: number;
  readonly protocol: Protocol;
}

/**
 * `pass`: not for a Service; `drop`; `reject`; else each backend that it may go to, in order: `10.0.1.2:8080`, with ` M`
 * behind it where it gets an address of the node.
 */
export type Answer = "pass" | "drop" | "reject" | readonly string[];
