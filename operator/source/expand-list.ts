import type { FieldPath } from "../model/finding.js";

/** One object of a document, and where in the document it is. */
export interface ListedObject {
  readonly value: unknown;
  /** Empty for a document that is no list. */
  readonly path: FieldPath;
}

/**
 * Takes a Kubernetes list apart: `v1` `List`, as `kubectl get` prints it, or `XdpPolicyList` and
 * the like, whose items need not repeat kind and version.
 */
export function expandList(value: unknown): readonly ListedObject[] {
  const list = value as { apiVersion?: unknown; kind?: unknown; items?: unknown } | null;
  const kind = typeof list?.kind === "string" ? /^(.*)List$/.exec(list.kind)?.[1] : undefined;
  if (kind === undefined || !Array.isArray(list?.items)) return [{ value, path: [] }];
  const { apiVersion, items } = list;
  return items.map((item: unknown, index) => ({
    value: isObject(item) && kind !== "" ? { apiVersion, kind, ...item } : item,
    path: ["items", index],
  }));
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
