import { shown } from "./cluster-projection.js";
import type { JsonReader } from "./json-reader.js";
import type { PolicyMode } from "./records-network-policy.js";

const MODE = "sluice.dev/mode";

/**
 * The mode that the annotation asks for. A word that is not known refuses the policy: to enforce
 * what was to be audited may cut traffic, to audit what was to be enforced lets it in.
 */
export function readMode(metadata: JsonReader): PolicyMode {
  const annotations = metadata.object("annotations");
  const text = annotations.text(MODE) ?? "enforce";
  if (text === "audit") return "Audit";
  if (text !== "enforce") {
    const message = `${shown(text)} is no mode`;
    annotations.fault("SLUICE_RULE", [MODE], message, "Write audit or enforce");
  }
  return "Enforce";
}
