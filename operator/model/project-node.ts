import { ANY_CIDR, isFault, readCidr } from "./cidr.js";
import { formatCidr } from "./cidr-format.js";
import { type Finding, fault, quote } from "./finding.js";
import { readLooseCidr } from "./loose-cidr.js";
import type { Draft, Projection } from "./projection.js";
import type { Cidr, NodeRecord } from "./records.js";

/** Types of `status.addresses` that hold addresses and not names. */
const INTERNAL = "InternalIP";
const ADDRESS_TYPES: readonly unknown[] = [INTERNAL, "ExternalIP"];

/**
 * Reads the labels, addresses and pod CIDRs of a Kubernetes Node. All else in it is left unread: the object
 * belongs to Kubernetes, and may have fields that are not known here.
 */
export function projectNode(manifest: unknown, { findings }: Projection): Draft<NodeRecord> {
  const metadata = fieldOf(manifest, "metadata");
  const spec = fieldOf(manifest, "spec");
  const listed = fieldOf(fieldOf(manifest, "status"), "addresses") ?? [];
  return {
    kind: "Node",
    name: fieldOf(metadata, "name") as string,
    labels: projectLabels(fieldOf(metadata, "labels") ?? {}, findings),
    addresses: projectAddresses(listed, ADDRESS_TYPES, findings),
    internalAddresses: projectAddresses(listed, [INTERNAL], []),
    createdAtMs: readTime(fieldOf(metadata, "creationTimestamp")),
    podCidrs: projectPodCidrs(spec, findings),
    isLeaving:
      (fieldOf(metadata, "deletionTimestamp") ?? undefined) !== undefined || isToBeDeleted(spec),
  };
}

function projectLabels(labels: unknown, findings: Finding[]): Record<string, string> {
  const path = ["metadata", "labels"];
  if (typeof labels !== "object" || labels === null) {
    findings.push(
      fault("SLUICE_SCHEMA", path, `${quote(labels)} is no object`, "Write key: value"),
    );
    return {};
  }
  return Object.fromEntries(
    Object.entries(labels).filter((entry): entry is [string, string] => {
      const [key, value] = entry as [string, unknown];
      if (typeof value === "string") return true;
      const remedy = `Put it in quotes: "${quote(value)}"`;
      findings.push(fault("SLUICE_SCHEMA", [...path, key], `${quote(value)} is no text`, remedy));
      return false;
    }),
  );
}

/** @param value a text, or the seconds that the API server's messages hold */
function readTime(value: unknown): number {
  const seconds = fieldOf(value, "seconds");
  if (typeof seconds === "number") return seconds * 1000;
  const time = typeof value === "string" ? Date.parse(value) : Number.NaN;
  return Number.isNaN(time) ? 0 : time;
}

function projectAddresses(
  listed: unknown,
  types: readonly unknown[],
  findings: Finding[],
): readonly Cidr[] {
  const path = ["status", "addresses"];
  if (!Array.isArray(listed)) {
    const message = `${quote(listed)} is no list`;
    findings.push(fault("SLUICE_SCHEMA", path, message, "Write a list of type and address"));
    return [];
  }
  const addresses = new Map<string, Cidr>();
  for (const [index, entry] of (listed as readonly unknown[]).entries()) {
    if (!types.includes(fieldOf(entry, "type"))) continue;
    const text = fieldOf(entry, "address");
    const cidr = readCidr(typeof text === "string" ? text : "", ANY_CIDR);
    if (isFault(cidr)) {
      findings.push(fault("SLUICE_CIDR", [...path, index, "address"], cidr.message, cidr.remedy));
    } else {
      addresses.set(formatCidr(cidr), cidr);
    }
  }
  return [...addresses.values()];
}

function projectPodCidrs(spec: unknown, findings: Finding[]): readonly Cidr[] {
  const first = fieldOf(spec, "podCIDR") ?? undefined;
  const path = ["spec", "podCIDRs"];
  // A manifest may have the older field alone; the API server always writes both.
  const listed = fieldOf(spec, "podCIDRs") ?? (first === undefined ? [] : [first]);
  if (!Array.isArray(listed)) {
    const message = `${quote(listed)} is no list`;
    findings.push(fault("SLUICE_SCHEMA", path, message, "Write a list of CIDRs"));
    return [];
  }
  return (listed as readonly unknown[]).flatMap((text, index) => {
    const cidr = typeof text === "string" ? readLooseCidr(text) : undefined;
    if (cidr !== undefined) return cidr;
    findings.push(fault("SLUICE_CIDR", [...path, index], `${quote(text)} is no CIDR`));
    return [];
  });
}

/** The mark of the cluster autoscaler on a node that it is about to remove (KEP-3836). */
function isToBeDeleted(spec: unknown): boolean {
  const taints = fieldOf(spec, "taints");
  return (
    Array.isArray(taints) &&
    taints.some((taint) => fieldOf(taint, "key") === "ToBeDeletedByClusterAutoscaler")
  );
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null
    ? (value as Record<string, unknown>)[name]
    : undefined;
}
