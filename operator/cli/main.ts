#!/usr/bin/env node
import { runCli } from "./program.js";

const ending = new AbortController();
/** Endless commands end on their own within this; any other is cut short. */
const graceMs = 300;
const exitCodes = { SIGINT: 130, SIGTERM: 143 } as const;

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    ending.abort();
    setTimeout(() => process.exit(exitCodes[signal]), graceMs).unref();
  });
}

/** `sluicectl rules | head` closes the pipe: that is no error. */
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(0);
    throw error;
  });
}

process.exitCode = await runCli(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  stdin: process.stdin,
  env: process.env,
  signal: ending.signal,
});
