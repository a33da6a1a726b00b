import { performance } from "node:perf_hooks";

/** Time and chance, so that tests can hold both in hand. */
export interface Clock {
  /** Milliseconds that only go forward, also when the wall clock is set. */
  monotonicMs(): number;
  /** Milliseconds since the epoch. */
  wallMs(): number;
  /** Runs a function later, once; returns how to call that off. */
  after(delayMs: number, run: () => void): () => void;
  /** 0 … 1. */
  random(): number;
}

export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  after: (delayMs, run) => {
    const timer = setTimeout(run, delayMs);
    // Reporting never keeps a process alive that is done otherwise.
    timer.unref();
    return () => clearTimeout(timer);
  },
  random: () => Math.random(),
};

/** A delay that doubles with each failure in a row, from 1 s to 60 s, half of it by chance. */
export function backOffMs(
  failures: number,
  retryAfterMs: number | undefined,
  clock: Clock,
): number {
  const full = Math.min(60_000, 1000 * 2 ** Math.min(failures - 1, 6));
  const delay = full / 2 + (full / 2) * clock.random();
  if (retryAfterMs === undefined) return delay;
  // Not all clients that were sent away come back at one moment.
  return Math.max(delay, retryAfterMs * (1 + 0.2 * clock.random()));
}
