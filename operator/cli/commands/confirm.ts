import type { Command } from "commander";
import { SluiceError } from "../../errors.js";
import {
  agentCommand,
  type AgentOptions,
  type Cli,
  programName,
  withAgents,
} from "../agent-command.js";
import type { Agents } from "../agents.js";
import { cliError } from "../errors.js";

/** `sluicectl confirm` */
export function confirmCommand(cli: Cli): Command {
  return agentCommand(
    cli,
    "confirm",
    "keep a policy that would else be rolled back",
    "Confirms a policy with `confirmWithin`, so that it stays. Without this it is rolled " +
      `back when its time is over; ${programName(cli)} status shows what waits, and how long.`,
  )
    .argument("<policy>", "name of the XdpPolicy")
    .action((policy: string, options: AgentOptions) =>
      withAgents(cli, options, async ({ agents, output }) => {
        if (!agents.isCluster) {
          const answer = await agents.only().call("confirm", { policy });
          output.show(answer, () => `confirmed ${answer.confirmed}: it stays in force`);
          return;
        }
        const nodes = await confirmWhereItWaits(agents, policy);
        output.show(
          { confirmed: policy, nodes },
          () => `confirmed ${policy} on ${nodes.join(", ")}: it stays in force`,
        );
      }),
    );
}

/** @returns the nodes on which it waited */
async function confirmWhereItWaits(agents: Agents, policy: string): Promise<readonly string[]> {
  const answers = await agents.answers(async (client) => {
    const { policies } = await client.call("status");
    const waits = policies.some(
      ({ name, confirmBy }) => name === policy && confirmBy !== undefined,
    );
    if (!waits) return false;
    try {
      await client.call("confirm", { policy });
      return true;
    } catch (error) {
      // Somebody else, or its own probes, confirmed it meanwhile.
      if (error instanceof SluiceError && error.code === "SLUICE_NOTHING_TO_CONFIRM") return false;
      throw error;
    }
  });
  const nodes = answers.filter(({ value }) => value).map(({ node }) => node);
  if (nodes.length === 0) {
    const asked = answers.length === 1 ? "the node" : `${answers.length} nodes`;
    throw cliError("SLUICE_NOBODY_WAITS", `policy ${policy} waits for nothing on ${asked} asked`);
  }
  return nodes;
}
