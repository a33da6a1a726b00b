import { setImmediate as yieldToLoop } from "node:timers/promises";

/** How long the event loop waits for one piece of work. */
const TURN_MS = 5;

/** Carries out work that comes in steps; others have their turn whenever it took {@link TURN_MS}. */
export async function inTurns<T>(steps: Iterator<unknown, T>): Promise<T> {
  let beganMs = performance.now();
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
    if (performance.now() - beganMs < TURN_MS) continue;
    await yieldToLoop();
    beganMs = performance.now();
  }
}
