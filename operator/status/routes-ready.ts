import type { PodRoutingState } from "../api/engine.js";
import type { Finding } from "./condition.js";

/**
 * Whether pods of other nodes are reached: the condition `RoutesReady` of a NodeDatapath. It counts neither nodes nor
 * routes, or a node that joins would have all others write theirs.
 */
export function routesFinding({ mode, inSync, error, mtu, devices }: PodRoutingState): Finding {
  const type = "RoutesReady";
  if (error !== undefined)
    return { type, status: "False", reason: "RoutesFailing", message: error };
  if (!inSync) {
    const message = "the API server has not delivered all nodes yet";
    return { type, status: "False", reason: "NotInSync", message };
  }
  const by = devices.map(({ name }) => ` by ${name}`).join("");
  return {
    type,
    status: "True",
    reason: "Routed",
    message: `${mode}${by}, MTU of pods ${mtu}`,
  };
}
