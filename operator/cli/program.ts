import { Command, CommanderError } from "commander";
import { SluiceError } from "../errors.js";
import { type Cli, type CliMode, programName } from "./agent-command.js";
import { blockCommand, blockedCommand, unblockCommand } from "./commands/block.js";
import { checkCommand } from "./commands/check.js";
import { cleanupCommand } from "./commands/cleanup.js";
import { completionCommand } from "./commands/completion.js";
import { connectCommand } from "./commands/connect.js";
import { confirmCommand } from "./commands/confirm.js";
import { doctorCommand } from "./commands/doctor.js";
import { eventsCommand } from "./commands/events.js";
import { explainCommand } from "./commands/explain.js";
import { logLevelCommand } from "./commands/log-level.js";
import { policiesCommand } from "./commands/policies.js";
import { protocolsCommand } from "./commands/protocols.js";
import { rulesCommand } from "./commands/rules.js";
import { setsCommand } from "./commands/sets.js";
import { statusCommand } from "./commands/status.js";
import { traceCommand } from "./commands/trace.js";
import { exitCodeOf, exitCodes, exitCodesHelp } from "./errors.js";
import type { CliIo } from "./io.js";
import { createOutput } from "./output.js";
import { version } from "../version.js";
import { printable } from "./visible.js";

const commands: readonly ((cli: Cli) => Command)[] = [
  statusCommand,
  rulesCommand,
  policiesCommand,
  setsCommand,
  traceCommand,
  eventsCommand,
  protocolsCommand,
  blockCommand,
  unblockCommand,
  blockedCommand,
  confirmCommand,
  checkCommand,
  explainCommand,
  doctorCommand,
  logLevelCommand,
  completionCommand,
];

/** What acts on the machine itself. */
const nodeCommands: readonly ((cli: Cli) => Command)[] = [cleanupCommand];
/** What people do not type. */
const hiddenNodeCommands: readonly (() => Command)[] = [connectCommand];

/**
 * Runs `sluicectl`, or `kubectl sluice`, with these words.
 *
 * @param words without the program's own name
 * @returns the exit code; all errors are printed, none thrown
 */
export async function runCli(
  words: readonly string[],
  io: CliIo,
  mode: CliMode = "node",
): Promise<number> {
  const cli: Cli = { io, mode, exitCode: exitCodes.ok };
  try {
    await createProgram(cli).parseAsync(words, { from: "user" });
    return cli.exitCode;
  } catch (error) {
    // Commander has printed its own; help and version come as errors, too.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : exitCodes.usage;
    printError(error, io);
    return exitCodeOf(error);
  }
}

export function createProgram(cli: Cli): Command {
  const { io, mode } = cli;
  const name = programName(cli);
  const program = new Command(name)
    .description(
      mode === "node"
        ? "Asks and directs the Sluice agent of this node."
        : "Asks and directs the Sluice agents of a cluster, through the API server alone.",
    )
    .version(version, "-V, --version")
    .addHelpText("after", exitCodesHelp)
    .showHelpAfterError(`(${name} COMMAND --help explains the command)`);
  for (const create of commands) program.addCommand(create(cli));
  if (mode === "node") {
    for (const create of nodeCommands) program.addCommand(create(cli));
    for (const create of hiddenNodeCommands) program.addCommand(create(), { hidden: true });
  }
  for (const command of [program, ...program.commands]) {
    command.exitOverride().configureOutput({
      writeOut: (text) => void io.stdout.write(text),
      writeErr: (text) => void io.stderr.write(text),
      getOutHelpWidth: () => (io.stdout.isTTY === true ? (io.stdout.columns ?? 80) : 100),
      getErrHelpWidth: () => (io.stderr.isTTY === true ? (io.stderr.columns ?? 80) : 100),
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    });
  }
  return program;
}

function printError(error: unknown, io: CliIo): void {
  const { colors } = createOutput({ ...io, stdout: io.stderr }, "text");
  const prefix = colors.red("error:");
  if (!(error instanceof SluiceError)) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    io.stderr.write(`${prefix} ${text}\n`);
    return;
  }
  io.stderr.write(`${prefix} ${printable(error.problem)}\n`);
  if (error.remedy !== undefined) io.stderr.write(`       ${printable(error.remedy)}\n`);
  io.stderr.write(colors.dim(`       ${error.code}\n`));
}
