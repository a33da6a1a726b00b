import type { Command } from "commander";
import type { SetObjectState, SetState } from "../../api/engine.js";
import { agentCommand, type AgentOptions, type Cli, withAgents } from "../agent-command.js";
import type { NodeRow } from "../agents.js";
import type { Output } from "../output.js";
import { formatCount, formatMoment } from "../units.js";

/** `sluicectl sets` */
export function setsCommand(cli: Cli): Command {
  return agentCommand(
    cli,
    "sets",
    "the CIDR sets, their sizes, who feeds and who uses them",
  ).action((options: AgentOptions) =>
    withAgents(cli, options, async ({ agents, output }) => {
      const sets = await agents.rows((client) => client.call("sets"));
      output.show(sets, () => setsText(sets, output, Date.now(), agents.isCluster));
    }),
  );
}

export function setsText(
  sets: readonly NodeRow<SetState>[],
  output: Output,
  nowMs: number,
  hasNodes = false,
): string {
  if (sets.length === 0) return "no sets";
  return output.table(
    [
      ...(hasNodes ? [{ title: "NODE" }] : []),
      { title: "SET" },
      { title: "IPV4", align: "right" },
      { title: "IPV6", align: "right" },
      { title: "NEXT EXPIRY" },
      { title: "USED BY" },
      { title: "FED BY" },
    ],
    sets.map((set) => [
      ...(hasNodes ? [set.node ?? ""] : []),
      set.name,
      formatCount(set.ipv4Prefixes),
      formatCount(set.ipv6Prefixes),
      set.nextExpiry === undefined ? "" : formatMoment(set.nextExpiry, nowMs),
      set.usedBy.length === 0 ? "(nobody)" : set.usedBy.join(","),
      set.objects.map((object) => objectText(object, set)).join(","),
    ]),
  );
}

/** A set that nobody uses has nothing in force. */
function objectText(
  { name, generation, generationInForce }: SetObjectState,
  { usedBy }: SetState,
): string {
  if (generationInForce === generation || usedBy.length === 0) return name;
  const before = generationInForce === undefined ? "" : `, ${generationInForce} is`;
  return `${name} (generation ${generation} not in force${before})`;
}
