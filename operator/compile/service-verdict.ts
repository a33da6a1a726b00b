import type { ServiceRecord } from "../model/records-service.js";
import type { NeededLists } from "./service-endpoints.js";

/** Where the address of a Service's packet stands: in the cluster only, or reachable from outside of it. */
export type FrontendKind = "clusterIP" | "externalIP" | "loadBalancerIP" | "nodePort";

/** Who sends: a pod of the cluster, a process of this node, or anybody else. */
export type Sender = "pod" | "node" | "outside";

/** What becomes of a packet to a frontend: services.md §1.5. */
export interface FrontendVerdict {
  /** Backends that it may go to. */
  readonly list: "cluster" | "local";
  /** It arrives from an address of this node instead of its sender's; hairpins do so besides. */
  readonly masquerade: boolean;
}

export interface ServiceOptions {
  /** Pods' addresses are known, so their packets are told from others. */
  readonly knowsPods: boolean;
  /** Everything to a cluster IP arrives from an address of this node. */
  readonly masqueradeAll: boolean;
}

/** Reachable from outside: only then does its external traffic policy mean something. */
export function isExternallyAccessible({
  type,
  externalIPs,
}: Pick<ServiceRecord, "type" | "externalIPs">): boolean {
  return type === "NodePort" || type === "LoadBalancer" || externalIPs.length > 0;
}

type Policies = Pick<
  ServiceRecord,
  "type" | "externalIPs" | "internalTrafficPolicy" | "externalTrafficPolicy"
>;

export function neededLists(service: Policies): NeededLists {
  const isExternal = isExternallyAccessible(service);
  return {
    // Also under external policy Local: pods and the node itself reach all backends.
    cluster: service.internalTrafficPolicy === "Cluster" || isExternal,
    local:
      service.internalTrafficPolicy === "Local" ||
      (isExternal && service.externalTrafficPolicy === "Local"),
  };
}

/** The matrix of services.md §1.5, one cell of it. */
export function frontendVerdict(
  service: Policies,
  kind: FrontendKind,
  sender: Sender,
  { knowsPods, masqueradeAll }: ServiceOptions,
): FrontendVerdict {
  // Without knowledge of pods they are somebody from outside.
  const from = sender === "pod" && !knowsPods ? "outside" : sender;
  if (kind === "clusterIP") {
    return {
      list: service.internalTrafficPolicy === "Local" ? "local" : "cluster",
      masquerade: masqueradeAll || (knowsPods && from !== "pod"),
    };
  }
  if (service.externalTrafficPolicy === "Cluster") return { list: "cluster", masquerade: true };
  switch (from) {
    case "pod":
      return { list: "cluster", masquerade: false };
    case "node":
      return { list: "cluster", masquerade: true };
    case "outside":
      return { list: "local", masquerade: false };
  }
}
