import type { Command } from "commander";
import type { EventState } from "../../api/engine.js";
import { agentCommand, type Cli, collect, openContext, readCount } from "../agent-command.js";
import { createEventFilter, type EventFilterOptions } from "../event-filter.js";
import type { Output, OutputFormat } from "../output.js";
import { type DecodedPacket, decodePacket, describePacket } from "../packet-decode.js";
import { protocolName } from "../protocol-names.js";
import { printable } from "../visible.js";

interface EventsOptions extends EventFilterOptions {
  readonly output: OutputFormat;
  readonly socket: string;
  readonly count?: number;
  readonly bytes?: boolean;
}

/** `sluicectl events` */
export function eventsCommand(cli: Cli): Command {
  return agentCommand(
    "events",
    "sampled packets as rules with `log` judge them, live",
    "Prints packets that rules with `log: {oneIn: N}` sampled, from now until Ctrl-C, with " +
      "the rule that matched and what it did. Options of one kind are alternatives, options " +
      "of different kinds must all fit; names may have * and ?.",
  )
    .option("-f, --follow", "go on until Ctrl-C (the default)")
    .option("-n, --count <n>", "end after so many events", readCount)
    .option("--policy <glob>", "policy of the rule", collect)
    .option("--rule <glob>", "rule", collect)
    .option("--effect <glob>", "what the rule did: drop, accept, pass, …", collect)
    .option("--audit", "only what audit policies report")
    .option("--no-audit", "only what was done")
    .option("--interface <glob>", "interface", collect)
    .option("--source <cidr>", "source address or CIDR", collect)
    .option("--destination <cidr>", "destination address or CIDR", collect)
    .option("--protocol <name>", "IP protocol, by name or number", collect)
    .option("--port <port>", "source or destination port", collect)
    .option("--bytes", "print the captured bytes too")
    .action(async (options: EventsOptions) => {
      const { io, client, output } = openContext(cli, options);
      const filter = createEventFilter(options);
      let left = options.count ?? Infinity;
      for await (const line of client.events(io.signal)) {
        if ("lost" in line) {
          output.note(`${line.lost} events lost: this terminal was too slow`);
        } else if ("end" in line) {
          output.note(`the stream ended: ${printable(line.end)}`);
        } else {
          const packet = decodePacket(Buffer.from(line.event.bytes, "base64"));
          if (!filter(line.event, packet)) continue;
          output.showNext(eventDocument(line.event, packet), () =>
            eventText(line.event, packet, output, options.bytes === true),
          );
          if (--left === 0) return;
        }
      }
    });
}

function eventDocument(event: EventState, packet: DecodedPacket): unknown {
  const { protocol } = packet;
  return {
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
    event.interface,
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
