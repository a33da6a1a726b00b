import assert from "node:assert/strict";
import type { NodeStatus } from "../../operator/status/describe-node.js";
import type { PolicyStatus } from "../../operator/status/fold.js";
import type { Cluster } from "../support/cluster/cluster.js";

const api = "/apis/sluice.dev/v1alpha1";

async function statusOf<Status>(cluster: Cluster, path: string): Promise<Status> {
  const { status } = await cluster.get<{ status?: Status }>(`${api}/${path}`);
  assert.ok(status, `${path} has no status yet`);
  return status;
}

export function policyStatus(cluster: Cluster, name: string): Promise<PolicyStatus> {
  return statusOf(cluster, `xdppolicies/${name}`);
}

export function nodeDatapath(cluster: Cluster, name: string): Promise<NodeStatus> {
  return statusOf(cluster, `nodedatapaths/${name}`);
}

export function conditionOf({ conditions }: Pick<PolicyStatus, "conditions">, type: string) {
  return conditions?.find((condition) => condition.type === type);
}

interface EventList {
  readonly items: readonly {
    readonly reason: string;
    readonly involvedObject: { readonly kind: string; readonly name: string };
  }[];
}

/** Reasons of the Events about an object. */
export async function eventsOf(
  cluster: Cluster,
  kind: string,
  name: string,
): Promise<readonly string[]> {
  const { items } = await cluster.get<EventList>("/api/v1/namespaces/default/events");
  return items
    .filter(({ involvedObject: about }) => about.kind === kind && about.name === name)
    .map(({ reason }) => reason);
}

/** Who holds the leader's Lease: the name of its node, and what tells its agent apart from others there. */
export async function leaseHolder(cluster: Cluster, name = "sluice-leader"): Promise<string> {
  const path = `/apis/coordination.k8s.io/v1/namespaces/sluice-system/leases/${name}`;
  const { spec } = await cluster.get<{ spec: { holderIdentity?: string } }>(path);
  return spec.holderIdentity ?? "";
}
