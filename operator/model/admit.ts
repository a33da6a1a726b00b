import { createHash } from "node:crypto";
import { compileRules } from "./cel-rules.js";
import {
  type FieldPath,
  type Finding,
  fault,
  faultTree,
  formatPath,
  limitFindings,
} from "./finding.js";
import type { XdpCidrSetManifest } from "./generated/xdp-cidr-set.js";
import type { XdpPolicyManifest } from "./generated/xdp-policy.js";
import { type Identity, identify, isKind, type Kind } from "./identify.js";
import type { Interner } from "./interner.js";
import { CLUSTER_PROJECTIONS, type ClusterKind } from "./project-cluster.js";
import { unknownFields } from "./network-policy-fields.js";
import { projectCidrSet } from "./project-cidr-set.js";
import { projectNode } from "./project-node.js";
import { projectPolicy } from "./project-policy.js";
import type { Draft, Projection } from "./projection.js";
import { API_SOURCE, type ObjectRecord, type Origin, type Problem } from "./records.js";
import type { ClusterRecord } from "./records-cluster.js";
import { findCrd, type JsonSchema } from "./schema.js";
import { compileStructural } from "./structural.js";

/** One object as a source read it, before anything is known of it. */
export interface ManifestDocument {
  /** Filled in with defaults, in place, when it is admitted. */
  readonly value: unknown;
  readonly origin: Origin;
  /** 1-based line of a field, or of the nearest one above it that is there. */
  lineOf?(path: FieldPath): number | undefined;
}

export interface Admission<R extends ObjectRecord | ClusterRecord = ObjectRecord> {
  readonly identity: Identity;
  /** Absent when the object is refused, or is none of ours. */
  readonly admitted?: {
    readonly draft: Draft<R>;
    /** Equal for objects that mean the same: defaults filled in, status and comments left out. */
    readonly digest: string;
  };
  readonly problems: readonly Problem[];
}

/** Which of Kubernetes' own kinds are taken besides Nodes. */
export interface ClusterKinds {
  readonly kinds: readonly ClusterKind[];
  /** Shared by all their records. */
  readonly interner: Interner;
}

/** Values in one object, fields and entries together; the largest set has 150,000. */
const MOST_VALUES = 300_000;

/**
 * Checks one object against its CRD and the rules of docs/xdp-policy.md, and turns it into a
 * record. Finds all that is wrong, not only the first.
 */
export function admit(document: ManifestDocument, nowMs: number): Admission;
export function admit(
  document: ManifestDocument,
  nowMs: number,
  cluster: ClusterKinds | undefined,
): Admission<ObjectRecord | ClusterRecord>;
export function admit(
  document: ManifestDocument,
  nowMs: number,
  cluster?: ClusterKinds,
): Admission<ObjectRecord | ClusterRecord> {
  const findings: Finding[] = [];
  const identity = identify(document.value, findings, cluster?.kinds);
  if (countValues(document.value, MOST_VALUES + 1) > MOST_VALUES) {
    const message = `has more than ${MOST_VALUES} fields and list entries`;
    findings.push(fault("SLUICE_OBJECT_TOO_LARGE", [], message));
  }
  const isKnown = identity.type === "known" && findings.length === 0;
  const draft = isKnown
    ? draftOf(identity.kind, document.value, nowMs, findings, cluster)
    : undefined;
  const isRefused = findings.some(({ severity }) => severity === "error");
  return {
    identity,
    ...(draft !== undefined &&
      !isRefused && { admitted: { draft, digest: digest(draft.kind, document.value) } }),
    problems: limitFindings(findings).map((finding) => toProblem(finding, document, identity)),
  };
}

function draftOf(
  kind: Kind | ClusterKind,
  value: unknown,
  nowMs: number,
  findings: Finding[],
  cluster: ClusterKinds | undefined,
): Draft<ObjectRecord | ClusterRecord> | undefined {
  if (isKind(kind)) return project(kind, value, nowMs, findings);
  if (kind === "NetworkPolicy") findings.push(...unknownFields(value));
  return cluster && CLUSTER_PROJECTIONS[kind](value, { findings, interner: cluster.interner });
}

function project(
  kind: Kind,
  value: unknown,
  nowMs: number,
  findings: Finding[],
): Draft<ObjectRecord> | undefined {
  const structural = kind === "Node" ? [] : schemaCheck(kind).structural(value);
  const faults = faultTree(structural);
  // Not by spreading: as many as there are values do not fit into one call.
  for (const finding of structural) findings.push(finding);
  if (kind !== "Node") {
    for (const finding of schemaCheck(kind).rules(value, faults)) findings.push(finding);
  }
  if (faults?.here === true || faults?.below.get("spec")?.here === true) return undefined;
  const projection: Projection = { nowMs, faults, findings };
  switch (kind) {
    case "XdpPolicy":
      return projectPolicy(value as XdpPolicyManifest, projection);
    case "XdpCidrSet":
      return projectCidrSet(value as XdpCidrSetManifest, projection);
    case "Node":
      return projectNode(value, projection);
  }
}

/** Values inside a value, itself included, counted not much further than to a limit. */
function countValues(value: unknown, limit: number): number {
  if (typeof value !== "object" || value === null) return 1;
  if (Array.isArray(value)) {
    const list = value as readonly unknown[];
    let count = 1 + list.length;
    for (let index = 0; index < list.length && count < limit; index++) {
      const inner = list[index];
      if (typeof inner === "object") count += countValues(inner, limit - count) - 1;
    }
    return count;
  }
  let count = 1;
  // Without a list of the fields: a set has 50,000 objects.
  for (const name in value) {
    if (count >= limit) break;
    count += countValues((value as Readonly<Record<string, unknown>>)[name], limit - count);
  }
  return count;
}

/** Compiles what {@link admit} needs for a kind, some 50 ms, which it would else do for the first object of it. */
export function prepareAdmission(kind: Kind): void {
  if (kind !== "Node") schemaCheck(kind);
}

interface SchemaCheck {
  readonly structural: ReturnType<typeof compileStructural>;
  readonly rules: ReturnType<typeof compileRules>;
}

const schemaChecks = new Map<Kind, SchemaCheck>();

function schemaCheck(kind: Kind): SchemaCheck {
  let check = schemaChecks.get(kind);
  if (check === undefined) {
    const schema = specSchema(findCrd(kind)?.schema ?? {});
    check = { structural: compileStructural(schema), rules: compileRules(schema) };
    schemaChecks.set(kind, check);
  }
  return check;
}

/** A manifest's status is the agents' to write, and its metadata has many fields of Kubernetes' own. */
function specSchema(schema: JsonSchema): JsonSchema {
  return { ...schema, properties: { ...schema.properties, metadata: {}, status: {} } };
}

function toProblem(finding: Finding, document: ManifestDocument, identity: Identity): Problem {
  const { severity, code, path, message } = finding;
  const remedy = remedyFor(finding, document.origin, identity);
  const line = document.lineOf?.(path);
  return {
    severity,
    code,
    origin: document.origin,
    ...named(document.value, identity),
    ...(path.length > 0 && { field: formatPath(path) }),
    ...(line !== undefined && { line }),
    message,
    remedy,
  };
}

/**
 * The API server drops fields that its CRD does not have, and refuses values that its CRD does not
 * allow: what arrives nevertheless is of a newer CRD than the one that this agent was built with.
 */
function remedyFor({ code, remedy }: Finding, { source }: Origin, identity: Identity): string {
  const hasCrd = identity.type === "known" && findCrd(identity.kind) !== undefined;
  if (source !== API_SOURCE || !hasCrd) return remedy;
  if (code === "SLUICE_UNKNOWN_FIELD") {
    return "Upgrade this agent: the CRD in the cluster is newer than it; or remove the field";
  }
  return code === "SLUICE_SCHEMA"
    ? `${remedy}; or upgrade this agent, if the CRD is newer`
    : remedy;
}

/** Kind and name as far as they can be read, also of an object that cannot be identified. */
function named(value: unknown, identity: Identity): Pick<Problem, "kind" | "name"> {
  if (identity.type === "known") return { kind: identity.kind, name: qualifiedName(identity) };
  const { kind, metadata } = (value ?? {}) as { kind?: unknown; metadata?: { name?: unknown } };
  return {
    ...(typeof kind === "string" && { kind }),
    ...(typeof metadata?.name === "string" && { name: metadata.name }),
  };
}

/** `NAME`, or `NAMESPACE/NAME` of what lives in a namespace. */
export function qualifiedName({ namespace, name }: { namespace?: string; name: string }): string {
  return namespace === undefined ? name : `${namespace}/${name}`;
}

function digest(kind: Kind | ClusterKind, value: unknown): string {
  const content = !isKind(kind)
    ? value
    : kind === "Node"
      ? nodeContent(value)
      : (value as { spec?: unknown }).spec;
  return createHash("sha256").update(canonicalJson(content)).digest("base64");
}

/** What a Node's record is made from. */
function nodeContent(value: unknown): unknown {
  const { metadata, spec, status } = value as {
    metadata: { labels?: unknown; creationTimestamp?: unknown; deletionTimestamp?: unknown };
    spec?: { podCIDR?: unknown; podCIDRs?: unknown; taints?: unknown };
    status?: { addresses?: unknown };
  };
  return [
    metadata.labels,
    metadata.creationTimestamp,
    metadata.deletionTimestamp,
    spec?.podCIDR,
    spec?.podCIDRs,
    spec?.taints,
    status?.addresses,
  ];
}

/** JSON with the fields of objects in the order of their names. */
function canonicalJson(value: unknown): string {
  return JSON.stringify(inOrder(value)) ?? "null";
}

/**
 * The value, or a copy of what of it is not in order. Most is: one call of JSON.stringify over
 * 50,000 entries of a set takes a fraction of what one call for each would.
 */
function inOrder(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) {
    const list = value as readonly unknown[];
    let copy: unknown[] | undefined;
    for (let index = 0; index < list.length; index++) {
      const item = list[index];
      if (typeof item !== "object") continue;
      const ordered = inOrder(item);
      if (ordered !== item) (copy ??= [...list])[index] = ordered;
    }
    return copy ?? list;
  }
  const fields = value as Readonly<Record<string, unknown>>;
  let previous = "";
  let isInOrder = true;
  for (const name in fields) {
    isInOrder &&= previous <= name && inOrder(fields[name]) === fields[name];
    previous = name;
  }
  if (isInOrder) return fields;
  return Object.fromEntries(
    Object.entries(fields)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, field]) => [name, inOrder(field)]),
  );
}
