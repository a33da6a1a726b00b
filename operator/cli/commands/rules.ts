import type { Command } from "commander";
import type { RuleState } from "../../api/engine.js";
import {
  agentCommand,
  type AgentOptions,
  type Cli,
  collect,
  type WatchOptions,
  withAgents,
  withWatch,
} from "../agent-command.js";
import type { Agents } from "../agents.js";
import { type SummedRule, sumRules } from "../cluster/sum-rules.js";
import type { Output } from "../output.js";
import type { Column } from "../table.js";
import {
  formatBitRate,
  formatBytes,
  formatCount,
  formatMoment,
  formatRate,
  ratePerSecond,
} from "../units.js";
import { printable, shorten } from "../visible.js";
import { type Sample, watch } from "../watch.js";

interface RulesOptions extends AgentOptions, WatchOptions {
  readonly policy?: readonly string[];
  readonly hit?: boolean;
  readonly pods?: boolean;
}

/** `sluicectl rules` */
export function rulesCommand(cli: Cli): Command {
  const where =
    cli.mode === "node"
      ? "Lists the rules that judge packets on this node, first to last, with the packets that each matched."
      : "Lists the rules that judge packets, first to last, with the packets that each matched, summed over the nodes.";
  const command = agentCommand(
    cli,
    "rules",
    "the rules in force, in order of judgement, with their hits",
    `${where} The first match decides, unless its action is Pass, or Limit within its rate, or ` +
      "its policy only audits.",
  )
    .option("--policy <name>", "only this policy's rules; repeatable", collect)
    .option("--hit", "only rules that matched a packet")
    .option("--pods", "the rules that judge pods: NetworkPolicies and ClusterNetworkPolicies");
  return withWatch(command).action((options: RulesOptions) =>
    withAgents(cli, options, async ({ io, agents, output }) => {
      const take = async () => select(await takeRules(agents, options), options);
      if (options.watch !== true) {
        const value = await take();
        output.show(value, () => rulesText({ value, before: undefined, seconds: 0 }, output));
        return;
      }
      await watch({
        io,
        output,
        intervalMs: options.interval,
        take,
        text: (sample) => rulesText(sample, output, true),
        document: (sample) => withRates(sample),
      });
    }),
  );
}

/** Of one node as it has them, of several as sums. */
async function takeRules(
  agents: Agents,
  { node, pods }: RulesOptions,
): Promise<readonly ListedRule[]> {
  const call = pods === true ? "podRules" : "rules";
  const answers = await agents.answers((client) => client.call(call));
  const [only] = answers;
  const isOne = !agents.isCluster || node?.length === 1;
  return isOne && only !== undefined ? only.value : sumRules(answers);
}

/** A rule of one node, or of several. */
type ListedRule = RuleState & Partial<SummedRule>;

function select(
  rules: readonly ListedRule[],
  { policy, hit }: RulesOptions,
): readonly ListedRule[] {
  return rules.filter(
    (rule) =>
      (policy === undefined || policy.includes(rule.policy)) &&
      (hit !== true || rule.matched.packets > 0),
  );
}

interface Rates {
  readonly packetsPerSecond: number | undefined;
  readonly bytesPerSecond: number | undefined;
  readonly exceededPerSecond: number | undefined;
}

/** A rule that changes is for a while on some nodes as it was. */
const key = ({ policy, rule, action, mode }: RuleState) => `${policy}/${rule}/${action}/${mode}`;

function ratesOf({ value, before, seconds }: Sample<readonly ListedRule[]>): readonly Rates[] {
  const earlier = new Map(before?.map((rule) => [key(rule), rule]));
  return value.map((rule) => {
    const then = earlier.get(key(rule));
    return {
      packetsPerSecond: ratePerSecond(rule.matched.packets, then?.matched.packets, seconds),
      bytesPerSecond: ratePerSecond(rule.matched.bytes, then?.matched.bytes, seconds),
      exceededPerSecond: ratePerSecond(rule.exceeded.packets, then?.exceeded.packets, seconds),
    };
  });
}

function withRates(sample: Sample<readonly ListedRule[]>): unknown {
  const rates = ratesOf(sample);
  return sample.value.map((rule, index) => ({ ...rule, ...rates[index] }));
}

export function rulesText(
  sample: Sample<readonly ListedRule[]>,
  output: Output,
  hasRates = false,
): string {
  if (sample.value.length === 0) return "no rules";
  const rates = ratesOf(sample);
  const hasNodes = sample.value.some(({ nodes }) => nodes !== undefined);
  const hasLimits = sample.value.some(({ action }) => action === "Limit");
  const columns: Column[] = [
    { title: "POLICY" },
    { title: "RULE" },
    { title: "ACTION" },
    ...(hasNodes ? [{ title: "NODES", align: "right" } as const] : []),
    { title: "PACKETS", align: "right" },
    { title: "BYTES", align: "right" },
  ];
  if (hasRates)
    columns.push({ title: "PACKETS/S", align: "right" }, { title: "RATE", align: "right" });
  if (hasLimits) columns.push({ title: "ABOVE LIMIT", align: "right" });
  if (hasLimits && hasRates) columns.push({ title: "ABOVE/S", align: "right" });
  columns.push({ title: "MATCH" });
  const rows = sample.value.map((rule, index) => {
    const rate = rates[index];
    const isLimit = rule.action === "Limit";
    const row = [
      rule.policy,
      rule.rule,
      actionText(rule, output),
      ...(hasNodes ? [formatCount(rule.nodes ?? 1)] : []),
      formatCount(rule.matched.packets),
      formatBytes(rule.matched.bytes),
    ];
    if (hasRates) row.push(formatRate(rate?.packetsPerSecond), formatBitRate(rate?.bytesPerSecond));
    if (hasLimits) row.push(isLimit ? formatCount(rule.exceeded.packets) : "");
    if (hasLimits && hasRates) row.push(isLimit ? formatRate(rate?.exceededPerSecond) : "");
    row.push(matchText(rule));
    return row;
  });
  return output.table(columns, rows);
}

function actionText({ action, mode }: RuleState, { colors }: Output): string {
  const paint =
    action === "Drop"
      ? colors.red
      : action === "Accept"
        ? colors.green
        : action === "Pass"
          ? (text: string) => text
          : colors.yellow;
  return mode === "Audit" ? `${paint(action)} (audit)` : paint(action);
}

/** A rule may name a thousand CIDRs; documents have them all. */
const mostMatchText = 160;

function matchText({ match, expiresAt }: RuleState): string {
  const text = shorten(printable(match), mostMatchText);
  return expiresAt === undefined ? text : `${text}; ends ${formatMoment(expiresAt, Date.now())}`;
}
