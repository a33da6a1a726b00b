import { CapacityError } from "../compile/capacity-error.js";

/**
 * Hands out runs of 64-byte lines of one half of the address table. A freed run may still be read by packets under
 * way, so it can be handed out again only after `reclaim`, which the caller does after a grace period.
 */
export class LineAllocator {
  readonly #end: number;
  #next: number;
  #used = 0;
  /** First lines of free runs, by length. */
  readonly #free = new Map<number, number[]>();
  #retired: { readonly line: number; readonly count: number }[] = [];

  constructor(start: number, end: number) {
    this.#next = start;
    this.#end = end;
    this.capacity = end - start;
  }

  readonly capacity: number;

  get used(): number {
    return this.#used;
  }

  get hasRetired(): boolean {
    return this.#retired.length > 0;
  }

  /** @throws CapacityError */
  allocate(count: number): number {
    const line = this.#free.get(count)?.pop() ?? this.#bump(count) ?? this.#split(count);
    if (line === undefined) {
      throw new CapacityError(
        "address lines",
        this.capacity,
        `${this.#used} are in use and ${count} more in a row are needed`,
      );
    }
    this.#used += count;
    return line;
  }

  /** Gives a run back once nothing points to it any more. */
  retire(line: number, count: number): void {
    if (count === 0) return;
    this.#retired.push({ line, count });
    this.#used -= count;
  }

  /** After a grace period: what was retired before it may be written again. */
  reclaim(): void {
    for (const { line, count } of this.#retired) this.#release(line, count);
    this.#retired = [];
  }

  #bump(count: number): number | undefined {
    if (this.#next + count > this.#end) return undefined;
    const line = this.#next;
    this.#next += count;
    return line;
  }

  #split(count: number): number | undefined {
    for (const [size, lines] of this.#free) {
      if (size <= count || lines.length === 0) continue;
      const line = lines.pop()!;
      this.#release(line + count, size - count);
      return line;
    }
    return undefined;
  }

  #release(line: number, count: number): void {
    const lines = this.#free.get(count);
    if (lines === undefined) this.#free.set(count, [line]);
    else lines.push(line);
  }
}
