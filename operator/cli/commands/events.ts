import type { Command } from "commander";
import type { EventState } from "../../api/engine.js";
import {
  agentCommand,
  type AgentOptions,
  type Cli,
  collect,
  readCount,
  withAgents,
} from "../agent-command.js";
import { mergeEvents } from "../cluster/merge-events.js";
import { createEventFilter, type EventFilterOptions } from "../event-filter.js";
import type { Output } from "../output.js";
import { type DecodedPacket, decodePacket, describePacket } from "../packet-decode.js";
import { protocolName } from "../protocol-names.js";
import { printable } from "../visible.js";

interface EventsOptions extends EventFilterOptions, AgentOptions {
  readonly count?: number;
  readonly bytes?: boolean;
}

/** `sluicectl events` */
export function eventsCommand(cli: Cli): Command {
  return (
    agentCommand(
      cli,
      "events",
      "sampled packets as rules with `log` judge them, and what pods' policies refuse, live",
      "Prints packets that rules with `log: {oneIn: N}` sampled, and packets of pods that " +
        "policies refuse (or in audit mode would), from now until Ctrl-C, with " +
        "the rule that matched and what it did. Options of one kind are alternatives, options " +
        "of different kinds must all fit; names may have * and ?.",
    )
      .option("-f, --follow", "go on until Ctrl-C (the default)")
      // For kubectl, -n is the namespace.
      .option(
        `${cli.mode === "node" ? "-n, " : ""}--count <n>`,
        "end after so many events",
        readCount,
      )
      .option("--policy <glob>", "policy of the rule", collect)
      .option("--rule <glob>", "rule", collect)
      .option("--effect <glob>", "what the rule did: drop, accept, pass, …", collect)
      .option("--audit", "only what audit policies report")
      .option("--no-audit", "only what was done")
      .option("--interface <glob>", "interface", collect)
      .option("--pod <glob>", "NAMESPACE/NAME of the pod whose policies judged", collect)
      .option("--source <cidr>", "source address or CIDR", collect)
      .option("--destination <cidr>", "destination address or CIDR", collect)
      .option("--protocol <name>", "IP protocol, by name or number", collect)
      .option("--port <port>", "source or destination port", collect)
      .option("--bytes", "print the captured bytes too")
      .action((options: EventsOptions) =>
        withAgents(cli, options, async ({ io, agents, output }) => {
          const filter = createEventFilter(options);
          let left = options.count ?? Infinity;
          for await (const { node, line } of mergeEvents(agents, io.signal, output)) {
            const from = node === "" ? "" : `${node}: `;
            if ("lost" in line) {
              output.note(`${from}${line.lost} events lost: this terminal was too slow`);
            } else if ("end" in line) {
              output.note(`${from}the stream ended: ${printable(line.end)}`);
            } else {
              const packet = decodePacket(Buffer.from(line.event.bytes, "base64"));
              if (!filter(line.event, packet)) continue;
              output.showNext(eventDocument(line.event, packet, node), () => {
                const text = eventText(line.event, packet, output, options.bytes === true);
                return node === "" ? text : `${output.colors.cyan(node)}  ${text}`;
              });
              if (--left === 0) return;
            }
          }
        }),
      )
  );
}

function eventDocument(event: EventState, packet: DecodedPacket, node: string): unknown {
  const { protocol } = packet;
  return {
    ...(node !== "" && { node }),
    ...event,
    packet: {
      ...packet,
      ...(protocol !== undefined && { protocolName: protocolName(protocol) }),
    },
    summary: describePacket(packet),
  };
}

const bytesPerLine = 16;

export function eventText(
  event: EventState,
  packet: DecodedPacket,
  { colors }: Output,
  hasBytes: boolean,
): string {
  const time = /T([0-9:.]+)/.exec(event.time)?.[1] ?? event.time;
  const paint = /drop|above/.test(event.effect) ? colors.red : colors.green;
  const effect = event.audit ? `${paint(event.effect)} (audit)` : paint(event.effect);
  const line = [
    colors.dim(time),
    colors.bold(`${event.policy}/${event.rule}`),
    effect,
    event.pod === undefined ? event.interface : `${event.direction} of ${event.pod}`,
    describePacket(packet),
    `length ${event.length}`,
  ].join("  ");
  if (!hasBytes) return line;
  const bytes = Buffer.from(event.bytes, "base64");
  const dump: string[] = [];
  for (let at = 0; at < bytes.length; at += bytesPerLine) {
    const hex = bytes.subarray(at, at + bytesPerLine).toString("hex");
    const offset = at.toString(16).padStart(4, "0");
    dump.push(`  ${offset}  ${hex.replaceAll(/(.{4})(?=.)/g, "$1 ")}`);
  }
  return [line, ...dump].join("\n");
}
