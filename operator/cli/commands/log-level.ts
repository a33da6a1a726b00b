import { Argument, type Command } from "commander";
import { type LogLevel, logLevels } from "../../api/requests.js";
import { agentCommand, type AgentOptions, type Cli, withAgents } from "../agent-command.js";

/** `sluicectl log-level` */
export function logLevelCommand(cli: Cli): Command {
  return agentCommand(
    cli,
    "log-level",
    "show or change how much the agent logs",
    "Shows the agent's log level, or changes it until the agent ends. SIGUSR1 makes it more" +
      " talkative by one level, SIGUSR2 less.",
  )
    .addArgument(new Argument("[level]", "the new level").choices(logLevels))
    .action((level: LogLevel | undefined, options: AgentOptions) =>
      withAgents(cli, options, async ({ agents, output }) => {
        const answers = await agents.answers(async (client) =>
          level === undefined
            ? (await client.call("status")).logLevel
            : (await client.call("logLevel", { level })).level,
        );
        const rows = answers.map(({ node, value }) => ({ node, level: value }));
        if (agents.isCluster) {
          output.show(rows, () =>
            output.table(
              [{ title: "NODE" }, { title: "LEVEL" }],
              rows.map((row) => [row.node, row.level]),
            ),
          );
          return;
        }
        for (const { level: now } of rows) output.show({ level: now }, () => now);
      }),
    );
}
