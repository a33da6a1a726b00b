/** What all readers of this process together may take of one turn of the event loop. */
const mostTurnMs = 4;

let endsAtMs = 0;
let next: Promise<void> | undefined;

/**
 * To be awaited between two pieces of work: when the event loop has not turned for some time, it resolves after it has.
 * A list of a large cluster would otherwise hold up all else for as long as its bytes are at hand.
 */
export function turn(): Promise<void> | undefined {
  if (next === undefined && performance.now() < endsAtMs) return undefined;
  next ??= new Promise((resolve) => {
    setImmediate(() => {
      next = undefined;
      endsAtMs = performance.now() + mostTurnMs;
      resolve();
    });
  });
  return next;
}
