import type { Command } from "commander";
import type { ProtocolState } from "../../api/engine.js";
import {
  agentCommand,
  type AgentOptions,
  type Cli,
  type WatchOptions,
  withAgents,
  withWatch,
} from "../agent-command.js";
import type { NodeRow } from "../agents.js";
import type { Output } from "../output.js";
import type { Column } from "../table.js";
import { formatBitRate, formatBytes, formatCount, formatRate, ratePerSecond } from "../units.js";
import { type Sample, watch } from "../watch.js";

/** `sluicectl protocols` */
export function protocolsCommand(cli: Cli): Command {
  const command = agentCommand(
    cli,
    "protocols",
    "packets by IP protocol; with --watch, packets per second",
    "Counts the packets that arrived at the judged interfaces, by IP protocol. With --watch" +
      " it shows packets per second, the most frequent protocol first.",
  );
  return withWatch(command).action((options: AgentOptions & WatchOptions) =>
    withAgents(cli, options, async ({ io, agents, output }) => {
      const take = () => agents.rows((client) => client.call("protocols"));
      if (options.watch === true) {
        await watch({
          io,
          output,
          intervalMs: options.interval,
          take,
          text: (sample) => protocolsText(sample, output, true, agents.isCluster),
          document: withRates,
        });
        return;
      }
      const value = await take();
      const sample = { value, before: undefined, seconds: 0 };
      output.show(value, () => protocolsText(sample, output, false, agents.isCluster));
    }),
  );
}

interface Rated extends NodeRow<ProtocolState> {
  readonly packetsPerSecond?: number;
  readonly bytesPerSecond?: number;
}

type Protocols = readonly NodeRow<ProtocolState>[];

function withRates({ value, before, seconds }: Sample<Protocols>): readonly Rated[] {
  const key = ({ node = "", protocol }: NodeRow<ProtocolState>) => `${node}/${protocol}`;
  const earlier = new Map(before?.map((state) => [key(state), state]));
  return value.map((state) => {
    // A protocol that was not there had no packets; unless nothing was looked at before.
    const then = before && (earlier.get(key(state)) ?? { packets: 0, bytes: 0 });
    const packetsPerSecond = ratePerSecond(state.packets, then?.packets, seconds);
    const bytesPerSecond = ratePerSecond(state.bytes, then?.bytes, seconds);
    return {
      ...state,
      ...(packetsPerSecond !== undefined && { packetsPerSecond }),
      ...(bytesPerSecond !== undefined && { bytesPerSecond }),
    };
  });
}

export function protocolsText(
  sample: Sample<Protocols>,
  output: Output,
  hasRates = false,
  hasNodes = false,
): string {
  const seen = withRates(sample).filter(({ packets }) => packets > 0);
  if (seen.length === 0) return "no packets yet";
  const sorted = seen.toSorted(
    (a, b) =>
      (b.packetsPerSecond ?? 0) - (a.packetsPerSecond ?? 0) ||
      b.packets - a.packets ||
      a.protocol - b.protocol,
  );
  const columns: Column[] = [
    ...(hasNodes ? [{ title: "NODE" }] : []),
    { title: "PROTOCOL" },
    { title: "NUMBER", align: "right" },
    { title: "PACKETS", align: "right" },
    { title: "BYTES", align: "right" },
  ];
  if (hasRates)
    columns.push({ title: "PACKETS/S", align: "right" }, { title: "RATE", align: "right" });
  return output.table(
    columns,
    sorted.map((state) => {
      const row = [
        ...(hasNodes ? [state.node ?? ""] : []),
        state.name,
        state.protocol > 255 ? "" : String(state.protocol),
        formatCount(state.packets),
        formatBytes(state.bytes),
      ];
      if (hasRates)
        row.push(formatRate(state.packetsPerSecond), formatBitRate(state.bytesPerSecond));
      return row;
    }),
  );
}
