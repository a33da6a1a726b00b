import { CapacityError } from "../compile/capacity-error.js";

/** A run of lines that nothing points to any more. */
export interface RetiredLines {
  readonly line: number;
  readonly count: number;
}

/**
 * Hands out runs of 64-byte lines of one half of the address table. A freed run may still be read by packets under
 * way: the caller takes what was retired, waits for a grace period, and gives it back to be handed out again.
 */
export class LineAllocator {
  readonly #end: number;
  #next: number;
  #used = 0;
  /** First lines of free runs, by length. */
  readonly #free = new Map<number, number[]>();
  #retired: RetiredLines[] = [];

  constructor(start: number, end: number) {
    this.#next = start;
    this.#end = end;
    this.capacity = end - start;
  }

  readonly capacity: number;

  get used(): number {
    return this.#used;
  }

  /** @throws CapacityError */
  allocate(count: number): number {
    const line = this.#free.get(count)?.pop() ?? this.#bump(count) ?? this.#split(count);
    if (line === undefined) throw this.#isFull(count);
    this.#used += count;
    return line;
  }

  /**
   * Makes sure that runs of so many lines together can be had, whatever their lengths are. Lines that were freed are not
   * counted: their runs may be too short.
   *
   * @throws CapacityError
   */
  reserve(count: number): void {
    if (count > this.#end - this.#next) throw this.#isFull(count);
  }

  /** Gives a run back once nothing points to it any more. */
  retire(line: number, count: number): void {
    if (count === 0) return;
    this.#retired.push({ line, count });
    this.#used -= count;
  }

  /** What was retired since the last call. */
  takeRetired(): readonly RetiredLines[] {
    const retired = this.#retired;
    this.#retired = [];
    return retired;
  }

  /** Makes runs free again, after a grace period. */
  reclaim(retired: readonly RetiredLines[]): void {
    for (const { line, count } of retired) this.#release(line, count);
  }

  #isFull(count: number): CapacityError {
    return new CapacityError(
      "address lines",
      this.capacity,
      `${this.#used} are in use and ${count} more are needed`,
    );
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
