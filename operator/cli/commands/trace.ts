import { type Command, Option } from "commander";
import type { ApiClient } from "../../api/client.js";
import type { TraceResult } from "../../api/engine.js";
import {
  agentCommand,
  type AgentOptions,
  type Cli,
  type CliMode,
  collect,
  type CommandContext,
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
import { nameAPod, readPodWords } from "../pod-trace/end-words.js";
import { expectations, isExpected, type Expectation } from "../pod-trace/expect.js";
import { clusterWorld, nodeWorld, tracePods } from "../pod-trace/trace-pods.js";
import { walkText } from "../pod-trace/walk-text.js";
import { printable } from "../visible.js";

interface TraceOptions extends PacketOptions, AgentOptions {
  readonly interface?: string;
  readonly hex?: string;
  readonly pcap?: string;
  readonly packet?: number;
  readonly expect?: Expectation;
  readonly flow?: boolean;
  readonly ipv4?: boolean;
  readonly ipv6?: boolean;
}

const examples = (mode: CliMode) => {
  const trace = mode === "node" ? "sluicectl trace" : "kubectl sluice trace --node NODE";
  const ofPods = mode === "node" ? "sluicectl trace" : "kubectl sluice trace";
  return `
Examples:
  ${ofPods} web/client web/server:80
  ${ofPods} udp web/client kube-system/dns-7f9:dns -6
  ${ofPods} 198.51.100.7 web/server:http --expect deny
  ${ofPods} web/client web/server:80 --flow
  ${trace} tcp 10.0.0.1:1234 10.77.0.11:80 --flags SYN --interface eth0
  ${trace} udp [2001:db8::1]:53 [2001:db8::2]:40000 --vlan 7
  ${trace} icmp 10.0.0.1 10.77.0.11 --type 8
  ${trace} ip 10.0.0.1 10.77.0.11 --protocol 47
  ${trace} --pcap attack.pcap --packet 3 --expect drop
`;
};

/** `sluicectl trace` */
export function traceCommand(cli: Cli): Command {
  const command = agentCommand(
    cli,
    "trace",
    "what would happen to a packet, and why",
    "Runs the program in force, with the tables in force, on one packet, and prints stage " +
      "by stage what it found, which rules matched and what the verdict is. Nothing is sent, " +
      "counted, or taken from a rate limit. Between pods: by the egress policies of the source, " +
      "and the ingress policies of the destination.",
  )
    .argument(
      "[words...]",
      "PROTOCOL SOURCE[:PORT] DESTINATION[:PORT]; protocols: tcp, udp, sctp, icmp, ip; of pods " +
        "[PROTOCOL] POD POD:PORT, where an end that is no pod is an address",
    )
    .option("-i, --interface <name>", "where it arrives (default: the only judged interface)")
    .option("--flags <list>", "TCP flags: SYN,ACK or none (default: SYN)")
    .option("--type <n>", "ICMP type (default: echo request)")
    .option("--code <n>", "ICMP code (default: 0)")
    .option("--protocol <n>", "IP protocol number, with ip; of pods also a name (default: tcp)")
    .option("-4, --ipv4", "of pods: by their IPv4 addresses (default, where both have one)")
    .option("-6, --ipv6", "of pods: by their IPv6 addresses")
    .option("--flow", "of pods: a packet of a flow that is known, not a new connection")
    .option("--vlan <id>", "VLAN tag, outermost first; repeatable", collect)
    .option("--fragment <which>", "first or later fragment")
    .option("--ip-options", "with IPv4 options, or an IPv6 hop-by-hop header")
    .option("--payload <bytes>", "length of the payload")
    .option("--hex <bytes>", "the frame itself, from its Ethernet header, in place of words")
    .option("--pcap <file>", "a frame of a pcap or pcapng file, in place of words")
    .option("--packet <n>", "which frame of the file (default: 1)", readCount)
    .addOption(
      new Option("--expect <verdict>", "exit with 4 when the verdict is another").choices(
        expectations,
      ),
    )
    .addHelpText("after", examples(cli.mode))
    .action((words: readonly string[], options: TraceOptions) =>
      withAgents(cli, options, async (context) => {
        if (nameAPod(words)) return traceOfPods(cli, words, options, context);
        const { agents, output } = context;
        const podOption = podOptions.find((name) => options[name] !== undefined);
        if (podOption !== undefined) throw usageError(`--${podOption} goes with pods only`);
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
        if (!isExpected(options.expect, result.verdict)) cli.exitCode = exitCodes.finding;
      }),
    );
  /* In a cluster it is the agents' namespace. */
  if (cli.mode === "cluster") return command;
  return command.option("-n, --namespace <name>", "of pods written as pod/NAME (default: default)");
}

const podOptions = ["flow", "ipv4", "ipv6"] as const;
const uplinkOptions = ["interface", "hex", "pcap", "packet"] as const;

async function traceOfPods(
  cli: Cli,
  words: readonly string[],
  options: TraceOptions,
  { agents, output }: CommandContext,
): Promise<void> {
  const surplus = uplinkOptions.find((name) => options[name] !== undefined);
  if (surplus !== undefined) throw usageError(`--${surplus} does not go with pods`);
  const { kube } = agents;
  const namespace = kube === undefined ? (options.namespace ?? "default") : kube.namespace;
  const world =
    kube === undefined
      ? nodeWorld(agents.only())
      : clusterWorld(agents, async (key) => {
          const { readPod } = await import("../cluster/read-pod.js");
          return readPod(kube, key);
        });
  const { walk, frame } = await tracePods(
    world,
    readPodWords(words, namespace, options.protocol),
    options,
  );
  output.show({ ...walk, frame: frame.toString("hex") }, () => walkText(walk, frame, output));
  if (!isExpected(options.expect, walk.verdict, walk.isComplete)) {
    cli.exitCode = exitCodes.finding;
  }
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
