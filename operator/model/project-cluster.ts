import { type Finding, formatPath, limitFindings } from "./finding.js";
import type { ClusterProjection } from "./cluster-projection.js";
import type { Interner } from "./interner.js";
import { projectClusterNetworkPolicy } from "./project-cluster-network-policy.js";
import { projectEndpointSlice } from "./project-endpoint-slice.js";
import { projectNamespace } from "./project-namespace.js";
import { projectNetworkPolicy } from "./project-network-policy.js";
import { projectPod } from "./project-pod.js";
import { projectService } from "./project-service.js";
import type { Draft } from "./projection.js";
import type { Origin, Problem } from "./records.js";
import type { ClusterRecord } from "./records-cluster.js";

export type ClusterKind = ClusterRecord["kind"];

type Drafts = { readonly [K in ClusterKind]: Draft<Extract<ClusterRecord, { kind: K }>> };

/** Reads one object of Kubernetes' own kinds; the record is worth something only when no finding is an error. */
export const CLUSTER_PROJECTIONS: {
  readonly [K in ClusterKind]: (manifest: unknown, projection: ClusterProjection) => Drafts[K];
} = {
  Pod: projectPod,
  Namespace: projectNamespace,
  Service: projectService,
  EndpointSlice: projectEndpointSlice,
  NetworkPolicy: projectNetworkPolicy,
  ClusterNetworkPolicy: projectClusterNetworkPolicy,
};

export interface ClusterAdmission<K extends ClusterKind = ClusterKind> {
  /** Absent when the object is refused: it is skipped whole. */
  readonly draft?: Drafts[K];
  readonly problems: readonly Problem[];
}

const NO_PROBLEMS: readonly Problem[] = Object.freeze([]);

/**
 * Turns an object as the API server sent it, or as a file has it, into its record. Never throws,
 * whatever the object is; does not keep or change it.
 *
 * @param kind what its path or its fields apiVersion and kind say that it is
 */
export function projectClusterObject<K extends ClusterKind>(
  kind: K,
  object: unknown,
  origin: Origin,
  interner: Interner,
): ClusterAdmission<K> {
  const findings: Finding[] = [];
  const draft = CLUSTER_PROJECTIONS[kind](object, { findings, interner });
  if (findings.length === 0) return { draft, problems: NO_PROBLEMS };
  const isRefused = findings.some(({ severity }) => severity === "error");
  const name = nameOf(draft);
  const problems = limitFindings(findings).map(
    ({ path, ...finding }): Problem => ({
      ...finding,
      origin,
      kind,
      ...(name !== undefined && { name }),
      ...(path.length > 0 && { field: formatPath(path) }),
    }),
  );
  return { ...(!isRefused && { draft }), problems };
}

/** With its namespace, `web/frontend`; undefined when it has none. */
function nameOf(draft: Draft<ClusterRecord>): string | undefined {
  if (draft.name === "") return undefined;
  return "namespace" in draft ? `${draft.namespace}/${draft.name}` : draft.name;
}
