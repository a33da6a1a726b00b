/** A list cut to its longest length, and how many entries that cost. */
export interface Limited<Entry> {
  readonly entries: readonly Entry[];
  readonly omitted: number;
}

/**
 * @param rank entries of a low rank are kept before those of a high one; what is kept stays in its order
 */
export function limitList<Entry>(
  entries: readonly Entry[],
  most: number,
  rank: (entry: Entry) => number = () => 0,
): Limited<Entry> {
  if (entries.length <= most) return { entries, omitted: 0 };
  const kept = new Set(entries.toSorted((a, b) => rank(a) - rank(b)).slice(0, most));
  return {
    entries: entries.filter((entry) => kept.has(entry)),
    omitted: entries.length - most,
  };
}
