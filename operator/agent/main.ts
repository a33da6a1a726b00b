#!/usr/bin/env node
import { CommanderError } from "commander";
import { SluiceError } from "../errors.js";
import { createLog, neighbourLevel } from "./log.js";
import { type AgentOptions, createAgentCommand, resolveOptions } from "./options.js";

const exitCodes = { failed: 1, usage: 2 } as const;
/**
 * Ending waits for writes to the kernel and open requests; a supervisor kills after this or more.
 */
const endWithinMs = 8000;

const options = readOptions();
const log = createLog(options.logLevel, options.engine.nodeName);
const { logger } = log;

process.on("uncaughtException", (error) => {
  logger.fatal({ err: error }, "an unexpected error; the rules stay in force");
  process.exit(exitCodes.failed);
});
process.on("SIGUSR1", () => log.setLevel(neighbourLevel(log.level(), -1)));
process.on("SIGUSR2", () => log.setLevel(neighbourLevel(log.level(), 1)));
const ending = waitForSignal();

try {
  // Only now, so that --help and a wrong option answer at once.
  const { startAgent } = await import("./agent.js");
  const agent = await startAgent(options, log);
  const signal = await ending;
  logger.info({ signal }, "ending; the rules stay in force");
  setTimeout(() => {
    logger.error("ending took too long");
    process.exit(exitCodes.failed);
  }, endWithinMs).unref();
  await agent.close();
  logger.info("ended");
  process.exit(0);
} catch (error) {
  if (error instanceof SluiceError) {
    const { code, problem, remedy, cause } = error;
    logger.fatal(
      { code, remedy, ...(cause instanceof Error && { cause: cause.message }) },
      problem,
    );
  } else {
    logger.fatal({ err: error }, "the agent could not start");
  }
  process.exit(exitCodes.failed);
}

function readOptions(): AgentOptions {
  try {
    return resolveOptions(createAgentCommand().exitOverride().parse());
  } catch (error) {
    // Commander has printed its own; help and version come as errors, too.
    if (error instanceof CommanderError) process.exit(error.exitCode === 0 ? 0 : exitCodes.usage);
    if (!(error instanceof SluiceError)) throw error;
    process.stderr.write(`error: ${error.problem}\n       ${error.remedy}\n       ${error.code}\n`);
    process.exit(exitCodes.usage);
  }
}

/** The first signal to end; a second one, of somebody who does not want to wait, ends at once. */
function waitForSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let count = 0;
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      process.on(signal, () => {
        count++;
        /* Not process.exit: it waits for a load under way, which waits for this thread. */
        if (count > 1) process.kill(process.pid, "SIGKILL");
        resolve(signal);
      });
    }
  });
}
