import type { Command } from "commander";
import type { SetState } from "../../api/engine.js";
import { agentCommand, type Cli, openContext } from "../agent-command.js";
import type { Output, OutputFormat } from "../output.js";
import { formatCount, formatMoment } from "../units.js";

/** `sluicectl sets` */
export function setsCommand(cli: Cli): Command {
  return agentCommand("sets", "the CIDR sets, their sizes, who feeds and who uses them").action(
    async (options: { output: OutputFormat; socket: string }) => {
      const { client, output } = openContext(cli, options);
      const sets = await client.call("sets");
      output.show(sets, () => setsText(sets, output, Date.now()));
    },
  );
}

export function setsText(sets: readonly SetState[], output: Output, nowMs: number): string {
  if (sets.length === 0) return "no sets";
  return output.table(
    [
      { title: "SET" },
      { title: "IPV4", align: "right" },
      { title: "IPV6", align: "right" },
      { title: "NEXT EXPIRY" },
      { title: "USED BY" },
      { title: "FED BY" },
    ],
    sets.map((set) => [
      set.name,
      formatCount(set.ipv4Prefixes),
      formatCount(set.ipv6Prefixes),
      set.nextExpiry === undefined ? "" : formatMoment(set.nextExpiry, nowMs),
      set.usedBy.length === 0 ? "(nobody)" : set.usedBy.join(","),
      set.objects.join(","),
    ]),
  );
}
