import { type FieldPath, type Finding, fault, quote, warning } from "./finding.js";
import { nearest } from "./nearest.js";
import type { ClusterKind } from "./project-cluster.js";
import type { ObjectRecord } from "./records.js";

/** The kinds that a source takes, each in the one version that is known. */
export const KNOWN_KINDS = {
  XdpPolicy: "sluice.dev/v1alpha1",
  XdpCidrSet: "sluice.dev/v1alpha1",
  Node: "v1",
} as const satisfies Record<ObjectRecord["kind"], string>;

export type Kind = ObjectRecord["kind"];

/** Kubernetes' own kinds, which a source takes when it is asked to, each in the one version that is known. */
export const CLUSTER_KINDS = {
  Pod: "v1",
  Namespace: "v1",
  Service: "v1",
  EndpointSlice: "discovery.k8s.io/v1",
  NetworkPolicy: "networking.k8s.io/v1",
  ClusterNetworkPolicy: "policy.networking.k8s.io/v1alpha2",
} as const satisfies Record<ClusterKind, string>;

const UNSCOPED: ReadonlySet<string> = new Set([
  "Namespace",
  "ClusterNetworkPolicy",
] satisfies ClusterKind[]);

/**
 * What an object says it is.
 *
 * - `known`: one of the kinds, though perhaps in an unknown version
 * - `foreign`: some other kind of Kubernetes, none of our business
 * - `unknown`: cannot be told; it may have been meant as one of the kinds
 */
export type Identity =
  | {
      readonly type: "known";
      readonly kind: Kind | ClusterKind;
      /** Of Kubernetes' own kinds, those that live in namespaces; `default` where a manifest leaves it out. */
      readonly namespace?: string;
      readonly name: string;
    }
  | { readonly type: "foreign" }
  | { readonly type: "unknown" };

const DNS_SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const LONGEST_NAME = 253;

/**
 * Reads apiVersion, kind and metadata.name, and says what is wrong with them.
 *
 * @param clusterKinds which of Kubernetes' own kinds are taken; the others are foreign
 */
export function identify(
  value: unknown,
  findings: Finding[],
  clusterKinds: readonly ClusterKind[] = [],
): Identity {
  const kinds = kindsOf(clusterKinds);
  const listKinds = () => listOf(kinds);
  const unknown = (...parts: Parameters<typeof fault>): Identity => {
    findings.push(fault(...parts));
    return { type: "unknown" };
  };
  if (!isObject(value)) return unknown("SLUICE_NOT_AN_OBJECT", [], `${quote(value)} is no object`);
  const { apiVersion, kind } = value;
  if (typeof kind !== "string" || kind === "") {
    return unknown("SLUICE_NOT_AN_OBJECT", ["kind"], "the object has no kind", listKinds());
  }
  if (typeof apiVersion !== "string" || apiVersion === "") {
    const version = kinds.get(kind);
    const known = version === undefined ? listKinds() : `Write apiVersion: ${version}`;
    return unknown("SLUICE_NOT_AN_OBJECT", ["apiVersion"], "the object has no apiVersion", known);
  }
  const known = kinds.get(kind);
  const isOthers = isForeign(apiVersion, kind, clusterKinds);
  if (known !== undefined && (apiVersion === known || !isOthers)) {
    return identifyKnown(value, kind as Kind | ClusterKind, [apiVersion, known], findings);
  }
  if (isOthers) {
    findings.push(
      warning(
        "SLUICE_FOREIGN_KIND",
        ["kind"],
        `${kind} of ${apiVersion} is no kind that this source takes, and is left alone`,
      ),
    );
    return { type: "foreign" };
  }
  const meant = nearest(kind, [...kinds.keys()]);
  return unknown(
    "SLUICE_UNKNOWN_KIND",
    ["kind"],
    `${quote(kind)} of ${apiVersion} is not known`,
    meant === undefined ? listKinds() : `Did you mean ${meant}? ${listKinds()}`,
  );
}

function identifyKnown(
  value: Readonly<Record<string, unknown>>,
  kind: Kind | ClusterKind,
  [apiVersion, known]: readonly [found: string, known: string],
  findings: Finding[],
): Identity {
  if (apiVersion !== known) {
    findings.push(
      fault(
        "SLUICE_UNKNOWN_VERSION",
        ["apiVersion"],
        `${kind} of version ${quote(apiVersion)} is not known`,
        `Write apiVersion: ${known}`,
      ),
    );
  }
  const path: FieldPath = ["metadata", "name"];
  const metadata = isObject(value["metadata"]) ? value["metadata"] : {};
  const { name, namespace } = metadata;
  if (typeof name !== "string" || name === "") {
    findings.push(fault("SLUICE_NAME", path, "the object has no name"));
    return { type: "unknown" };
  }
  if (!DNS_SUBDOMAIN.test(name) || name.length > LONGEST_NAME) {
    findings.push(fault("SLUICE_NAME", path, `${quote(name)} is no name of an object`));
    return { type: "unknown" };
  }
  if (isKind(kind) || UNSCOPED.has(kind)) return { type: "known", kind, name };
  const scope = typeof namespace === "string" && namespace !== "" ? namespace : "default";
  return { type: "known", kind, namespace: scope, name };
}

/** Whether an object is some other API's: also an own kind's name counts, under another group. */
function isForeign(
  apiVersion: string,
  kind: string,
  clusterKinds: readonly ClusterKind[],
): boolean {
  const group = groupOf(apiVersion);
  if (group === "sluice.dev") return kind === "NodeDatapath";
  if (kind === "Node") return group !== "";
  const taken = clusterKinds.find((each) => each === kind);
  if (taken !== undefined) return group !== groupOf(CLUSTER_KINDS[taken]);
  return !/^Xdp/i.test(kind);
}

function groupOf(apiVersion: string): string {
  return apiVersion.includes("/") ? apiVersion.split("/", 1)[0]! : "";
}

export function isKind(kind: string): kind is Kind {
  return Object.hasOwn(KNOWN_KINDS, kind);
}

function kindsOf(clusterKinds: readonly ClusterKind[]): ReadonlyMap<string, string> {
  return new Map([
    ...Object.entries(KNOWN_KINDS),
    ...clusterKinds.map((kind) => [kind, CLUSTER_KINDS[kind]] as const),
  ]);
}

function listOf(kinds: ReadonlyMap<string, string>): string {
  return `Known kinds: ${[...kinds].map(([kind, version]) => `${kind} (${version})`).join(", ")}`;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
