import { setTimeout as sleep } from "node:timers/promises";
import { SluiceError } from "../errors.js";
import { exitCodeOf, exitCodes } from "./errors.js";
import type { CliIo } from "./io.js";
import type { Output } from "./output.js";

/** One look at a value, and how long ago the look before was. */
export interface Sample<T> {
  readonly value: T;
  readonly before: T | undefined;
  /** Between the two. */
  readonly seconds: number;
}

export interface WatchOptions<T> {
  readonly io: CliIo;
  readonly output: Output;
  readonly intervalMs: number;
  readonly take: () => Promise<T>;
  readonly text: (sample: Sample<T>) => string;
  /** What programs get; default: the value. */
  readonly document?: (sample: Sample<T>) => unknown;
}

/**
 * Looks again and again until the user ends it. A terminal is refreshed in place, and outlives a
 * restart of the agent; elsewhere looks follow each other, and an agent that has gone is an error.
 *
 * @throws SluiceError of the first look, and of later ones outside a terminal
 */
export async function watch<T>(options: WatchOptions<T>): Promise<void> {
  const { io, output } = options;
  let before: { readonly value: T; readonly atMs: number } | undefined;
  if (output.isLive) io.stdout.write("\u001b[2J");
  while (!io.signal.aborted) {
    try {
      const value = await options.take();
      const atMs = performance.now();
      const seconds = before === undefined ? 0 : (atMs - before.atMs) / 1000;
      const sample = { value, before: before?.value, seconds };
      before = { value, atMs };
      if (output.isLive) redraw(io, options.text(sample));
      else
        output.showNext(options.document?.(sample) ?? value, () => `${options.text(sample)}\n\n`);
    } catch (error) {
      if (io.signal.aborted) return;
      const hasGone = exitCodeOf(error) === exitCodes.unreachable;
      if (!output.isLive || !hasGone || before === undefined) throw error;
      const why = error instanceof SluiceError ? error.problem : String(error);
      redraw(io, output.colors.yellow(`${why}; trying again`));
    }
    await sleep(options.intervalMs, undefined, { signal: io.signal }).catch(() => {});
  }
}

/** Home, each line and then the rest of the screen cleared behind the text: no flicker. */
function redraw(io: CliIo, text: string): void {
  const rows = io.stdout.rows ?? 24;
  const lines = text.split("\n");
  const shown = lines.length < rows ? lines : [...lines.slice(0, rows - 2), "…"];
  io.stdout.write(`\u001b[H${shown.map((line) => `${line}\u001b[K\n`).join("")}\u001b[J`);
}
