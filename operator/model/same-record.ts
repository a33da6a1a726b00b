import type { Draft } from "./projection.js";
import type { ClusterRecord } from "./records-cluster.js";

/** What differs between versions of an object that mean the same. */
const INCIDENTAL: ReadonlySet<string> = new Set(["origin", "generation", "triggeredAtMs"]);

/**
 * Whether two records of one kind mean the same: Pods, for one, are written several times a minute
 * by nothing but their status. Cheap, since what was interned is mostly one object.
 */
export function isSameRecord(a: Draft<ClusterRecord>, b: Draft<ClusterRecord>): boolean {
  return a === b || haveSameFields(a, b, INCIDENTAL);
}

type Fields = Readonly<Record<string, unknown>>;

const NOTHING: ReadonlySet<string> = new Set();

function isSame(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  const isList = isColumn(a);
  if (isList !== isColumn(b)) return false;
  return isList ? isSameList(a, b as ArrayLike<unknown>) : haveSameFields(a, b, NOTHING);
}

function isColumn(value: object): value is ArrayLike<unknown> {
  return Array.isArray(value) || value instanceof Uint32Array;
}

function isSameList(a: ArrayLike<unknown>, b: ArrayLike<unknown>): boolean {
  if (a.length !== b.length) return false;
  for (let at = 0; at < a.length; at++) if (!isSame(a[at], b[at])) return false;
  return true;
}

function haveSameFields(a: object, b: object, except: ReadonlySet<string>): boolean {
  const theirs = b as Fields;
  let count = 0;
  for (const name in a) {
    if (except.has(name)) continue;
    count++;
    if (!Object.hasOwn(b, name) || !isSame((a as Fields)[name], theirs[name])) return false;
  }
  for (const name in b) if (!except.has(name)) count--;
  return count === 0;
}
