import type { ObjectRecord, Problem } from "../model/records.js";

/** Something wrong with an object that the source accepted, as the report shows it. */
export function objectProblem(
  object: ObjectRecord,
  code: string,
  message: string,
  remedy: string,
  more: Pick<Problem, "keptGeneration"> & Partial<Pick<Problem, "severity">> = {},
): Problem {
  const { origin, kind, name } = object;
  return { severity: "error", code, origin, kind, name, message, remedy, ...more };
}

/** For a problem of an object of which an earlier version stays in force, if one does. */
export function kept(
  version: { readonly generation: number } | undefined,
): Pick<Problem, "keptGeneration"> {
  return version === undefined ? {} : { keptGeneration: version.generation };
}
