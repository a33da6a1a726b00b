import { KubeError } from "../kube/errors.js";
import { backOffMs } from "../kube/pace.js";
import type { Clock } from "./clock.js";

export interface PacedQueueOptions {
  readonly clock: Clock;
  /** Changes that come within this time are one. */
  readonly debounceMs: number;
  /** Between two writes of one key. */
  readonly intervalMs: number;
  /** From an urgent write to the next: what it could not know yet follows soon. */
  readonly soonMs: number;
  /** @returns whether something was written, which is what the pace is for */
  readonly run: (key: string) => Promise<boolean>;
  /** Told of the first failure of a key in a row. */
  readonly onFailure: (key: string, error: unknown) => void;
}

interface Turn {
  timer: { readonly atMs: number; readonly cancel: () => void } | undefined;
  isUrgent: boolean;
  /** The pace allows the next write from here on. */
  pacedUntilMs: number;
  failures: number;
  notBeforeMs: number;
}

/** Level-triggered work by key, one at a time, each key at its pace; what fails is tried again. */
export class PacedQueue {
  readonly #options: PacedQueueOptions;
  readonly #turns = new Map<string, Turn>();
  #chain: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(options: PacedQueueOptions) {
    this.#options = options;
  }

  /** @param isUrgent the pace does not hold it back */
  mark(key: string, isUrgent = false): void {
    const { clock, debounceMs } = this.#options;
    let turn = this.#turns.get(key);
    if (turn === undefined) {
      turn = {
        timer: undefined,
        isUrgent: false,
        pacedUntilMs: -Infinity,
        failures: 0,
        notBeforeMs: -Infinity,
      };
      this.#turns.set(key, turn);
    }
    turn.isUrgent ||= isUrgent;
    const paced = isUrgent ? -Infinity : turn.pacedUntilMs;
    this.#schedule(key, turn, Math.max(clock.monotonicMs() + debounceMs, paced, turn.notBeforeMs));
  }

  forget(key: string): void {
    this.#turns.get(key)?.timer?.cancel();
    this.#turns.delete(key);
  }

  /** Resolves when the work under way is done. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const key of [...this.#turns.keys()]) this.forget(key);
    await this.#chain;
  }

  /** An earlier turn wins over a later one. */
  #schedule(key: string, turn: Turn, atMs: number): void {
    if (this.#isClosed || (turn.timer !== undefined && turn.timer.atMs <= atMs)) return;
    turn.timer?.cancel();
    const { clock } = this.#options;
    const cancel = clock.after(Math.max(0, atMs - clock.monotonicMs()), () => {
      turn.timer = undefined;
      this.#chain = this.#chain.then(() => this.#run(key, turn));
    });
    turn.timer = { atMs, cancel };
  }

  async #run(key: string, turn: Turn): Promise<void> {
    if (this.#isClosed || this.#turns.get(key) !== turn) return;
    const { clock, run, onFailure, intervalMs, soonMs } = this.#options;
    const paceMs = turn.isUrgent ? soonMs : intervalMs;
    turn.isUrgent = false;
    try {
      if (await run(key)) turn.pacedUntilMs = clock.monotonicMs() + paceMs;
      turn.failures = 0;
      turn.notBeforeMs = -Infinity;
    } catch (error) {
      turn.failures += 1;
      if (turn.failures === 1) onFailure(key, error);
      const answer = error instanceof KubeError ? error : undefined;
      const { delayMs } = backOffMs({ count: turn.failures }, 0, answer);
      turn.notBeforeMs = clock.monotonicMs() + delayMs;
      if (this.#turns.get(key) === turn) this.#schedule(key, turn, turn.notBeforeMs);
    }
  }
}
