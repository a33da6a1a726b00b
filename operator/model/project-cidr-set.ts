import { SET_CIDR } from "./cidr.js";
import { explainCidr } from "./cidr-fault.js";
import { CidrColumns } from "./cidr-list.js";
import { parseDateTime } from "./date-time.js";
import { type FieldPath, fault, warning } from "./finding.js";
import type { XdpCidrSetManifest } from "./generated/xdp-cidr-set.js";
import { type Draft, type Projection, soundEntries } from "./projection.js";
import type { XdpCidrSetRecord } from "./records.js";

/**
 * Turns a manifest with defaults filled in into its record; worth something without faults only.
 */
export function projectCidrSet(
  manifest: XdpCidrSetManifest,
  projection: Projection,
): Draft<XdpCidrSetRecord> {
  const { name } = manifest.metadata;
  const { setName = name, cidrs, expiring } = manifest.spec;
  const { nowMs, findings } = projection;
  const columns = new CidrColumns(SET_CIDR, lengthOf(cidrs));
  const refuse = (text: string, path: FieldPath) => {
    const { message, remedy } = explainCidr(text, SET_CIDR);
    findings.push(fault("SLUICE_CIDR", path, message, remedy));
  };
  for (const [index, cidr] of soundEntries(cidrs, ["spec", "cidrs"], projection)) {
    if (!columns.add(cidr)) refuse(cidr, ["spec", "cidrs", index]);
  }
  let expired = 0;
  for (const [index, entry] of soundEntries(expiring, ["spec", "expiring"], projection)) {
    const expiresAtMs = parseDateTime(entry.expiresAt) ?? 0;
    if (expiresAtMs <= nowMs) expired++;
    // A moment before 1970 has passed as well as the first second after it; 0 would mean "never".
    const expiresAt = Math.max(1, Math.ceil(expiresAtMs / 1000));
    if (!columns.add(entry.cidr, expiresAt))
      refuse(entry.cidr, ["spec", "expiring", index, "cidr"]);
  }
  if (expired > 0) {
    const total = lengthOf(cidrs) + lengthOf(expiring);
    findings.push(
      warning(
        "SLUICE_EXPIRED",
        ["spec", "expiring"],
        expired === total
          ? "all entries have expired: the object holds nothing"
          : `${expired} of the ${total} entries have expired`,
        "Remove them, or move their expiresAt",
      ),
    );
  }
  return { kind: "XdpCidrSet", name, setName, entries: columns.finish() };
}

/** Entries of a list; 0 when the schema found that it is none. */
function lengthOf(list: readonly unknown[] | null): number {
  return list?.length ?? 0;
}
