/** Brings a real cluster from one state of a spec to the next. */

import {
  type Cluster,
  keyOf,
  type Metadata,
  type NetworkPolicy,
} from "../policy-oracle/manifests.js";
import type { KubeObject } from "../support/cluster/apply.js";
import type { Cluster as RealCluster } from "../support/cluster/cluster.js";
import { createNamespace } from "../kubernetes/pods.js";
import type { Changed } from "./fence.js";
import type { PodRunner } from "./pods.js";

type Objects = Pick<Cluster, "namespaces" | "pods" | "networkPolicies">;

export const NOTHING: Objects = { namespaces: [], pods: [], networkPolicies: [] };

/** What a spec does not need is left as it is only when it is in `next` too. */
export async function changeObjects(
  cluster: RealCluster,
  runner: PodRunner,
  before: Objects,
  next: Objects,
): Promise<Changed> {
  const namespaces = compare(before.namespaces, next.namespaces);
  const pods = compare(before.pods, next.pods);
  const policies = compare(before.networkPolicies, next.networkPolicies);
  const request = cluster.request.bind(cluster);
  const pathOf = ({ namespace, name }: Metadata, kind: "pods" | "networkpolicies") => {
    const group = kind === "pods" ? "/api/v1" : "/apis/networking.k8s.io/v1";
    return `${group}/namespaces/${namespace}/${kind}/${name}`;
  };
  const relabel = (path: string, one: Metadata, other: Metadata) =>
    request({
      method: "PATCH",
      path,
      contentType: "application/merge-patch+json",
      body: { metadata: { labels: labelChanges(one, other) } },
    });

  await Promise.all([
    ...namespaces.added.map(({ metadata }) =>
      createNamespace(cluster, metadata.name, metadata.labels),
    ),
    ...namespaces.changed.map(([{ metadata }, other]) =>
      relabel(`/api/v1/namespaces/${metadata.name}`, metadata, other.metadata),
    ),
    ...policies.removed.map(({ metadata }) =>
      request({ method: "DELETE", path: pathOf(metadata, "networkpolicies") }),
    ),
  ]);
  await Promise.all([
    ...pods.added.map((pod) => runner.start(pod)),
    ...pods.changed.map(([{ metadata }, other]) =>
      relabel(pathOf(metadata, "pods"), metadata, other.metadata),
    ),
    ...pods.removed.map((pod) => runner.stop(pod)),
    ...[...policies.added, ...policies.changed.map(([, policy]) => policy)].map((policy) =>
      cluster.apply(manifestOf(policy)),
    ),
  ]);
  await Promise.all(
    namespaces.removed.map(({ metadata }) => removeNamespace(cluster, metadata.name)),
  );
  return {
    pods: pods.added.length + pods.changed.length + pods.removed.length > 0,
    namespaces: namespaces.added.length + namespaces.changed.length + namespaces.removed.length > 0,
  };
}

function manifestOf({
  metadata: { name, namespace = "default" },
  spec,
}: NetworkPolicy): KubeObject {
  const metadata = { name, namespace };
  return { apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy", metadata, spec };
}

/** Nobody empties a namespace here, so what is in it has to be gone. */
async function removeNamespace(cluster: RealCluster, name: string): Promise<void> {
  const path = `/api/v1/namespaces/${name}`;
  await cluster.request({ method: "DELETE", path });
  const body = {
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name },
    spec: { finalizers: [] },
  };
  await cluster.request({ method: "PUT", path: `${path}/finalize`, body });
}

interface Named {
  readonly metadata: Metadata;
}

function compare<T extends Named>(before: readonly T[], next: readonly T[]) {
  const old = new Map(before.map((one) => [keyOf(one), one]));
  const keys = new Set(next.map(keyOf));
  return {
    added: next.filter((one) => !old.has(keyOf(one))),
    removed: before.filter((one) => !keys.has(keyOf(one))),
    changed: next.flatMap((one) => {
      const other = old.get(keyOf(one));
      const isSame = other === undefined || JSON.stringify(other) === JSON.stringify(one);
      return isSame ? [] : [[other, one] as const];
    }),
  };
}

/** For a merge patch: null takes a label off. */
function labelChanges(before: Metadata, next: Metadata): Readonly<Record<string, string | null>> {
  const gone = Object.keys(before.labels ?? {}).map((key) => [key, null] as const);
  return { ...Object.fromEntries(gone), ...next.labels };
}
