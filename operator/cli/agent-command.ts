import { Command, InvalidArgumentError, Option } from "commander";
import { type ApiClient, createClient } from "../api/client.js";
import { parseDuration } from "../model/date-time.js";
import type { CliIo } from "./io.js";
import { createOutput, type Output, type OutputFormat, outputFormats } from "./output.js";

export const defaultSocket = "/run/sluice/agent.sock";

/** What one run of sluicectl shares among its commands. */
export interface Cli {
  readonly io: CliIo;
  exitCode: number;
}

/** What a command works with, from the options that all have. */
export interface CommandContext {
  readonly io: CliIo;
  readonly output: Output;
  readonly client: ApiClient;
}

interface CommonOptions {
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

/** A command that asks the agent. */
export function agentCommand(name: string, summary: string, description = summary): Command {
  return localCommand(name, summary, description).addOption(
    new Option("--socket <path>", "unix socket of the agent")
      .env("SLUICE_SOCKET")
      .default(defaultSocket),
  );
}

export function openContext(cli: Cli, options: CommonOptions): CommandContext {
  return {
    io: cli.io,
    output: createOutput(cli.io, options.output),
    client: createClient(options.socket ?? defaultSocket),
  };
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
