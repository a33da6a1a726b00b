import { type Command, Option } from "commander";
import type { ApiClient } from "../../api/client.js";
import type { TraceResult, VerdictName } from "../../api/engine.js";
import {
  agentCommand,
  type AgentOptions,
  type Cli,
  collect,
  programName,
  readCount,
  withAgents,
} from "../agent-command.js";
import { readCapturedFrame } from "../capture-file.js";
import { exitCodes, usageError } from "../errors.js";
import type { Output } from "../output.js";
import { decodePacket, describePacket } from "../packet-decode.js";
import { buildFrame } from "../packet-frame.js";
import { type PacketOptions, readPacketWords } from "../packet-words.js";
import { printable } from "../visible.js";

interface TraceOptions extends PacketOptions, AgentOptions {
  readonly interface?: string;
  readonly hex?: string;
  readonly pcap?: string;
  readonly packet?: number;
  readonly expect?: VerdictName;
}

const verdicts: readonly VerdictName[] = ["pass", "drop", "redirect", "aborted"];

const examples = (trace: string) => `
Examples:
  ${trace} tcp 10.0.0.1:1234 10.77.0.11:80 --flags SYN --interface eth0
  ${trace} udp [2001:db8::1]:53 [2001:db8::2]:40000 --vlan 7
  ${trace} icmp 10.0.0.1 10.77.0.11 --type 8
  ${trace} ip 10.0.0.1 10.77.0.11 --protocol 47
  ${trace} --pcap attack.pcap --packet 3 --expect drop
`;

/** `sluicectl trace` */
export function traceCommand(cli: Cli): Command {
  return agentCommand(
    cli,
    "trace",
    "what would happen to a packet, and why",
    "Runs the program in force, with the tables in force, on one packet, and prints stage " +
      "by stage what it found, which rules matched and what the verdict is. Nothing is sent, " +
      "counted, or taken from a rate limit.",
  )
    .argument(
      "[words...]",
      "PROTOCOL SOURCE[:PORT] DESTINATION[:PORT]; protocols: tcp, udp, sctp, icmp, ip",
    )
    .option("-i, --interface <name>", "where it arrives (default: the only judged interface)")
    .option("--flags <list>", "TCP flags: SYN,ACK or none (default: SYN)")
    .option("--type <n>", "ICMP type (default: echo request)")
    .option("--code <n>", "ICMP code (default: 0)")
    .option("--protocol <n>", "IP protocol number, with ip")
    .option("--vlan <id>", "VLAN tag, outermost first; repeatable", collect)
    .option("--fragment <which>", "first or later fragment")
    .option("--ip-options", "with IPv4 options, or an IPv6 hop-by-hop header")
    .option("--payload <bytes>", "length of the payload")
    .option("--hex <bytes>", "the frame itself, from its Ethernet header, in place of words")
    .option("--pcap <file>", "a frame of a pcap or pcapng file, in place of words")
    .option("--packet <n>", "which frame of the file (default: 1)", readCount)
    .addOption(
      new Option("--expect <verdict>", "exit with 4 when the verdict is another").choices(verdicts),
    )
    .addHelpText(
      "after",
      examples(cli.mode === "node" ? "sluicectl trace" : "kubectl sluice trace --node NODE"),
    )
    .action((words: readonly string[], options: TraceOptions) =>
      withAgents(cli, options, async ({ agents, output }) => {
        const client = agents.only();
        const frame = readFrame(words, options, output);
        const where = options.interface ?? (await onlyInterface(client, programName(cli)));
        const result = await client.call("trace", {
          frame: frame.toString("base64"),
          interface: where,
        });
        output.show({ ...result, frame: frame.toString("hex") }, () =>
          traceText(result, frame, output),
        );
        if (options.expect !== undefined && options.expect !== result.verdict) {
          cli.exitCode = exitCodes.finding;
        }
      }),
    );
}

const wordOptions = [
  "flags",
  "type",
  "code",
  "protocol",
  "vlan",
  "fragment",
  "ipOptions",
  "payload",
];

function readFrame(words: readonly string[], options: TraceOptions, output: Output): Buffer {
  const ways = [words.length > 0, options.hex !== undefined, options.pcap !== undefined];
  if (ways.filter(Boolean).length > 1) {
    throw usageError("a packet is given in words, with --hex or with --pcap, in one of these ways");
  }
  if (options.packet !== undefined && options.pcap === undefined) {
    throw usageError("--packet goes with --pcap");
  }
  if (options.hex === undefined && options.pcap === undefined) {
    return buildFrame(readPacketWords(words, options));
  }
  const surplus = wordOptions.find((name) => options[name as keyof TraceOptions] !== undefined);
  if (surplus !== undefined) throw usageError(`--${surplus} goes with a packet in words only`);
  if (options.pcap !== undefined) {
    const captured = readCapturedFrame(options.pcap, options.packet ?? 1);
    if (captured.wireLength > captured.bytes.length) {
      output.note(
        `the capture holds ${captured.bytes.length} of the packet's ${captured.wireLength} bytes; ` +
          "the verdict may be that of a truncated packet",
      );
    }
    return captured.bytes;
  }
  return readHex(options.hex ?? "");
}

function readHex(text: string): Buffer {
  const digits = text.replaceAll(/0x|[\s:.-]/g, "");
  if (digits.length % 2 !== 0 || !/^[0-9a-fA-F]+$/.test(digits)) {
    throw usageError(
      "--hex holds no bytes in hexadecimal",
      "Write for example --hex 'ffffffffffff 0200…'",
    );
  }
  return Buffer.from(digits, "hex");
}

async function onlyInterface(client: ApiClient, program: string): Promise<string> {
  const { interfaces } = await client.call("status");
  const [first, second] = interfaces;
  if (first !== undefined && second === undefined) return first.name;
  throw usageError(
    first === undefined ? "no interface is judged on this node" : "several interfaces are judged",
    first === undefined
      ? `Give --interface NAME; ${program} status shows why none is judged`
      : `Give --interface with one of ${interfaces.map(({ name }) => name).join(", ")}`,
  );
}

export function traceText(result: TraceResult, frame: Uint8Array, output: Output): string {
  const { colors } = output;
  const packet = describePacket(decodePacket(frame));
  // The rules that matched and the verdict come below, in their own form.
  const stages = result.stages
    .filter(({ stage }) => stage !== "rule" && stage !== "verdict")
    .map(({ stage, text }) => [stage, printable(text)] as const);
  const matched = result.matched.map(
    ({ policy, rule, effect }) => ["matched", `${policy}/${rule}: ${printable(effect)}`] as const,
  );
  const lines = [
    ["packet", `${packet}, ${frame.length} bytes, on ${result.interface}`] as const,
    ...stages,
    ...matched,
  ];
  const width = Math.max(...lines.map(([name]) => name.length));
  return [
    ...lines.map(([name, text]) => `${colors.dim(name.padEnd(width))}  ${text}`),
    verdictText(result, output),
  ].join("\n");
}

/** Verdict, reason and rule on one line. */
export function verdictText(result: TraceResult, { colors }: Output): string {
  const paint =
    result.verdict === "pass"
      ? colors.green
      : result.verdict === "redirect"
        ? colors.cyan
        : colors.red;
  const by =
    result.policy === undefined ? "" : ` by ${colors.bold(`${result.policy}/${result.rule}`)}`;
  return `${colors.bold(paint(result.verdict.toUpperCase()))} reason ${result.reason}${by}`;
}
