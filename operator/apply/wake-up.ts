const MAX_TIMER_MS = 2 ** 31 - 1;

/** Does one thing later. Of several times the earliest counts. */
export class WakeUp {
  readonly #work: () => unknown;
  #timer: NodeJS.Timeout | undefined;
  #atMs = Infinity;

  constructor(work: () => unknown) {
    this.#work = work;
  }

  /** @param ms beyond 24 days it comes after 24 days */
  in(ms: number): void {
    const atMs = Date.now() + ms;
    if (atMs >= this.#atMs) return;
    clearTimeout(this.#timer);
    this.#atMs = atMs;
    this.#timer = setTimeout(
      () => {
        this.#atMs = Infinity;
        this.#work();
      },
      Math.min(ms, MAX_TIMER_MS),
    );
  }

  cancel(): void {
    clearTimeout(this.#timer);
  }
}
