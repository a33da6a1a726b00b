import { setImmediate } from "node:timers/promises";
import type { Clock } from "../../operator/status/clock.js";

interface Timer {
  readonly at: number;
  readonly run: () => void;
}

/** A clock that stands still until it is told to go on. */
export class ManualClock implements Clock {
  /** Wall clock minus the true time. */
  skewMs: number;
  /** What `random` answers. */
  chance = 0;
  readonly #true: { nowMs: number; timers: Set<Timer> };

  constructor(skewMs = 0, of?: ManualClock) {
    this.skewMs = skewMs;
    this.#true = of === undefined ? { nowMs: 0, timers: new Set() } : of.#true;
  }

  /** The same time, told by another machine. */
  skewed(skewMs: number): ManualClock {
    return new ManualClock(skewMs, this);
  }

  monotonicMs(): number {
    return this.#true.nowMs + this.skewMs;
  }

  wallMs(): number {
    return Date.UTC(2026, 0, 1) + this.#true.nowMs + this.skewMs;
  }

  random(): number {
    return this.chance;
  }

  after(delayMs: number, run: () => void): () => void {
    const timer = { at: this.#true.nowMs + Math.max(0, delayMs), run };
    this.#true.timers.add(timer);
    return () => this.#true.timers.delete(timer);
  }

  /** Timers that wait. */
  get pending(): number {
    return this.#true.timers.size;
  }

  /** Lets time pass, timer by timer; what each one starts gets its turn before the next. */
  async advance(ms: number): Promise<void> {
    const end = this.#true.nowMs + ms;
    await settle();
    for (;;) {
      const [next] = [...this.#true.timers].sort((a, b) => a.at - b.at);
      if (next === undefined || next.at > end) break;
      this.#true.timers.delete(next);
      this.#true.nowMs = next.at;
      next.run();
      await settle();
    }
    this.#true.nowMs = end;
  }
}

/** Lets promises that are ready go on. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await setImmediate();
}
