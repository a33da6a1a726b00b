import { Argument, type Command } from "commander";
import { type LogLevel, logLevels } from "../../api/requests.js";
import { agentCommand, type Cli, openContext } from "../agent-command.js";
import type { OutputFormat } from "../output.js";

/** `sluicectl log-level` */
export function logLevelCommand(cli: Cli): Command {
  return agentCommand(
    "log-level",
    "show or change how much the agent logs",
    "Shows the agent's log level, or changes it until the agent ends. SIGUSR1 makes it more" +
      " talkative by one level, SIGUSR2 less.",
  )
    .addArgument(new Argument("[level]", "the new level").choices(logLevels))
    .action(
      async (level: LogLevel | undefined, options: { output: OutputFormat; socket: string }) => {
        const { client, output } = openContext(cli, options);
        const now =
          level === undefined
            ? (await client.call("status")).logLevel
            : (await client.call("logLevel", { level })).level;
        output.show({ level: now }, () => now);
      },
    );
}
