/** Worker: runs the program on some frames, over and over, and tallies what it answers. */

import { workerData } from "node:worker_threads";
import { ifIndex, Program, testRun } from "../../datapath/index.js";
import type { ReaderData } from "./reader.js";

const { programFd, ingress, frames, shared } = workerData as ReaderData;
const [stop, tallies] = [new Int32Array(shared, 0, 1), new Int32Array(shared, 4)];
const program = new Program(programFd, "uplink");
const context = { ingress: ifIndex(ingress) };

while (Atomics.load(stop, 0) === 0) {
  for (const [index, packet] of frames.entries()) {
    const { verdict } = testRun(program, { packet, context });
    Atomics.add(tallies, index * 8 + verdict, 1);
  }
}
