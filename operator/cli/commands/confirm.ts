import type { Command } from "commander";
import { agentCommand, type Cli, openContext } from "../agent-command.js";
import type { OutputFormat } from "../output.js";

/** `sluicectl confirm` */
export function confirmCommand(cli: Cli): Command {
  return agentCommand(
    "confirm",
    "keep a policy that would else be rolled back",
    "Confirms a policy with `confirmWithin`, so that it stays. Without this it is rolled " +
      "back when its time is over; sluicectl status shows what waits, and how long.",
  )
    .argument("<policy>", "name of the XdpPolicy")
    .action(async (policy: string, options: { output: OutputFormat; socket: string }) => {
      const { client, output } = openContext(cli, options);
      const answer = await client.call("confirm", { policy });
      output.show(answer, () => `confirmed ${answer.confirmed}: it stays in force`);
    });
}
