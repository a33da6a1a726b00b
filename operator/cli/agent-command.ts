import { Command, InvalidArgumentError, Option } from "commander";
import { createClient } from "../api/client.js";
import { parseDuration } from "../model/date-time.js";
import { type Agents, createAgents } from "./agents.js";
import { exitCodes } from "./errors.js";
import type { CliIo } from "./io.js";
import { createOutput, type Output, type OutputFormat, outputFormats } from "./output.js";

export const defaultSocket = "/run/sluice/agent.sock";

/** `node`: sluicectl asks the agent of its node. `cluster`: kubectl sluice asks the agents of a cluster. */
export type CliMode = "node" | "cluster";

/** What one run of sluicectl shares among its commands. */
export interface Cli {
  readonly io: CliIo;
  readonly mode: CliMode;
  exitCode: number;
}

/** As people call it. */
export function programName({ mode }: Pick<Cli, "mode">): string {
  return mode === "node" ? "sluicectl" : "kubectl sluice";
}

/** What a command works with, from the options that all have. */
export interface CommandContext {
  readonly io: CliIo;
  readonly output: Output;
  readonly agents: Agents;
}

/** How a cluster and its agents are found. */
export interface ClusterOptions {
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly namespace?: string;
  readonly node?: readonly string[];
}

export interface AgentOptions extends ClusterOptions {
  readonly output: OutputFormat;
  readonly socket?: string;
}

/** A command that needs no agent. */
export function localCommand(name: string, summary: string, description = summary): Command {
  return new Command(name)
    .summary(summary)
    .description(description)
    .addOption(
      new Option("-o, --output <format>", "how to print the answer")
        .choices(outputFormats)
        .default("text"),
    );
}

/** A command that has to do with the socket of this node's agent. */
export function socketCommand(name: string, summary: string, description = summary): Command {
  return new Command(name)
    .summary(summary)
    .description(description)
    .addOption(
      new Option("--socket <path>", "unix socket of the agent")
        .env("SLUICE_SOCKET")
        .default(defaultSocket),
    );
}

/** A command that asks the agent of this node, or agents of a cluster. */
export function agentCommand(
  { mode }: Cli,
  name: string,
  summary: string,
  description = summary,
): Command {
  if (mode === "node") {
    return localCommand(name, summary, description).addOption(
      new Option("--socket <path>", "unix socket of the agent")
        .env("SLUICE_SOCKET")
        .default(defaultSocket),
    );
  }
  return localCommand(name, summary, description)
    .option("--node <name>", "only the agent of this node; repeatable", collect)
    .option("-n, --namespace <name>", "namespace of the agents (default: where they are found)")
    .option("--context <name>", "context of the kubeconfig (default: its current one)")
    .option("--kubeconfig <file>", "kubeconfig (default: as kubectl)");
}

/** Finds the agents, runs the command, and ends the connections to them. */
export async function withAgents(
  cli: Cli,
  options: AgentOptions,
  run: (context: CommandContext) => Promise<void>,
): Promise<void> {
  const output = createOutput(cli.io, options.output);
  const agents = await openAgents(cli, options, output);
  try {
    await run({ io: cli.io, output, agents });
  } finally {
    agents.close();
  }
}

async function openAgents(cli: Cli, options: AgentOptions, output: Output): Promise<Agents> {
  if (cli.mode === "node") {
    const client = createClient(options.socket ?? defaultSocket);
    return createAgents([{ node: "", client }], { isCluster: false });
  }
  // Loads the Kubernetes client, which takes most of a second.
  const { openClusterAgents } = await import("./cluster/cluster-agents.js");
  return openClusterAgents(cli.io, options, (text) => {
    output.note(text);
    cli.exitCode = exitCodes.unreachable;
  });
}

/** `--watch` and `--interval`. */
export function withWatch(command: Command): Command {
  return command
    .option("-w, --watch", "show rates, refreshed until Ctrl-C")
    .option("--interval <duration>", "time between two looks", readInterval, 1000);
}

export interface WatchOptions {
  readonly watch?: boolean;
  readonly interval: number;
}

function readInterval(text: string): number {
  const ms = readDuration(text);
  if (ms < 100) throw new InvalidArgumentError("The shortest interval is 100ms.");
  return ms;
}

/** For commander: milliseconds of `90s`, `10m`, `1h30m`. */
export function readDuration(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined || ms === 0) {
    throw new InvalidArgumentError("Write a duration such as 90s, 10m or 1h30m.");
  }
  return ms;
}

/** For commander: a whole number from 1. */
export function readCount(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError("Write a whole number from 1.");
  return Number(text);
}

/** For commander: an option given several times, or once with commas. */
export function collect(text: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), ...text.split(",").filter((part) => part !== "")];
}
