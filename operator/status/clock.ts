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
