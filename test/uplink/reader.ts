/** Packets that never stop, judged on another thread while this one changes the tables. */

import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import type { IfIndex, ProgramFd, Program } from "../../datapath/index.js";

export interface ReaderData {
  readonly programFd: ProgramFd;
  readonly ingress: number;
  readonly frames: readonly Uint8Array[];
  /** A flag to stop, then eight counters for each frame, by XDP action. */
  readonly shared: SharedArrayBuffer;
}

export interface Reader {
  /** How often each XDP action (aborted, drop, pass, tx, redirect) came out for a frame so far. */
  tally(frame: number): readonly number[];
  /** Ends the thread. */
  stop(): Promise<void>;
}

/** Starts the thread; every frame was judged once when this resolves. */
export async function startReader(
  program: Program,
  ingress: IfIndex,
  frames: readonly Uint8Array[],
): Promise<Reader> {
  const shared = new SharedArrayBuffer(4 + frames.length * 8 * 4);
  const workerData: ReaderData = { programFd: program.fd, ingress, frames, shared };
  const worker = new Worker(new URL("reader-thread.js", import.meta.url), { workerData });
  const exited = once(worker, "exit");
  const tallies = new Int32Array(shared, 4);
  const tally = (frame: number) => [...tallies.subarray(frame * 8, frame * 8 + 5)];
  const last = frames.length - 1;
  while (tally(last).every((count) => count === 0)) {
    await Promise.race([
      sleep(5),
      exited.then(() => Promise.reject(new Error("the reader ended"))),
    ]);
  }
  return {
    tally,
    async stop() {
      Atomics.store(new Int32Array(shared, 0, 1), 0, 1);
      await exited;
    },
  };
}
