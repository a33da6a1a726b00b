/**
 * Hands out contiguous ranges of a big array. Free ranges lie in classes by the power of two of their length; a range
 * comes from the class that it is sure to fit, else from one that fits in its own class. Freed neighbours become one.
 *
 * A freed range is handed out again at once: whoever may still read it has to be waited for before.
 */
export class RangeAllocator {
  readonly capacity: number;
  #used = 0;
  readonly #lengths = new Map<number, number>();
  /** Start of the free range that ends before the key. */
  readonly #starts = new Map<number, number>();
  readonly #classes: Set<number>[] = [];

  constructor(capacity: number) {
    this.capacity = capacity;
    if (capacity > 0) this.#insert(0, capacity);
  }

  get used(): number {
    return this.#used;
  }

  get largestFree(): number {
    const last = this.#classes.findLast((starts) => starts.size > 0) ?? [];
    return Math.max(0, ...[...last].map((start) => this.#lengths.get(start)!));
  }

  /** @returns the start; undefined: no free range is as long */
  allocate(length: number): number | undefined {
    if (length <= 0) return 0;
    const start = this.#find(length);
    if (start === undefined) return undefined;
    const free = this.#remove(start);
    if (free > length) this.#insert(start + length, free - length);
    this.#used += length;
    return start;
  }

  free(start: number, length: number): void {
    if (length <= 0) return;
    this.#used -= length;
    let [from, to] = [start, start + length];
    const before = this.#starts.get(start);
    if (before !== undefined) {
      this.#remove(before);
      from = before;
    }
    const after = this.#lengths.get(to);
    if (after !== undefined) {
      this.#remove(to);
      to += after;
    }
    this.#insert(from, to - from);
  }

  #find(length: number): number | undefined {
    const own = classOf(length);
    const sure = length === 2 ** own ? own : own + 1;
    for (let at = sure; at < this.#classes.length; at++) {
      for (const start of this.#classes[at]!) return start;
    }
    for (const start of this.#classes[own] ?? []) {
      if (this.#lengths.get(start)! >= length) return start;
    }
    return undefined;
  }

  #insert(start: number, length: number): void {
    const at = classOf(length);
    while (this.#classes.length <= at) this.#classes.push(new Set());
    this.#classes[at]!.add(start);
    this.#lengths.set(start, length);
    this.#starts.set(start + length, start);
  }

  /** @returns the length */
  #remove(start: number): number {
    const length = this.#lengths.get(start)!;
    this.#classes[classOf(length)]!.delete(start);
    this.#lengths.delete(start);
    this.#starts.delete(start + length);
    return length;
  }
}

function classOf(length: number): number {
  return 31 - Math.clz32(length);
}
