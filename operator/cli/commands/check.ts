import { type Command, InvalidArgumentError } from "commander";
import { formatProblem } from "../../model/problem.js";
import { type Cli, localCommand } from "../agent-command.js";
import type { CheckedRule, CheckReport } from "../check-report.js";
import { exitCodes } from "../errors.js";
import { createOutput, type Output, type OutputFormat } from "../output.js";
import { formatCount } from "../units.js";
import { printable, shorten } from "../visible.js";

interface CheckOptions {
  readonly output: OutputFormat;
  readonly filename: string;
  readonly nodeLabels?: Readonly<Record<string, string>>;
}

/** `sluicectl check` */
export function checkCommand(cli: Cli): Command {
  return localCommand(
    "check",
    "validate manifests and show the order of judgement",
    "Reads manifests as the agent would, prints everything wrong with them, and the rules " +
      "in the order in which they would judge. Needs no agent, no kernel and no rights: good " +
      "for CI. Exits with 4 when there are errors; warnings do not count.",
  )
    .requiredOption("-f, --filename <path>", "folder of manifests, or one file")
    .option("--node-labels <k=v,…>", "show only policies for a node with these labels", readLabels)
    .action(async (options: CheckOptions) => {
      const output = createOutput(cli.io, options.output);
      // Loads the schemas, which no other command needs.
      const { checkManifests } = await import("../check-report.js");
      const report = await checkManifests(options.filename, options.nodeLabels);
      output.show(report, () => reportText(report, output));
      if (report.errors > 0) cli.exitCode = exitCodes.finding;
    });
}

function readLabels(text: string): Readonly<Record<string, string>> {
  const labels: Record<string, string> = {};
  for (const pair of text.split(",").filter((part) => part !== "")) {
    const at = pair.indexOf("=");
    if (at <= 0) throw new InvalidArgumentError(`Write ${pair} as key=value.`);
    labels[pair.slice(0, at)] = pair.slice(at + 1);
  }
  return labels;
}

function reportText(report: CheckReport, output: Output): string {
  const { colors } = output;
  const parts = report.problems.map((problem) => {
    const paint = problem.severity === "error" ? colors.red : colors.yellow;
    return `${paint(problem.severity)}  ${printable(formatProblem(problem))}`;
  });
  if (parts.length > 0) parts.push("");
  if (report.rules.length > 0) {
    parts.push(rulesTable(report.rules, output), "");
  }
  const sets = Object.entries(report.sets).map(
    ([name, entries]) => `${name} with ${formatCount(entries)} entries`,
  );
  if (sets.length > 0) parts.push(`sets: ${sets.join(", ")}`);
  const counted = (value: number, one: string, many: string) =>
    `${formatCount(value)} ${value === 1 ? one : many}`;
  parts.push(
    [
      counted(report.files, "file", "files"),
      counted(report.policies, "policy", "policies"),
      counted(Object.keys(report.sets).length, "set", "sets"),
      counted(report.errors, "error", "errors"),
      counted(report.warnings, "warning", "warnings"),
    ].join(", "),
  );
  return parts.join("\n");
}

/** A rule may name a thousand CIDRs; documents have them all. */
const mostMatchText = 160;

function rulesTable(rules: readonly CheckedRule[], output: Output): string {
  return output.table(
    [
      { title: "#", align: "right" },
      { title: "POLICY" },
      { title: "RULE" },
      { title: "ACTION" },
      { title: "INTERFACES" },
      { title: "MATCH" },
    ],
    rules.map(({ place, policy, rule, action, mode, interfaces, match }) => [
      String(place),
      policy,
      rule,
      mode === "Audit" ? `${action} (audit)` : action,
      interfaces.join(","),
      shorten(printable(match), mostMatchText),
    ]),
  );
}
