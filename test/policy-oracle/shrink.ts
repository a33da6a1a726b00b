/** From a case that fails to a small one that still fails, by cutting parts out of its JSON. */

import { isAcceptable } from "./acceptable.js";
import type { PolicyCase } from "./generate.js";

type Path = readonly (string | number)[];

interface Shrinking {
  current: PolicyCase;
  /** Makes the candidate current if it is acceptable, still fails, and the budget allows to ask. */
  attempt(candidate: PolicyCase): Promise<boolean>;
}

/**
 * Leaves out objects, rules, peers, labels, fields: whatever `fails` does not need. Asks it at most
 * `budget` times, and only about cases that the API server would accept.
 */
export async function shrink(
  policyCase: PolicyCase,
  fails: (candidate: PolicyCase) => Promise<boolean>,
  budget: number,
): Promise<PolicyCase> {
  let asked = 0;
  let succeeded = 0;
  const shrinking: Shrinking = {
    current: policyCase,
    async attempt(candidate) {
      if (asked >= budget || !isAcceptable(candidate)) {
        return false;
      }
      asked += 1;
      if (!(await fails(candidate))) {
        return false;
      }
      succeeded += 1;
      this.current = candidate;
      return true;
    },
  };
  let before: number;
  do {
    before = succeeded;
    await shrinkAt(shrinking, ["packets"], 0);
    // Whole objects first, then what is in them.
    for (const kind of Object.keys(policyCase.cluster).toReversed()) {
      await shrinkAt(shrinking, ["cluster", kind], 0);
    }
    for (const kind of Object.keys(policyCase.cluster).toReversed()) {
      await shrinkAt(shrinking, ["cluster", kind], Number.POSITIVE_INFINITY);
    }
  } while (succeeded > before);
  return shrinking.current;
}

/** Cuts parts of the value at the path out, and parts of what stays down to `depth` more levels. */
async function shrinkAt(shrinking: Shrinking, path: Path, depth: number): Promise<void> {
  const value = valueAt(shrinking.current, path);
  if (Array.isArray(value)) {
    for (let size = value.length; size >= 1; size = Math.floor(size / 2)) {
      let start = 0;
      while (start < (valueAt(shrinking.current, path) as readonly unknown[]).length) {
        const rest = (valueAt(shrinking.current, path) as readonly unknown[]).toSpliced(
          start,
          size,
        );
        if (!(await shrinking.attempt(withValue(shrinking.current, path, rest)))) {
          start += size;
        }
      }
    }
  } else if (typeof value === "object" && value !== null) {
    for (const key of Object.keys(value)) {
      const { [key]: _, ...rest } = valueAt(shrinking.current, path) as Record<string, unknown>;
      await shrinking.attempt(withValue(shrinking.current, path, rest));
    }
  }
  const left = valueAt(shrinking.current, path);
  if (depth > 0 && typeof left === "object" && left !== null) {
    for (const key of Array.isArray(left) ? left.keys() : Object.keys(left)) {
      await shrinkAt(shrinking, [...path, key], depth - 1);
    }
  }
}

function valueAt(policyCase: PolicyCase, path: Path): unknown {
  return path.reduce<unknown>(
    (value, key) => (value as Record<string | number, unknown>)[key],
    policyCase,
  );
}

function withValue(policyCase: PolicyCase, path: Path, value: unknown): PolicyCase {
  const copy = structuredClone(policyCase);
  const holder = valueAt(copy, path.slice(0, -1)) as Record<string | number, unknown>;
  holder[path.at(-1) ?? ""] = value;
  return copy;
}
