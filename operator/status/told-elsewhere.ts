import { manifestCodes } from "../errors.js";

/**
 * Errors that are told elsewhere, once for all nodes, which would only make every node write: an object that does not
 * validate says so in its own status, and an API server that was away needs no report of it.
 */
export function isToldElsewhere(code: string): boolean {
  if (Object.hasOwn(manifestCodes, code)) return true;
  return code.startsWith("SLUICE_KUBE_") && !lastingKubeCodes.has(code);
}

const lastingKubeCodes: ReadonlySet<string> = new Set([
  "SLUICE_KUBE_FORBIDDEN",
  "SLUICE_KUBE_NOT_FOUND",
]);
