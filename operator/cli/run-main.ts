import type { CliMode } from "./agent-command.js";
import { runCli } from "./program.js";

/** Endless commands end on their own within this; any other is cut short. */
const graceMs = 300;
const exitCodes = { SIGINT: 130, SIGTERM: 143 } as const;

/** The whole process of sluicectl or kubectl-sluice. */
export async function runMain(mode: CliMode): Promise<void> {
  const ending = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      ending.abort();
      setTimeout(() => process.exit(exitCodes[signal]), graceMs).unref();
    });
  }

  // `sluicectl rules | head` closes the pipe: that is no error.
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EPIPE") process.exit(0);
      throw error;
    });
  }

  const { stdout, stderr, stdin, env } = process;
  const io = { stdout, stderr, stdin, env, signal: ending.signal };
  process.exitCode = await runCli(process.argv.slice(2), io, mode);
}
