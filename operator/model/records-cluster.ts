import type { ClusterNetworkPolicyRecord, NetworkPolicyRecord } from "./records-network-policy.js";
import type { NamespaceRecord, PodRecord } from "./records-pod.js";
import type { EndpointSliceRecord, ServiceRecord } from "./records-service.js";

/** Records of the kinds that are Kubernetes' own and that Sluice only reads, Nodes aside. */
export type ClusterRecord =
  | PodRecord
  | NamespaceRecord
  | ServiceRecord
  | EndpointSliceRecord
  | NetworkPolicyRecord
  | ClusterNetworkPolicyRecord;
