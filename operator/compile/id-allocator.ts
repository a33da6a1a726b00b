/** So many freed numbers rest before the first of them is handed out again. */
const RESTING = 1024;

/** Hands out small numbers, from 1 on: 0 means none. What was freed first is handed out first. */
export class IdAllocator {
  readonly capacity: number;
  #next = 1;
  #freed: number[] = [];
  #taken = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  get used(): number {
    return this.#next - 1 - (this.#freed.length - this.#taken);
  }

  /** @returns undefined: all are in use */
  allocate(): number | undefined {
    const resting = this.#freed.length - this.#taken;
    if (resting <= RESTING && this.#next <= this.capacity) return this.#next++;
    if (resting === 0) return undefined;
    const id = this.#freed[this.#taken++]!;
    if (this.#taken > RESTING && this.#taken * 2 > this.#freed.length) {
      this.#freed = this.#freed.slice(this.#taken);
      this.#taken = 0;
    }
    return id;
  }

  free(id: number): void {
    this.#freed.push(id);
  }
}
