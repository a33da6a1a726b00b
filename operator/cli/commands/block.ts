import { type Command, Option } from "commander";
import type { BlockedState } from "../../api/engine.js";
import {
  agentCommand,
  type AgentOptions,
  type Cli,
  readDuration,
  withAgents,
} from "../agent-command.js";
import type { NodeRow } from "../agents.js";
import { exitCodes, usageError } from "../errors.js";
import type { Output } from "../output.js";
import { formatMoment } from "../units.js";

interface BlockOptions extends AgentOptions {
  readonly for?: number;
  readonly allNodes?: boolean;
  /** Milliseconds; false: --no-wait. */
  readonly wait?: number | false;
}

const defaultWaitMs = 30_000;

/** `sluicectl block` */
export function blockCommand(cli: Cli): Command {
  const order =
    "before any policy but behind the fail-safe rules. To block an address again sets its time anew.";
  const command =
    cli.mode === "node"
      ? agentCommand(
          cli,
          "block",
          "drop everything from an address or CIDR on this node, at once",
          `Drops packets from an address or CIDR on the uplinks of this node, ${order} In force ` +
            "when the command returns; kept over restarts of the agent.",
        )
      : agentCommand(
          cli,
          "block",
          "drop everything from an address or CIDR",
          `Drops packets from an address or CIDR on the uplinks. With --node on these nodes only, ${order} ` +
            "With --all-nodes on every node, also on those that come later: through the XdpCidrSet " +
            "sluice-blocked, and the XdpPolicy sluice-blocked of priority 0, which is made when it is not there.",
        );
  command
    .argument("<cidr...>", "address or CIDR: 192.0.2.7, 192.0.2.0/24, 2001:db8::/32")
    .option(
      "--for <duration>",
      "end by itself: 90s, 10m, 24h (default: until unblocked)",
      readDuration,
    );
  return withAllNodes(cli, command).action(
    async (cidrs: readonly string[], options: BlockOptions) => {
      if (options.allNodes === true) {
        const { blockOnAllNodes } = await import("../cluster/block-on-all-nodes.js");
        await blockOnAllNodes(cli, options, cidrs, options.for, waitOf(options));
        return;
      }
      needsNode(cli, options);
      await withAgents(cli, options, async ({ agents, output }) => {
        for (const cidr of cidrs) {
          const forMs = options.for;
          const request = { cidr, ...(forMs !== undefined && { forMs }) };
          const entries = await agents.rows(async (client) => [
            await client.call("block", request),
          ]);
          for (const entry of entries) {
            output.showNext(entry, () => `blocked ${entryText(entry)}${onNode(entry)}`);
          }
        }
      });
    },
  );
}

/** `sluicectl unblock` */
export function unblockCommand(cli: Cli): Command {
  const command = agentCommand(
    cli,
    "unblock",
    "take back a block; exits with 4 when there was none",
  ).argument("<cidr...>", "as it was blocked");
  return withAllNodes(cli, command).action(
    async (cidrs: readonly string[], options: BlockOptions) => {
      if (options.allNodes === true) {
        const { unblockOnAllNodes } = await import("../cluster/block-on-all-nodes.js");
        await unblockOnAllNodes(cli, options, cidrs, waitOf(options));
        return;
      }
      needsNode(cli, options);
      await withAgents(cli, options, async ({ agents, output }) => {
        for (const cidr of cidrs) {
          const answers = await agents.rows(async (client) => {
            const { unblocked } = await client.call("unblock", { cidr });
            return [{ cidr, unblocked }];
          });
          for (const answer of answers) {
            output.showNext(answer, () =>
              answer.unblocked
                ? `unblocked ${cidr}${onNode(answer)}`
                : `${cidr} was not blocked${onNode(answer)}`,
            );
            if (!answer.unblocked) cli.exitCode = exitCodes.finding;
          }
        }
      });
    },
  );
}

/** `sluicectl blocked` */
export function blockedCommand(cli: Cli): Command {
  const command =
    cli.mode === "node"
      ? agentCommand(cli, "blocked", "the addresses blocked on this node")
      : agentCommand(
          cli,
          "blocked",
          "the blocked addresses",
          "Lists the addresses that are blocked on single nodes; with --all-nodes those that are " +
            "blocked on all of them.",
        ).option("--all-nodes", "what is blocked through the XdpCidrSet sluice-blocked");
  return command.action(async (options: BlockOptions) => {
    if (options.allNodes === true) {
      const { blockedOnAllNodes } = await import("../cluster/block-on-all-nodes.js");
      await blockedOnAllNodes(cli, options);
      return;
    }
    await withAgents(cli, options, async ({ agents, output }) => {
      const entries = await agents.rows((client) => client.call("blocked"));
      output.show(entries, () => blockedText(entries, output, agents.isCluster));
    });
  });
}

export function blockedText(
  entries: readonly NodeRow<BlockedState>[],
  output: Output,
  hasNodes: boolean,
): string {
  if (entries.length === 0) return "nothing is blocked";
  return output.table(
    [
      ...(hasNodes ? [{ title: "NODE" }] : []),
      { title: "CIDR" },
      { title: "UNTIL" },
      { title: "ENDS" },
    ],
    entries.map(({ node = "", cidr, until }) => [
      ...(hasNodes ? [node] : []),
      cidr,
      until ?? "unblocked",
      until === undefined ? "" : formatMoment(until, Date.now()),
    ]),
  );
}

export function entryText({ cidr, until }: BlockedState): string {
  return until === undefined ? `${cidr} until unblocked` : `${cidr} until ${until}`;
}

function onNode({ node }: { readonly node?: string }): string {
  return node === undefined ? "" : ` on ${node}`;
}

function withAllNodes({ mode }: Cli, command: Command): Command {
  if (mode === "node") return command;
  return command
    .addOption(new Option("--all-nodes", "on every node").conflicts("node"))
    .option(
      "--wait <duration>",
      "with --all-nodes: how long to ask the agents until all have it in force (default: 30s)",
      readDuration,
    )
    .option("--no-wait", "with --all-nodes: do not ask the agents");
}

function waitOf({ wait }: BlockOptions): number {
  if (wait === false) return 0;
  return typeof wait === "number" ? wait : defaultWaitMs;
}

/** A block of one node is soon forgotten: nobody gets it without having asked for it. */
function needsNode({ mode }: Cli, { node }: BlockOptions): void {
  if (mode === "node" || node !== undefined) return;
  throw usageError("on which nodes?", "Give --all-nodes, or --node NODE");
}
