import { SET_CIDR } from "./cidr.js";
import { explainCidr } from "./cidr-fault.js";
import { CidrColumns } from "./cidr-list.js";
import { parseDateTime } from "./date-time.js";
import { type FieldPath, fault, isSound, warning } from "./finding.js";
import type { XdpCidrSetManifest } from "./generated/xdp-cidr-set.js";
import type { Draft, Projection } from "./project-policy.js";
import type { XdpCidrSetRecord } from "./records.js";

/** Turns a manifest with defaults filled in into its record; worth something without faults only. */
export function projectCidrSet(
  manifest: XdpCidrSetManifest,
  { nowMs, faults, findings }: Projection,
): Draft<XdpCidrSetRecord> {
  const { name } = manifest.metadata;
  const { setName = name } = manifest.spec;
  const isRead = (path: FieldPath) => faults === undefined || isSound(faults, path);
  const cidrs = Array.isArray(manifest.spec.cidrs) ? manifest.spec.cidrs : [];
  const expiring = Array.isArray(manifest.spec.expiring) ? manifest.spec.expiring : [];
  const columns = new CidrColumns(SET_CIDR, cidrs.length + expiring.length);

  const add = (text: string, path: FieldPath, expiresAt?: number) => {
    if (columns.add(text, expiresAt)) return;
    const { message, remedy } = explainCidr(text, SET_CIDR);
    findings.push(fault("SLUICE_CIDR", path, message, remedy));
  };
  for (let i = 0; i < cidrs.length; i++) {
    const path = ["spec", "cidrs", i];
    if (isRead(path)) add(cidrs[i]!, path);
  }
  let expired = 0;
  for (let i = 0; i < expiring.length; i++) {
    const path = ["spec", "expiring", i];
    if (!isRead(path)) continue;
    const { cidr, expiresAt } = expiring[i]!;
    const expiresAtMs = parseDateTime(expiresAt) ?? 0;
    if (expiresAtMs <= nowMs) expired++;
    // A moment before 1970 has passed as well as the first second after it; 0 would mean "never".
    add(cidr, [...path, "cidr"], Math.max(1, Math.ceil(expiresAtMs / 1000)));
  }
  if (expired > 0) {
    const all = expired === cidrs.length + expiring.length;
    findings.push(
      warning(
        "SLUICE_EXPIRED",
        ["spec", "expiring"],
        `${all ? "all" : expired} of the ${cidrs.length + expiring.length} entries have expired`,
        "Remove them, or move their expiresAt",
      ),
    );
  }
  return { kind: "XdpCidrSet", name, setName, entries: columns.finish() };
}
