import { setImmediate as turn } from "node:timers/promises";

/** Long work in pieces: others of this process are kept waiting no longer than this. */
const SLICE_MS = 5;

/** @returns what to await after each piece: it lets others have their turn when the time is up */
export function timeSlice(sliceMs = SLICE_MS): () => Promise<void> | undefined {
  let since = performance.now();
  return () => {
    if (performance.now() - since < sliceMs) return undefined;
    return turn().then(() => {
      since = performance.now();
    });
  };
}
