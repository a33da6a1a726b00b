/** Turns totals that are read now and then into rates. */
export interface Rates {
  /**
   * A total as it was at this time, in milliseconds; one that is not newer than the last is left
   * out. A total smaller than before starts over.
   */
  readonly record: (key: string, total: number, at: number) => void;
  /** Units per second over the window; 0 until two readings are there. */
  readonly perSecond: (key: string) => number;
  /** Growth over the window. */
  readonly growth: (key: string) => number;
}

interface Reading {
  readonly at: number;
  readonly total: number;
}

/** @param windowMs readings older than this no longer count, but for the newest of them */
export function createRates(windowMs: number): Rates {
  const byKey = new Map<string, Reading[]>();
  const ends = (key: string) => {
    const readings = byKey.get(key) ?? [];
    const [first] = readings;
    const last = readings.at(-1);
    return first === undefined || last === undefined || first === last
      ? undefined
      : { first, last };
  };
  return {
    record(key, total, at) {
      let readings = byKey.get(key) ?? [];
      if (at <= (readings.at(-1)?.at ?? Number.NEGATIVE_INFINITY)) return;
      if (total < (readings.at(-1)?.total ?? 0)) readings = [];
      readings.push({ at, total });
      const [, second] = readings;
      if (second !== undefined && second.at <= at - windowMs) readings.shift();
      byKey.set(key, readings);
    },
    perSecond(key) {
      const pair = ends(key);
      if (pair === undefined) return 0;
      return ((pair.last.total - pair.first.total) * 1000) / (pair.last.at - pair.first.at);
    },
    growth(key) {
      const pair = ends(key);
      return pair === undefined ? 0 : pair.last.total - pair.first.total;
    },
  };
}
