import { shown } from "./cluster-projection.js";
import type { JsonReader } from "./json-reader.js";
import type { PolicyMode } from "./records-network-policy.js";

const MODE = "sluice.dev/mode";

/**
 * The mode that the annotation asks for. With a word that is not known the policy is enforced, as by
 * any other implementation, which does not know the annotation: a slip must not open what is closed.
 */
export function readMode(metadata: JsonReader): PolicyMode {
  const annotations = metadata.object("annotations");
  const text = annotations.text(MODE) ?? "enforce";
  if (text === "audit") return "Audit";
  if (text !== "enforce") {
    const message = `${shown(text)} is no mode: the policy is enforced`;
    annotations.warning("SLUICE_RULE", [MODE], message, "Write audit or enforce");
  }
  return "Enforce";
}
