/** A program inside a namespace that prints what it sees, line by line. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Lab, Namespace } from "../support/netns.js";

const PATIENCE_MS = 10_000;

export interface Printer {
  /** What it has printed so far. */
  readonly lines: readonly string[];
  /** Resolves when the line was or is printed; rejects when that takes too long or the program ends. */
  sees(line: string): Promise<void>;
}

/** Starts the program, waits for its line `ready`, and ends it with the lab. */
export async function printLines(
  lab: Lab,
  namespace: Namespace,
  program: string,
  ...args: readonly string[]
): Promise<Printer> {
  const child = spawn("nsenter", [`--net=${namespace.path}`, program, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const lines: string[] = [];
  let errors = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (errors += text));
  createInterface(child.stdout).on("line", (line) => {
    lines.push(line);
    child.emit("printed");
  });
  const closed = once(child, "close");
  lab.onCleanup(async () => {
    child.kill();
    await closed;
  });
  const sees = async (line: string) => {
    const deadline = AbortSignal.timeout(PATIENCE_MS);
    while (!lines.includes(line)) {
      assert.equal(child.exitCode, null, `${program} ended: ${errors}`);
      const isLate = once(deadline, "abort").then(() => "late");
      const event = await Promise.race([once(child, "printed"), closed, isLate]);
      assert.notEqual(event, "late", `no line ${line} from ${program}, but ${lines.join(" ")}`);
    }
  };
  await sees("ready");
  return { lines, sees };
}
