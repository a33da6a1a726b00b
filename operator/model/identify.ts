import { type FieldPath, type Finding, fault, quote, warning } from "./finding.js";
import { nearest } from "./nearest.js";
import type { ObjectRecord } from "./records.js";

/** The kinds that a source takes, each in the one version that is known. */
export const KNOWN_KINDS = {
  XdpPolicy: "sluice.dev/v1alpha1",
  XdpCidrSet: "sluice.dev/v1alpha1",
  Node: "v1",
} as const satisfies Record<ObjectRecord["kind"], string>;

export type Kind = ObjectRecord["kind"];

/**
 * What an object says it is.
 *
 * - `known`: one of the kinds, though perhaps in an unknown version
 * - `foreign`: some other kind of Kubernetes, none of our business
 * - `unknown`: cannot be told; it may have been meant as one of the kinds
 */
export type Identity =
  | { readonly type: "known"; readonly kind: Kind; readonly name: string }
  | { readonly type: "foreign" }
  | { readonly type: "unknown" };

const DNS_SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const LONGEST_NAME = 253;

/** Reads apiVersion, kind and metadata.name, and says what is wrong with them. */
export function identify(value: unknown, findings: Finding[]): Identity {
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
    const known = isKind(kind) ? `Write apiVersion: ${KNOWN_KINDS[kind]}` : listKinds();
    return unknown("SLUICE_NOT_AN_OBJECT", ["apiVersion"], "the object has no apiVersion", known);
  }
  if (isKind(kind) && (apiVersion === KNOWN_KINDS[kind] || !isForeign(apiVersion, kind))) {
    return identifyKnown(value, kind, apiVersion, findings);
  }
  if (isForeign(apiVersion, kind)) {
    findings.push(
      warning(
        "SLUICE_FOREIGN_KIND",
        ["kind"],
        `${kind} of ${apiVersion} is no kind that this source takes, and is left alone`,
      ),
    );
    return { type: "foreign" };
  }
  const meant = nearest(kind, Object.keys(KNOWN_KINDS));
  return unknown(
    "SLUICE_UNKNOWN_KIND",
    ["kind"],
    `${quote(kind)} of ${apiVersion} is not known`,
    meant === undefined ? listKinds() : `Did you mean ${meant}? ${listKinds()}`,
  );
}

function identifyKnown(
  value: Readonly<Record<string, unknown>>,
  kind: Kind,
  apiVersion: string,
  findings: Finding[],
): Identity {
  if (apiVersion !== KNOWN_KINDS[kind]) {
    findings.push(
      fault(
        "SLUICE_UNKNOWN_VERSION",
        ["apiVersion"],
        `${kind} of version ${quote(apiVersion)} is not known`,
        `Write apiVersion: ${KNOWN_KINDS[kind]}`,
      ),
    );
  }
  const path: FieldPath = ["metadata", "name"];
  const name = isObject(value["metadata"]) ? value["metadata"]["name"] : undefined;
  if (typeof name !== "string" || name === "") {
    findings.push(fault("SLUICE_NAME", path, "the object has no name"));
    return { type: "unknown" };
  }
  if (!DNS_SUBDOMAIN.test(name) || name.length > LONGEST_NAME) {
    findings.push(fault("SLUICE_NAME", path, `${quote(name)} is no name of an object`));
    return { type: "unknown" };
  }
  return { type: "known", kind, name };
}

/** Whether an object is some other API's: also an own kind's name counts, under another group. */
function isForeign(apiVersion: string, kind: string): boolean {
  const group = apiVersion.includes("/") ? apiVersion.split("/", 1)[0] : "";
  if (group === "sluice.dev") return kind === "NodeDatapath";
  if (kind === "Node") return group !== "";
  return !/^Xdp/i.test(kind);
}

export function isKind(kind: string): kind is Kind {
  return Object.hasOwn(KNOWN_KINDS, kind);
}

function listKinds(): string {
  const kinds = Object.entries(KNOWN_KINDS).map(([kind, version]) => `${kind} (${version})`);
  return `Known kinds: ${kinds.join(", ")}`;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
