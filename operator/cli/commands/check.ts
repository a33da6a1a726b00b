import { type Command, InvalidArgumentError } from "commander";
import { describeRule } from "../../compile/describe-rule.js";
import { DEFAULT_RULE, orderPolicies } from "../../compile/rule-list.js";
import { selectorMatches } from "../../compile/selectors.js";
import { formatProblem } from "../../model/problem.js";
import type { Problem, XdpCidrSetRecord, XdpPolicyRecord } from "../../model/records.js";
import { type Cli, localCommand } from "../agent-command.js";
import { exitCodes } from "../errors.js";
import { createOutput, type Output, type OutputFormat } from "../output.js";
import { type Manifests, readManifests } from "../read-manifests.js";
import { crossProblems } from "../cross-problems.js";
import { formatCount } from "../units.js";
import { printable } from "../visible.js";

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
    "Reads manifests as the agent would, prints everything wrong with them, and the rules in the order in which they would judge. Needs no agent, no kernel and no rights: good for CI. Exits with 4 when there are errors; warnings do not count.",
  )
    .requiredOption("-f, --filename <path>", "folder of manifests, or one file")
    .option(
      "--node-labels <k=v,…>",
      "show only policies for a node with these labels",
      readLabels,
    )
    .action(async (options: CheckOptions) => {
      const output = createOutput(cli.io, options.output);
      const manifests = await readManifests(options.filename);
      const report = makeReport(manifests, options.nodeLabels);
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

interface CheckedRule {
  /** Place in the order of judgement, from 1. */
  readonly place: number;
  readonly policy: string;
  readonly rule: string;
  readonly action: string;
  readonly mode: string;
  readonly interfaces: readonly string[];
  readonly match: string;
}

interface Report {
  readonly files: number;
  readonly policies: number;
  readonly sets: Readonly<Record<string, number>>;
  readonly errors: number;
  readonly warnings: number;
  readonly problems: readonly Problem[];
  readonly rules: readonly CheckedRule[];
}

function makeReport(
  { files, records, problems }: Manifests,
  labels: Readonly<Record<string, string>> | undefined,
): Report {
  const policies = records.filter((record) => record.kind === "XdpPolicy");
  const sets = records.filter((record) => record.kind === "XdpCidrSet");
  const nodes = records.filter((record) => record.kind === "Node");
  const all = [...problems, ...crossProblems({ policies, sets, nodes })];
  const count = (wanted: Problem["severity"]) =>
    all.filter(({ severity }) => severity === wanted).length;
  const judging = orderPolicies(policies).filter(
    ({ nodeSelector }) => labels === undefined || selectorMatches(nodeSelector, labels),
  );
  return {
    files: files.length,
    policies: policies.length,
    sets: setSizes(sets),
    errors: count("error"),
    warnings: count("warning"),
    problems: all,
    rules: judging.flatMap(rulesOf).map((rule, index) => ({ place: index + 1, ...rule })),
  };
}

function setSizes(sets: readonly XdpCidrSetRecord[]): Readonly<Record<string, number>> {
  const sizes = new Map<string, number>();
  for (const { setName, entries } of sets) {
    const size = entries.v4.address.length + entries.v6.high.length;
    sizes.set(setName, (sizes.get(setName) ?? 0) + size);
  }
  return Object.fromEntries([...sizes].toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function rulesOf(policy: XdpPolicyRecord): readonly Omit<CheckedRule, "place">[] {
  const common = {
    policy: policy.name,
    mode: policy.mode,
    interfaces: policy.interfaces.length === 0 ? ["(uplinks)"] : policy.interfaces,
  };
  const nowMs = Date.now();
  const rules = policy.rules
    .filter(({ expiresAtMs }) => expiresAtMs === undefined || expiresAtMs > nowMs)
    .map((rule) => ({
      ...common,
      rule: rule.name,
      action: rule.action.kind,
      match: describeRule(rule),
    }));
  const fallback = { ...common, rule: DEFAULT_RULE, action: policy.defaultAction, match: "any packet" };
  return [...rules, fallback];
}

function reportText(report: Report, output: Output): string {
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
      printable(match),
    ]),
  );
}
