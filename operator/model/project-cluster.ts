import { type Finding, formatPath } from "./finding.js";
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

const PROJECTIONS = {
  Pod: projectPod,
  Namespace: projectNamespace,
  Service: projectService,
  EndpointSlice: projectEndpointSlice,
  NetworkPolicy: projectNetworkPolicy,
  ClusterNetworkPolicy: projectClusterNetworkPolicy,
} as const satisfies {
  readonly [K in ClusterKind]: (
    manifest: unknown,
    projection: ClusterProjection,
  ) => Draft<Extract<ClusterRecord, { kind: K }>>;
};

/** Problems told of one object. */
const MOST_PROBLEMS = 50;

export interface ClusterAdmission<K extends ClusterKind = ClusterKind> {
  /** Absent when the object is refused: it is skipped whole. */
  readonly draft?: Draft<Extract<ClusterRecord, { kind: K }>>;
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
  const draft = PROJECTIONS[kind](object, { findings, interner }) as Draft<ClusterRecord>;
  if (findings.length === 0) return { draft, problems: NO_PROBLEMS } as ClusterAdmission<K>;
  const name = "namespace" in draft ? `${draft.namespace}/${draft.name}` : draft.name;
  // Errors first: a cut list must not hide why the object is refused.
  const ordered = findings.toSorted((a, b) => rank(a) - rank(b));
  const problems = ordered.slice(0, MOST_PROBLEMS).map(
    ({ path, ...finding }): Problem => ({
      ...finding,
      origin,
      kind,
      name,
      ...(path.length > 0 && { field: formatPath(path) }),
    }),
  );
  const isRefused = ordered[0]?.severity === "error";
  return { ...(!isRefused && { draft }), problems } as ClusterAdmission<K>;
}

function rank({ severity }: Finding): number {
  return severity === "error" ? 0 : 1;
}
