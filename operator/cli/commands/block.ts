import type { Command } from "commander";
import type { BlockedState } from "../../api/engine.js";
import { agentCommand, type Cli, openContext, readDuration } from "../agent-command.js";
import { exitCodes } from "../errors.js";
import type { OutputFormat } from "../output.js";
import { formatMoment } from "../units.js";

interface CommonOptions {
  readonly output: OutputFormat;
  readonly socket: string;
}

/** `sluicectl block` */
export function blockCommand(cli: Cli): Command {
  return agentCommand(
    "block",
    "drop everything from an address or CIDR on this node, at once",
    "Drops packets from an address or CIDR on the uplinks of this node, before any policy " +
      "but behind the fail-safe rules. In force when the command returns; kept over restarts " +
      "of the agent. To block an address again sets its time anew.",
  )
    .argument("<cidr...>", "address or CIDR: 192.0.2.7, 192.0.2.0/24, 2001:db8::/32")
    .option(
      "--for <duration>",
      "end by itself: 90s, 10m, 24h (default: until unblocked)",
      readDuration,
    )
    .action(async (cidrs: readonly string[], options: CommonOptions & { for?: number }) => {
      const { client, output } = openContext(cli, options);
      for (const cidr of cidrs) {
        const forMs = options.for;
        const entry = await client.call("block", { cidr, ...(forMs !== undefined && { forMs }) });
        output.showNext(entry, () => `blocked ${entryText(entry)}`);
      }
    });
}

/** `sluicectl unblock` */
export function unblockCommand(cli: Cli): Command {
  return agentCommand("unblock", "take back a block; exits with 4 when there was none")
    .argument("<cidr...>", "as it was blocked")
    .action(async (cidrs: readonly string[], options: CommonOptions) => {
      const { client, output } = openContext(cli, options);
      for (const cidr of cidrs) {
        const { unblocked } = await client.call("unblock", { cidr });
        output.showNext({ cidr, unblocked }, () =>
          unblocked ? `unblocked ${cidr}` : `${cidr} was not blocked`,
        );
        if (!unblocked) cli.exitCode = exitCodes.finding;
      }
    });
}

/** `sluicectl blocked` */
export function blockedCommand(cli: Cli): Command {
  return agentCommand("blocked", "the addresses blocked on this node").action(
    async (options: CommonOptions) => {
      const { client, output } = openContext(cli, options);
      const entries = await client.call("blocked");
      output.show(entries, () => {
        if (entries.length === 0) return "nothing is blocked";
        return output.table(
          [{ title: "CIDR" }, { title: "UNTIL" }, { title: "ENDS" }],
          entries.map(({ cidr, until }) => [
            cidr,
            until ?? "unblocked",
            until === undefined ? "" : formatMoment(until, Date.now()),
          ]),
        );
      });
    },
  );
}

function entryText({ cidr, until }: BlockedState): string {
  return until === undefined ? `${cidr} until unblocked` : `${cidr} until ${until}`;
}
