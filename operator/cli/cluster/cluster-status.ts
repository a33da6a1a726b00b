import type { AgentStatus } from "../../api/requests.js";
import type { Agents, NodeFailure } from "../agents.js";
import { isHealthy, problemsOf } from "../commands/status.js";
import type { Output } from "../output.js";
import { formatMoment } from "../units.js";
import { printable, shorten } from "../visible.js";
import { readPolicies, type ReportedPolicy } from "./reported-policies.js";

interface NodeStatus {
  readonly node: string;
  readonly status: AgentStatus;
}

/**
 * Shows a line per node, and a line per policy: on how many nodes it is in force.
 *
 * @returns whether all agents answered and are healthy
 */
export async function showClusterStatus(agents: Agents, output: Output): Promise<boolean> {
  const [{ answers, failures }, policies] = await Promise.all([
    agents.ask((client) => client.call("status")),
    agents.kube === undefined ? undefined : readPolicies(agents.kube),
  ]);
  const nodes = answers.map(({ node, value }): NodeStatus => ({ node, status: value }));
  output.show(documents(nodes, failures), () =>
    clusterStatusText({ nodes, failures, policies }, output, Date.now()),
  );
  return failures.length === 0 && nodes.every(({ status }) => isHealthy(status));
}

/** One object per node. */
function documents(nodes: readonly NodeStatus[], failures: readonly NodeFailure[]): unknown {
  const failed = failures.map(({ node, error: { code, problem, remedy } }) => ({
    node,
    error: { code, message: problem, ...(remedy !== undefined && { remedy }) },
  }));
  return [...nodes, ...failed].toSorted((a, b) => (a.node < b.node ? -1 : 1));
}

interface ClusterState {
  readonly nodes: readonly NodeStatus[];
  readonly failures: readonly NodeFailure[];
  /** Undefined: they may not be read. */
  readonly policies: readonly ReportedPolicy[] | undefined;
}

export function clusterStatusText(
  { nodes, failures, policies }: ClusterState,
  output: Output,
  nowMs: number,
): string {
  const rows = [
    ...nodes.map(({ node, status }) => nodeRow(node, status, output, nowMs)),
    ...failures.map(({ node, error }) => [
      node,
      output.colors.red("unreachable"),
      ...["-", "-", "-"],
      shorten(printable(error.problem), mostReasonText),
      "-",
    ]),
  ].toSorted(([a = ""], [b = ""]) => (a < b ? -1 : 1));
  const table = output.table(
    [
      { title: "NODE" },
      { title: "STATE" },
      { title: "ATTACHED" },
      { title: "MODE" },
      { title: "POLICIES" },
      { title: "PROBLEMS" },
      { title: "AGENT" },
    ],
    rows,
  );
  const title = output.colors.bold("Policies");
  return `${table}\n\n${title}\n${policiesText(policies, nodes, output)}`;
}

const mostReasonText = 160;

function nodeRow(
  node: string,
  status: AgentStatus,
  { colors }: Output,
  nowMs: number,
): readonly string[] {
  const { interfaces, policies } = status;
  const attached = interfaces.filter((item) => item.attached).length;
  const counted = `${attached}/${interfaces.length}`;
  const modes = [...new Set(interfaces.filter((item) => item.attached).map(({ mode }) => mode))];
  return [
    node,
    status.inSync ? colors.green("in sync") : colors.red("not in sync"),
    attached === interfaces.length ? counted : colors.red(counted),
    modes.join(",") || "-",
    `${policies.filter(({ inForce }) => inForce).length}/${policies.length}`,
    problemsText(status, colors),
    `${status.version}, started ${formatMoment(status.startedAt, nowMs)}`,
  ];
}

function problemsText(status: AgentStatus, colors: Output["colors"]): string {
  const problems = problemsOf(status);
  const errors = problems.filter(({ severity }) => severity === "error").length;
  const parts: string[] = [];
  if (status.applyError !== undefined) parts.push(colors.red("cannot write to the kernel"));
  if (status.source?.isConnected === false) parts.push(colors.yellow("source lost"));
  if (errors > 0) parts.push(colors.red(errors === 1 ? "1 error" : `${errors} errors`));
  const warnings = problems.length - errors;
  if (warnings > 0) {
    parts.push(colors.yellow(warnings === 1 ? "1 warning" : `${warnings} warnings`));
  }
  return parts.join(", ") || "none";
}

function policiesText(
  policies: readonly ReportedPolicy[] | undefined,
  nodes: readonly NodeStatus[],
  output: Output,
): string {
  if (policies === undefined)
    return "not shown: xdppolicies.sluice.dev may not be listed by you, or are not installed";
  if (policies.length === 0) return "none";
  const waiting = nodes.flatMap(({ status }) =>
    status.policies.filter(({ confirmBy }) => confirmBy !== undefined).map(({ name }) => name),
  );
  return output.table(
    [
      { title: "POLICY" },
      { title: "PRIORITY", align: "right" },
      { title: "MODE" },
      { title: "ENFORCING" },
      { title: "REMARK" },
    ],
    policies.map((policy) => {
      const count = waiting.filter((name) => name === policy.name).length;
      const remarks = [...policy.remarks];
      if (count > 0) remarks.unshift(`waits for confirmation on ${count}`);
      return [
        policy.name,
        String(policy.priority),
        policy.mode,
        policy.isEnforced ? policy.enforcing : output.colors.yellow(policy.enforcing),
        shorten(printable(remarks.join("; ")), mostReasonText),
      ];
    }),
  );
}
