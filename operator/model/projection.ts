import type { Origin } from "./records.js";
import { type FaultTree, type FieldPath, faultsAt, type Finding } from "./finding.js";

/** A record that does not know yet where it came from and which generation it is. */
export type Draft<T> = T extends unknown ? Omit<T, "origin" | "generation"> : never;

/**
 * The record of a draft. Origin and generation come first on purpose: V8 gives an object that is
 * spread first and grows afterwards some 600 bytes more.
 */
export function recordOf<T extends { readonly origin: Origin }>(
  draft: Draft<T>,
  origin: Origin,
  generation?: number,
): T {
  const record = generation === undefined ? { origin, ...draft } : { origin, generation, ...draft };
  return record as unknown as T;
}

/** What the projection of one object reads and writes besides the manifest. */
export interface Projection {
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
  /** Where the schema found faults: what lies there is not read. */
  readonly faults: FaultTree | undefined;
  /** Takes what the projection finds wrong. */
  readonly findings: Finding[];
}

/** The entries of a list that the schema found nothing wrong with, each with its index. */
export function* soundEntries<T>(
  list: readonly T[],
  path: FieldPath,
  { faults }: Projection,
): Generator<readonly [index: number, entry: T]> {
  const here = faultsAt(faults, path);
  // What stands there may be no list at all.
  if (here?.here === true) return;
  for (const [index, entry] of list.entries()) {
    if (here?.below.has(index) !== true) yield [index, entry];
  }
}
