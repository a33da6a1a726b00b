/** What the parts of the bench hand to the report. */

/** One table of the report. */
export interface Section {
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** Sentences below the table. */
  readonly notes: readonly string[];
}

/** A figure that Sluice is meant to reach, and what this run gave. */
export interface Target {
  readonly what: string;
  /** Such as `≤ 2.5 × the empty program`. */
  readonly goal: string;
  readonly measured: string;
  readonly isReached: boolean;
}

export interface PartResult {
  readonly sections: readonly Section[];
  readonly targets: readonly Target[];
}

/** What one part is asked for. */
export interface PartOptions {
  readonly quick: boolean;
  /** Only what has this in its name; empty: all. */
  readonly only: string;
}

/** Several rounds of one measurement. */
export interface Spread {
  readonly min: number;
  readonly median: number;
}

export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median =
    sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  return { min: sorted[0]!, median };
}

/** The value that this share of the values do not exceed. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))]!;
}

/** Three significant digits, and none behind the point from 100 on. */
export function formatNumber(value: number): string {
  const size = Math.abs(value);
  const digits = size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2;
  return value.toLocaleString("en-US", {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}

export function formatRatio(ratio: number): string {
  return ratio.toFixed(2);
}
