import type { WatchTarget } from "../kube/reflector.js";
import { KNOWN_KINDS, type Kind } from "../model/identify.js";
import type { Interner } from "../model/interner.js";
import type { ClusterKind } from "../model/project-cluster.js";
import {
  EndpointSlice as SliceMessage,
  Node as NodeMessage,
  Pod as PodMessage,
  Service as ServiceMessage,
} from "./cluster-messages.js";
import { HeldManifests } from "./held-manifests.js";
import type { HeldObjects } from "./held-objects.js";
import { HeldRecords } from "./held-records.js";

/** A kind that is read from the API server: where it is, and what an object of it means. */
export interface KubernetesKind {
  readonly kind: Kind | ClusterKind;
  readonly target: WatchTarget;
  /** A server that does not know it has none of it. */
  readonly isOptional?: boolean;
  /** @param interner shared by all kinds */
  hold(interner: Interner): HeldObjects;
}

function manifests(kind: Kind, target: WatchTarget, hasGeneration: boolean): KubernetesKind {
  return { kind, target, hold: () => new HeldManifests(kind, { hasGeneration }) };
}

function records(kind: ClusterKind, target: WatchTarget): KubernetesKind {
  return { kind, target, hold: (interner) => new HeldRecords(kind, interner) };
}

const sluice = `/apis/${KNOWN_KINDS.XdpPolicy}`;

/** What policies are made of, in the order in which objects are told first: what policies refer to comes before them. */
export const policyKinds: readonly KubernetesKind[] = [
  manifests("Node", { path: "/api/v1/nodes", message: NodeMessage }, false),
  manifests("XdpCidrSet", { path: `${sluice}/xdpcidrsets` }, true),
  manifests("XdpPolicy", { path: `${sluice}/xdppolicies` }, true),
];

/** The API server's own endpoints: an agent must always hear from them. */
export const apiServerEndpoints: KubernetesKind = records("EndpointSlice", {
  path: "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
  fieldSelector: "metadata.name=kubernetes",
  message: SliceMessage,
});

/** Neither another proxy's nor headless: as kube-proxy selects. */
const served = "!service.kubernetes.io/service-proxy-name,!service.kubernetes.io/headless";

/** Pods of other nodes matter, too: policies select them. */
export const podKinds: readonly KubernetesKind[] = [
  records("Namespace", { path: "/api/v1/namespaces" }),
  // A pod that has ended is told as deleted: its address may be another one's by now (NetworkPolicy N24).
  records("Pod", {
    path: "/api/v1/pods",
    fieldSelector: "status.phase!=Succeeded,status.phase!=Failed",
    message: PodMessage,
  }),
  records("NetworkPolicy", { path: "/apis/networking.k8s.io/v1/networkpolicies" }),
  {
    ...records("ClusterNetworkPolicy", {
      path: "/apis/policy.networking.k8s.io/v1alpha2/clusternetworkpolicies",
    }),
    // Its CRD is not part of Kubernetes.
    isOptional: true,
  },
];

export const serviceKinds: readonly KubernetesKind[] = [
  records("Service", { path: "/api/v1/services", labelSelector: served, message: ServiceMessage }),
  records("EndpointSlice", {
    path: "/apis/discovery.k8s.io/v1/endpointslices",
    labelSelector: served,
    message: SliceMessage,
  }),
];
