import type { Command } from "commander";
import type { RuleState } from "../../api/engine.js";
import { formatProblem } from "../../model/problem.js";
import { agentCommand, type AgentOptions, type Cli, withAgents } from "../agent-command.js";
import type { Agents } from "../agents.js";
import { type SummedPolicy, sumPolicies } from "../cluster/sum-policies.js";
import { sumRules } from "../cluster/sum-rules.js";
import { cliError } from "../errors.js";
import type { Output } from "../output.js";
import { type CountedPolicy, countPolicies, policyTitle, rulesOf } from "../policy-hits.js";
import type { Column } from "../table.js";
import { formatCount, formatMoment } from "../units.js";
import { printable, shorten } from "../visible.js";
import { rulesText } from "./rules.js";

interface PoliciesOptions extends AgentOptions {
  readonly inNamespace?: string;
  readonly wide?: boolean;
}

/** `sluicectl policies` */
export function policiesCommand(cli: Cli): Command {
  const where = cli.mode === "node" ? "on this node" : "on how many nodes and pods, and";
  return agentCommand(
    cli,
    "policies",
    "NetworkPolicies and ClusterNetworkPolicies: in force or not, on which pods, with hits",
    "Lists the policies that judge pods, whether each is in force " +
      `${where} what it matched and dropped. In audit mode the drops are what enforcing it would ` +
      "drop. Isolation is counted for each policy that isolates a pod. With names it shows these " +
      "policies in full: their rules with hits, their pods, and what is wrong.",
  )
    .argument("[names...]", "NAMESPACE/NAME of a NetworkPolicy, or NAME of either kind")
    .option("--in-namespace <name>", "only NetworkPolicies of this namespace")
    .option("--wide", "with generation, tier, places in the kernel's list, and problems")
    .action((names: readonly string[], options: PoliciesOptions) =>
      withAgents(cli, options, async ({ agents, output }) => {
        const { policies, rules } = await take(agents, options, names.length > 0);
        const chosen = choose(policies, names, options);
        if (names.length === 0) {
          output.show(chosen, () => policiesText(chosen, output, Date.now(), options.wide));
          return;
        }
        const inFull = chosen.map((policy) => {
          return { ...policy, ruleStates: rulesOf(policy, rules) };
        });
        output.show(inFull, () =>
          inFull.map((policy) => policyText(policy, output, Date.now())).join("\n\n"),
        );
      }),
    );
}

/** Of one node, or of several as sums. */
export type ListedPolicy = CountedPolicy & Partial<Pick<SummedPolicy, "nodes">>;

async function take(
  agents: Agents,
  { node }: PoliciesOptions,
  hasRules: boolean,
): Promise<{ readonly policies: readonly ListedPolicy[]; readonly rules: readonly RuleState[] }> {
  const answers = await agents.answers(async (client) => {
    const policies = await client.call("podPolicies");
    const rules = await client.call("podRules");
    return { policies: countPolicies(policies, rules), rules };
  });
  const [only] = answers;
  if ((!agents.isCluster || node?.length === 1) && only !== undefined) return only.value;
  const part = <Part>(of: (value: (typeof answers)[number]["value"]) => Part) =>
    answers.map(({ node, value }) => ({ node, value: of(value) }));
  return {
    policies: sumPolicies(part(({ policies }) => policies)),
    rules: hasRules ? sumRules(part(({ rules }) => rules)) : [],
  };
}

/** @throws SluiceError SLUICE_NO_POLICY for a name that no policy has */
function choose(
  policies: readonly ListedPolicy[],
  names: readonly string[],
  { inNamespace }: PoliciesOptions,
): readonly ListedPolicy[] {
  const there = policies.filter(
    ({ namespace }) => inNamespace === undefined || namespace === inNamespace,
  );
  const isNamed = ({ namespace, name }: ListedPolicy, wanted: string) =>
    wanted === name || wanted === `${namespace}/${name}`;
  const missing = names.find((wanted) => !there.some((policy) => isNamed(policy, wanted)));
  if (missing !== undefined) {
    const where = inNamespace === undefined ? "" : ` in namespace ${inNamespace}`;
    throw cliError("SLUICE_NO_POLICY", `no policy of pods is named ${missing}${where}`);
  }
  if (names.length === 0) return there;
  return there.filter((policy) => names.some((wanted) => isNamed(policy, wanted)));
}

export function policiesText(
  policies: readonly ListedPolicy[],
  output: Output,
  nowMs: number,
  isWide = false,
): string {
  if (policies.length === 0) return "no policies of pods";
  const hasNodes = policies.some(({ nodes }) => nodes !== undefined);
  const right = (title: string): Column => ({ title, align: "right" });
  const columns: Column[] = [
    { title: "KIND" },
    { title: "NAME" },
    { title: "MODE" },
    ...(isWide ? [{ title: "TIER" }, right("GENERATION")] : []),
    ...(hasNodes ? [right("NODES")] : []),
    ...["PODS", "RULES", ...(isWide ? ["PLACES"] : []), "PACKETS", "DROPPED"].map(right),
    { title: "SINCE" },
    { title: "STATE" },
    ...(isWide ? [{ title: "PROBLEMS" }] : []),
  ];
  const rows = policies.map((policy) => [
    policy.kind,
    nameOf(policy),
    policy.mode,
    ...(isWide ? [tierText(policy), generationText(policy)] : []),
    ...(hasNodes ? [nodesText(policy)] : []),
    formatCount(policy.pods.length),
    formatCount(policy.rules),
    ...(isWide ? [formatCount(policy.places)] : []),
    formatCount(policy.matched.packets),
    droppedText(policy),
    sinceText(policy, nowMs),
    stateText(policy, output),
    ...(isWide ? [problemText(policy)] : []),
  ]);
  return output.table(columns, rows);
}

type PolicyInFull = ListedPolicy & { readonly ruleStates: readonly RuleState[] };

/** A node has 511 pods; documents have all of them. */
const mostPodLines = 50;

export function policyText(policy: PolicyInFull, output: Output, nowMs: number): string {
  const { bold, red, yellow } = output.colors;
  const parts = [
    stateText(policy, output),
    policy.mode === "Audit" ? "audit mode: counted, not enforced" : "enforced where it acts",
    ...(policy.tier === undefined ? [] : [`tier ${tierText(policy)}`]),
    `generation ${generationText(policy)}`,
    ...(policy.nodes === undefined ? [] : [`acts on ${nodesText(policy)} nodes`]),
  ];
  const since = policy.pods.length === 0 ? "" : `, counted ${sinceText(policy, nowMs)}`;
  const verb = policy.mode === "Audit" ? "would be dropped" : "dropped";
  const lines = [
    bold(policyTitle(policy)),
    parts.join(", "),
    `${formatCount(policy.matched.packets)} packets matched, ` +
      `${formatCount(policy.dropped.packets)} ${verb}${since}`,
    ...policy.problems.map((problem) => {
      const paint = problem.severity === "error" ? red : yellow;
      const node = "node" in problem ? `${String(problem.node)}: ` : "";
      return `${paint(problem.severity)}  ${printable(node + formatProblem(problem))}`;
    }),
    "",
    bold("Rules"),
    rulesText({ value: policy.ruleStates, before: undefined, seconds: 0 }, output),
    "",
    bold(`Pods (${formatCount(policy.pods.length)})`),
    ...policy.pods.slice(0, mostPodLines),
    ...(policy.pods.length > mostPodLines
      ? [`and ${formatCount(policy.pods.length - mostPodLines)} more`]
      : []),
  ];
  return lines.join("\n");
}

function nameOf({ namespace, name }: ListedPolicy): string {
  return namespace === undefined ? name : `${namespace}/${name}`;
}

function tierText({ tier, priority }: ListedPolicy): string {
  return tier === undefined ? "" : `${tier} ${priority}`;
}

function generationText({ generation, generationInForce }: ListedPolicy): string {
  if (generation === generationInForce) return String(generation);
  const before = generationInForce === 0 ? "none" : String(generationInForce);
  return `${generation} (${before} in force)`;
}

function nodesText({ nodes }: ListedPolicy): string {
  return nodes === undefined ? "" : `${nodes.acting}/${nodes.concerned}`;
}

function droppedText({ mode, dropped }: ListedPolicy): string {
  const count = formatCount(dropped.packets);
  return mode === "Audit" ? `(${count})` : count;
}

function sinceText({ countedSince, pods }: ListedPolicy, nowMs: number): string {
  if (pods.length === 0) return "-";
  return countedSince === undefined ? "before this agent" : formatMoment(countedSince, nowMs);
}

function stateText({ state, problems }: ListedPolicy, { colors }: Output): string {
  const warnings = problems.filter(({ severity }) => severity === "warning").length;
  const more =
    warnings === 0 ? "" : colors.yellow(warnings === 1 ? ", 1 warning" : `, ${warnings} warnings`);
  if (state === "Refused" || state === "Failing") return colors.red(state) + more;
  return (state === "Enforcing" ? colors.green(state) : state) + more;
}

const mostProblemText = 160;

function problemText({ problems: [first] }: ListedPolicy): string {
  if (first === undefined) return "";
  return shorten(printable(`${first.message}. ${first.remedy}`), mostProblemText);
}
