import { createInterface } from "node:readline/promises";
import type { Command } from "commander";
import type { CleanupPlan } from "../../health/cleanup.js";
import { type Cli, localCommand } from "../agent-command.js";
import { cliError } from "../errors.js";
import type { CliIo } from "../io.js";
import { createOutput, type OutputFormat } from "../output.js";
import { printable } from "../visible.js";

interface CleanupOptions {
  readonly output: OutputFormat;
  readonly pinRoot: string;
  readonly stateFolder: string;
  readonly yes?: boolean;
}

/** `sluicectl cleanup` */
export function cleanupCommand(cli: Cli): Command {
  return localCommand(
    "cleanup",
    "take Sluice off this node: programs, tables, routes, state",
    "Removes every pin, link, route and state file of Sluice, so that no packet is judged any " +
      "more, and none led to the pods of other nodes. The agent must have ended. Asks first.",
  )
    .option("--pin-root <folder>", "as the agent was started", "/sys/fs/bpf/sluice")
    .option("--state-folder <folder>", "as the agent was started", "/run/sluice")
    .option("-y, --yes", "do not ask")
    .action(async (options: CleanupOptions) => {
      const { io } = cli;
      const output = createOutput(io, options.output);
      const { carryOutCleanup, planCleanup } = await import("../../health/cleanup.js");
      const plan = planCleanup(options);
      const { files, folders, filters: tc, routing } = plan;
      if (files.length + folders.length + tc.length + routing.length === 0) {
        output.show({ removed: [] }, () => "there is nothing to remove");
        return;
      }
      if (options.yes !== true) await ask(io, plan, options);
      carryOutCleanup(options, plan);
      for (const path of plan.strangers) output.note(`left alone: ${printable(path)}`);
      const filters = plan.filters.map(({ name }) => `tc filter of ${name}`);
      const removed = [...plan.files, ...filters, ...plan.routing, ...plan.folders];
      output.show({ removed }, () => `removed ${counted(plan)}`);
    });
}

function counted({ files, folders, filters, routing }: CleanupPlan): string {
  const parts = [`${files.length} pins and files`, `${folders.length} folders`];
  if (filters.length > 0) parts.push(`${filters.length} tc filters`);
  return [...parts, ...routing].join(", ");
}

async function ask(io: CliIo, plan: CleanupPlan, options: CleanupOptions): Promise<void> {
  if (io.stdin.isTTY !== true) {
    throw cliError("SLUICE_ABORTED", "cleanup asks first, and standard input is no terminal", {
      remedy: "Give --yes",
    });
  }
  io.stderr.write(
    `This removes ${counted(plan)} under ${options.pinRoot} and ${options.stateFolder}.\n` +
      "No packet is judged by Sluice any more.\n",
  );
  const lines = createInterface({ input: io.stdin });
  try {
    io.stderr.write("Go on? [y/N] ");
    const answer = await lines.question("", { signal: io.signal });
    if (/^y(es)?$/i.test(answer.trim())) return;
  } finally {
    lines.close();
  }
  throw cliError("SLUICE_ABORTED", "cleanup was not confirmed");
}
