import type { Clock } from "./clock.js";

/** Lets so many through at once, and then one per interval. */
export class TokenBucket {
  readonly #burst: number;
  readonly #intervalMs: number;
  readonly #clock: Clock;
  #tokens: number;
  #filledAtMs: number;

  constructor(burst: number, intervalMs: number, clock: Clock) {
    this.#burst = burst;
    this.#intervalMs = intervalMs;
    this.#clock = clock;
    this.#tokens = burst;
    this.#filledAtMs = clock.monotonicMs();
  }

  take(): boolean {
    const now = this.#clock.monotonicMs();
    const gained = (now - this.#filledAtMs) / this.#intervalMs;
    this.#tokens = Math.min(this.#burst, this.#tokens + gained);
    this.#filledAtMs = now;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  /** Whether it is as good as new. */
  get isFull(): boolean {
    const gained = (this.#clock.monotonicMs() - this.#filledAtMs) / this.#intervalMs;
    return this.#tokens + gained >= this.#burst;
  }
}
