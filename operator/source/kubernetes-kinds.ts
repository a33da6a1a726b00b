import type { WatchTarget } from "../kube/reflector.js";
import { KNOWN_KINDS, type Kind } from "../model/identify.js";

/** A kind that is read from the API server. What an object of it means is `operator/model/admit.ts`. */
export interface KubernetesKind {
  readonly kind: Kind;
  readonly target: WatchTarget;
  /**
   * The generation grows with each change that matters, so an object of a known one need not be read. Not so for what
   * has no generation, or whose metadata matters.
   */
  readonly hasGeneration: boolean;
}

/** In the order in which objects are told first: what policies refer to comes before them. */
export const kubernetesKinds: readonly KubernetesKind[] = [
  { kind: "Node", target: { path: "/api/v1/nodes" }, hasGeneration: false },
  { kind: "XdpCidrSet", target: { path: custom("xdpcidrsets") }, hasGeneration: true },
  { kind: "XdpPolicy", target: { path: custom("xdppolicies") }, hasGeneration: true },
];

function custom(plural: string): string {
  return `/apis/${KNOWN_KINDS.XdpPolicy}/${plural}`;
}
