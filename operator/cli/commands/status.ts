import type { Command } from "commander";
import type {
  EngineStatus,
  PodNetworkState,
  PodRoutingState,
  PolicyState,
} from "../../api/engine.js";
import type { AgentStatus } from "../../api/requests.js";
import { formatProblem } from "../../model/problem.js";
import type { Problem } from "../../model/records.js";
import { agentCommand, type AgentOptions, type Cli, withAgents } from "../agent-command.js";
import { exitCodes } from "../errors.js";
import type { Output } from "../output.js";
import { formatCount, formatMoment } from "../units.js";
import { printable } from "../visible.js";

/** `sluicectl status` */
export function statusCommand(cli: Cli): Command {
  const isCluster = cli.mode === "cluster";
  return agentCommand(
    cli,
    "status",
    isCluster
      ? "what is in force on each node, and what is wrong"
      : "what is in force on this node, and what is wrong",
    isCluster
      ? "Shows one line per node, and on how many nodes each policy is in force. With --node " +
          "NODE it shows all that sluicectl status shows on that node: interfaces, policies, " +
          "tables, verdicts and problems."
      : "Shows the interfaces with their XDP mode, the policies, how full the tables are, why " +
          "packets got their verdicts, and everything that is wrong with the manifests.",
  )
    .option("--check", "exit with 4 unless in sync, attached and without errors")
    .action((options: AgentOptions & { readonly check?: boolean }) =>
      withAgents(cli, options, async ({ agents, output }) => {
        const isOne = !agents.isCluster || options.node?.length === 1;
        if (isOne) {
          const status = await agents.only().call("status");
          output.show(status, () => statusText(status, output, Date.now()));
          if (options.check === true && !isHealthy(status)) cli.exitCode = exitCodes.finding;
          return;
        }
        const { showClusterStatus } = await import("../cluster/cluster-status.js");
        const isFine = await showClusterStatus(agents, output);
        if (options.check === true && !isFine) cli.exitCode = exitCodes.finding;
      }),
    );
}

export function isHealthy(status: EngineStatus): boolean {
  return (
    status.inSync &&
    status.applyError === undefined &&
    status.interfaces.every(({ attached }) => attached) &&
    problemsOf(status).every(({ severity }) => severity !== "error")
  );
}

/** Everything wrong with the input, once. */
export function problemsOf({ problems: all, policies: each }: EngineStatus): readonly Problem[] {
  const byText = new Map<string, Problem>();
  for (const problem of [...all, ...each.flatMap((policy) => policy.problems)]) {
    byText.set(`${problem.severity} ${formatProblem(problem)}`, problem);
  }
  return [...byText.values()];
}

export function statusText(status: AgentStatus, output: Output, nowMs: number): string {
  return [
    head(status, output, nowMs),
    section("Interfaces", interfaces(status, output), output),
    section("Policies", policies(status, output, nowMs), output),
    section("Verdicts by reason", reasons(status, output), output),
    section("Tables", tables(status, output), output),
    section("Pods", podNetwork(status, output), output),
    section("Problems", problems(status, output), output),
  ]
    .filter((part) => part !== "")
    .join("\n\n");
}

function head(status: AgentStatus, { colors }: Output, nowMs: number): string {
  const { lastApply } = status;
  const applied =
    lastApply === undefined
      ? ""
      : `, applied in ${lastApply.milliseconds.toFixed(1)} ms ${formatMoment(lastApply.at, nowMs)}`;
  const sync = status.inSync ? colors.green("in sync") : colors.red("not in sync");
  const lines = [
    `${colors.bold("Node")}     ${status.node}, ${sync}, generation ${status.generation}${applied}`,
    `${colors.bold("Agent")}    ${status.version}, process ${status.pid}, ` +
      `started ${formatMoment(status.startedAt, nowMs)}, log level ${status.logLevel}`,
    `${colors.bold("Pins")}     ${status.pinFolder}, table layout ${status.layout}`,
  ];
  const { source } = status;
  if (source !== undefined) {
    const why = source.errors.length === 0 ? "" : `: ${printable(source.errors.join("; "))}`;
    const text = source.isConnected
      ? `${source.from}, connected ${formatMoment(source.since, nowMs)}`
      : colors.red(`${source.from}, lost ${formatMoment(source.since, nowMs)}${why}`);
    lines.push(`${colors.bold("Source")}   ${text}`);
  }
  if (status.eventsLost > 0) {
    lines.push(`${colors.bold("Events")}   ${formatCount(status.eventsLost)} lost`);
  }
  const wrong = Object.entries<number>({ ...status.exceptions }).filter(([, count]) => count > 0);
  if (wrong.length > 0) {
    const counts = wrong.map(([kind, count]) => `${kind} ${formatCount(count)}`).join(", ");
    lines.push(`${colors.red("XDP")}      exceptions behind the verdict: ${counts}`);
  }
  if (status.applyError !== undefined) {
    lines.push(`${colors.red("Apply")}    ${printable(status.applyError)}`);
  }
  return lines.join("\n");
}

function section(title: string, body: string, { colors }: Output): string {
  return body === "" ? "" : `${colors.bold(title)}\n${body}`;
}

function interfaces({ interfaces: all }: EngineStatus, output: Output): string {
  const { colors } = output;
  if (all.length === 0) return "none: no policy matches an interface of this node";
  const rows = all.map((item) => {
    const packets = (name: keyof typeof item.verdicts) => formatCount(item.verdicts[name].packets);
    const mode = item.mode === item.requestedMode ? item.mode : colors.yellow(item.mode);
    return [
      item.name,
      item.attached ? mode : colors.red("not attached"),
      packets("pass"),
      packets("drop"),
      packets("redirect"),
      packets("aborted"),
      printable(item.message ?? ""),
    ];
  });
  return output.table(
    [
      { title: "INTERFACE" },
      { title: "MODE" },
      { title: "PASSED", align: "right" },
      { title: "DROPPED", align: "right" },
      { title: "REDIRECTED", align: "right" },
      { title: "ABORTED", align: "right" },
      { title: "REMARK" },
    ],
    rows,
  );
}

function policies({ policies: all }: EngineStatus, output: Output, nowMs: number): string {
  if (all.length === 0) return "none";
  const rows = all.map((policy) => [
    policy.name,
    String(policy.priority),
    policy.mode,
    formatCount(policy.rules),
    policyState(policy, output, nowMs),
    policy.interfaces.join(","),
  ]);
  return output.table(
    [
      { title: "POLICY" },
      { title: "PRIORITY", align: "right" },
      { title: "MODE" },
      { title: "RULES", align: "right" },
      { title: "STATE" },
      { title: "INTERFACES" },
    ],
    rows,
  );
}

function policyState(policy: PolicyState, { colors }: Output, nowMs: number): string {
  const parts: string[] = [];
  if (policy.confirmBy !== undefined) {
    const rest = formatMoment(policy.confirmBy, nowMs);
    parts.push(colors.yellow(`rolls back ${rest} unless confirmed`));
  } else {
    parts.push(policy.inForce ? colors.green("in force") : "not for this node");
  }
  if (policy.rolledBack === true) parts.push(colors.yellow("rolled back"));
  if (policy.generationInForce !== undefined) {
    parts.push(`generation ${policy.generationInForce} of ${policy.generation}`);
  }
  const errors = policy.problems.filter(({ severity }) => severity === "error").length;
  if (errors > 0) parts.push(colors.red(errors === 1 ? "1 error" : `${errors} errors`));
  return parts.join(", ");
}

function reasons(status: Pick<AgentStatus, "reasons">, output: Output): string {
  const rows = Object.entries(status.reasons)
    .filter(([, { packets }]) => packets > 0)
    .map(([reason, { packets, bytes }]) => [reason, formatCount(packets), formatCount(bytes)]);
  if (rows.length === 0) return "";
  return output.table(
    [{ title: "REASON" }, { title: "PACKETS", align: "right" }, { title: "BYTES", align: "right" }],
    rows,
  );
}

/** A summary, and what is worth a look; documents have all of it. */
function podNetwork({ podNetwork: pods }: EngineStatus, output: Output): string {
  if (pods === undefined) return "";
  const closed = `, ${pods.closedPods} closed`;
  const lines = [
    `${formatCount(pods.pods)} attached${pods.closedPods === 0 ? "" : output.colors.red(closed)}; ` +
      `${formatCount(pods.policies)} policies, ${formatCount(pods.rules)} rules, ` +
      `generation ${pods.generation}`,
    ...pods.podProblems.slice(0, mostPodProblems).map(({ type, namespace, name, message }) => {
      const what = type === "Closed" ? "closed" : "not attached";
      const who = name === undefined ? "a pod" : `${namespace}/${name}`;
      return output.colors.red(printable(`${who} ${what}: ${message}`));
    }),
    ...(pods.podProblems.length > mostPodProblems
      ? [`and ${pods.podProblems.length - mostPodProblems} more pods without network`]
      : []),
    `programs: ${formatCount(pods.programs.tcx)} pods by tcx links, ` +
      `${formatCount(pods.programs.clsact)} by clsact filters`,
    ...pods.pools.map(({ cidr, used, capacity }) => {
      const all = capacity >= uncountable ? "" : ` of ${formatCount(capacity)}`;
      return `${cidr}: ${formatCount(used)}${all} addresses in use`;
    }),
    ...(pods.routing === undefined ? [] : [routing(pods.routing, output)]),
    flows(pods.flows),
    ...pods.tables
      .filter(({ used, capacity }) => used >= pressing * capacity)
      .map(({ name, used, capacity }) =>
        output.colors.red(
          `table ${name}: ${formatCount(used)} of ${formatCount(capacity)} entries in use`,
        ),
      ),
    ...(pods.applyError === undefined ? [] : [output.colors.red(printable(pods.applyError))]),
    reasons(pods, output),
  ];
  return lines.filter((line) => line !== "").join("\n");
}

function routing(state: PodRoutingState, { colors }: Output): string {
  const { mode, inSync, mtu, devices, nodes, routes, masquerade } = state;
  const by = devices.map((device) => ` (${device.name}, MTU ${device.mtu})`).join("");
  const parts = [
    `routing ${mode}${by}`,
    `${formatCount(nodes)} other nodes`,
    `${formatCount(routes)} routes`,
    `MTU of pods ${mtu}`,
    masquerade ? "masquerade" : "no masquerade",
  ];
  return `${parts.join(", ")}${inSync ? "" : colors.red(", not in sync")}`;
}

function flows({ entries, capacity, evicted, homeless }: PodNetworkState["flows"]): string {
  const forgotten = evicted + homeless;
  const lost = forgotten === 0 ? "" : `, ${formatCount(forgotten)} forgotten by the full table`;
  return `${formatCount(entries)} of ${formatCount(capacity)} flows${lost}`;
}

const pressing = 0.9;
/** Documents have all of them. */
const mostPodProblems = 5;
/** Addresses of an IPv6 podCIDR, which nobody runs out of. */
const uncountable = 2 ** 32;

function tables({ tables: all }: EngineStatus, output: Output): string {
  const rows = all.map(({ name, used, capacity }) => {
    const share = capacity === 0 ? 0 : used / capacity;
    const text = `${(share * 100).toFixed(1)} %`;
    const full = share >= pressing ? output.colors.red(text) : text;
    return [name, formatCount(used), formatCount(capacity), full];
  });
  if (rows.length === 0) return "";
  return output.table(
    [
      { title: "TABLE" },
      { title: "USED", align: "right" },
      { title: "CAPACITY", align: "right" },
      { title: "FULL", align: "right" },
    ],
    rows,
  );
}

function problems(status: EngineStatus, { colors }: Output): string {
  return problemsOf(status)
    .map((problem) => {
      const paint = problem.severity === "error" ? colors.red : colors.yellow;
      return `${paint(problem.severity)}  ${printable(formatProblem(problem))}`;
    })
    .join("\n");
}
