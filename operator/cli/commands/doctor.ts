import type { Command } from "commander";
import type { DoctorReport, Finding, Grade } from "../../health/doctor.js";
import { type Cli, localCommand } from "../agent-command.js";
import { exitCodes } from "../errors.js";
import { createOutput, type Output, type OutputFormat } from "../output.js";
import { printable } from "../visible.js";

interface DoctorCommandOptions {
  readonly output: OutputFormat;
  readonly allInterfaces?: boolean;
  readonly verbose?: boolean;
}

/** `sluicectl doctor` */
export function doctorCommand(cli: Cli): Command {
  return localCommand(
    "doctor",
    "what this kernel and its NICs offer, and what is missing",
    "Asks the kernel and the drivers, by trying, for all that Sluice uses: program and map " +
      "types, helpers, links, rights, native XDP, receive queues and RSS. Changes nothing and" +
      " needs no agent. Exits with 4 when something is missing without which Sluice does not " +
      "work.",
  )
    .option("-a, --all-interfaces", "virtual interfaces too")
    .option("-v, --verbose", "also what is as it should be")
    .action(async (options: DoctorCommandOptions) => {
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
