/** Work in turns: one at a time for each key, and not more than `parallel` at once. */
export class Turns {
  readonly #parallel: number;
  readonly #lastOfKey = new Map<string, Promise<unknown>>();
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(parallel: number) {
    this.#parallel = parallel;
  }

  /** Runs work when all that was asked for before under the same key has ended. */
  async run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#lastOfKey.get(key);
    const own = (async () => {
      await before?.catch(() => {});
      return this.#bounded(work);
    })();
    this.#lastOfKey.set(key, own);
    try {
      return await own;
    } finally {
      if (this.#lastOfKey.get(key) === own) this.#lastOfKey.delete(key);
    }
  }

  async #bounded<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= this.#parallel) {
      await new Promise<void>((resolve) => void this.#waiting.push(resolve));
    } else this.#running++;
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      // The place is handed on, so that nobody who comes meanwhile takes it.
      if (next === undefined) this.#running--;
      else next();
    }
  }
}
