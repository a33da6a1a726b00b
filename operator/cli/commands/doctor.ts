import type { Command } from "commander";
import type { DoctorReport, Finding, Grade } from "../../health/doctor.js";
import { type AgentOptions, agentCommand, type Cli, localCommand } from "../agent-command.js";
import { exitCodes, usageError } from "../errors.js";
import { createOutput, type Output } from "../output.js";
import { printable } from "../visible.js";

interface DoctorCommandOptions extends AgentOptions {
  readonly allInterfaces?: boolean;
  readonly verbose?: boolean;
}

/** `sluicectl doctor` */
export function doctorCommand(cli: Cli): Command {
  const words = [
    "doctor",
    "what the kernel and NICs of a node offer, and what is missing",
    "Asks the kernel and the drivers, by trying, for all that Sluice uses: program and map " +
      "types, helpers, links, rights, native XDP, receive queues and RSS. Changes nothing. " +
      "Exits with 4 when something is missing without which Sluice does not work. " +
      (cli.mode === "node"
        ? "Needs no agent."
        : "Runs in the pod of the node's agent, with the rights of the agent."),
  ] as const;
  return (cli.mode === "node" ? localCommand(...words) : agentCommand(cli, ...words))
    .option("-a, --all-interfaces", "virtual interfaces too")
    .option("-v, --verbose", "also what is as it should be")
    .action(async (options: DoctorCommandOptions) => {
      if (cli.mode === "cluster") {
        await runOnNode(cli, options);
        return;
      }
      const output = createOutput(cli.io, options.output);
      // Loads libbpf, which no other command needs.
      const { examineMachine } = await import("../../health/doctor.js");
      const report = examineMachine({ allInterfaces: options.allInterfaces === true });
      output.show(report, () => doctorText(report, output, options.verbose === true));
      if (report.findings.some(({ grade }) => grade === "missing")) {
        cli.exitCode = exitCodes.finding;
      }
    });
}

async function runOnNode(cli: Cli, options: DoctorCommandOptions): Promise<void> {
  const [node, other] = options.node ?? [];
  if (node === undefined || other !== undefined) {
    throw usageError("doctor examines one node", "Give --node NODE");
  }
  const { runSluicectlOnNode } = await import("../cluster/run-on-node.js");
  const words = ["doctor", "--output", options.output];
  if (options.allInterfaces === true) words.push("--all-interfaces");
  if (options.verbose === true) words.push("--verbose");
  cli.exitCode = await runSluicectlOnNode(cli.io, options, words);
}

export function doctorText(report: DoctorReport, output: Output, isVerbose: boolean): string {
  const shown = report.findings.filter(({ grade }) => isVerbose || grade !== "ok");
  return [
    `Kernel ${report.kernel}, libbpf ${report.libbpf}, ${report.cpus} CPUs`,
    nicTable(report, output),
    shown.length === 0 ? "" : findingTable(shown, output),
    summary(report.findings, output),
  ]
    .filter((part) => part !== "")
    .join("\n\n");
}

function nicTable({ nics }: DoctorReport, output: Output): string {
  if (nics.length === 0) return "no network interfaces but lo and virtual ones (--all-interfaces)";
  return output.table(
    [
      { title: "INTERFACE" },
      { title: "DRIVER" },
      { title: "STATE" },
      { title: "MTU", align: "right" },
      { title: "RX QUEUES", align: "right" },
      { title: "MOST", align: "right" },
      { title: "RSS OVER", align: "right" },
      { title: "ATTACHED" },
      { title: "XDP FEATURES" },
    ],
    nics.map((nic) => [
      nic.name,
      nic.driver,
      nic.isUp ? "up" : "down",
      String(nic.mtu),
      String(nic.rxQueues),
      String(nic.maxRxQueues ?? "-"),
      String(nic.rssQueues ?? "-"),
      nic.attached === undefined
        ? "-"
        : `${nic.attached.mode} program ${nic.attached.programIds.join(",")}`,
      nic.xdpFeatures === undefined ? "not told" : nic.xdpFeatures.join(",") || "none",
    ]),
  );
}

function findingTable(findings: readonly Finding[], output: Output): string {
  const { colors } = output;
  const paint: Readonly<Record<Grade, (text: string) => string>> = {
    ok: colors.green,
    note: colors.yellow,
    missing: colors.red,
  };
  return output.table(
    [{ title: "" }, { title: "WHERE" }, { title: "WHAT" }, { title: "FOUND" }],
    findings.map(({ grade, area, name, text, remedy }) => [
      paint[grade](grade),
      area,
      name,
      printable(remedy === undefined ? text : `${text}. ${remedy}`),
    ]),
  );
}

function summary(findings: readonly Finding[], { colors }: Output): string {
  const count = (wanted: Grade) => findings.filter(({ grade }) => grade === wanted).length;
  const missing = count("missing");
  const notes = count("note");
  if (missing > 0) return colors.red(`${missing} missing: Sluice does not work here yet`);
  const remarks = notes === 0 ? "" : `, ${notes} could be better`;
  return colors.green(`Sluice works here${remarks}`);
}
