import type { RuleState } from "../api/engine.js";
import type { LabSample, NodeSample, PodClientSample, ProblemLine, RuleRate } from "./sampler.js";

/** How a piece of text is painted; without colours all are the same. */
export type Style = "plain" | "title" | "faint" | "good" | "bad" | "warn" | "info";
export type Paint = (style: Style, text: string) => string;

/** One line as pieces, so that it is cut and aligned by its text and not by its colours. */
export type Line = readonly Piece[];
type Piece = readonly [style: Style, text: string];

export interface ViewOptions {
  /** Columns and rows of the terminal. */
  readonly width: number;
  readonly height: number;
  /** Lines under the tables: how to try things. */
  readonly hints: readonly string[];
  /** What happened lately, the newest last. */
  readonly events: readonly string[];
}

const ruleWidth = 34;
const actionWidth = 14;
const rateWidth = 10;

/** The whole view, at most `height` lines of at most `width` columns. */
export function renderView(sample: LabSample, options: ViewOptions): readonly Line[] {
  const { width, height, hints, events } = options;
  const head = [
    titleLine(sample),
    [],
    ...nodeTable(sample.nodes),
    [],
    ...sample.pods.map(podLine),
    [],
  ];
  const wire = wireLine(sample);
  const problems = problemLines(sample, width);
  const notes: Line[] = [
    ...[...events.slice(-2), ...hints].flatMap((text) =>
      wrap(text, width - 1).map((part): Line => [["faint", ` ${part}`]]),
    ),
  ];
  const fixed = head.length + 3 + problems.length + 1;
  // Rules come first; hints give way when the terminal is low.
  const spare = height - fixed;
  const shownNotes = spare - notes.length - 1 >= 6 ? [[], ...notes] : [];
  const rules = ruleTable(sample.nodes, Math.max(1, spare - shownNotes.length));
  const lines: Line[] = [...head, ...rules, [], wire, ...problems, ...shownNotes];
  return lines.slice(0, height);
}

function titleLine({ seconds, nodes }: LabSample): Line {
  const whole = Math.floor(seconds);
  const clock = [Math.floor(whole / 60), whole % 60].map((part) => String(part).padStart(2, "0"));
  return [
    ["title", " sluice lab"],
    ["faint", `   ${nodes.length} nodes, one agent each   ${clock.join(":")}   Ctrl-C ends`],
  ];
}

function nodeTable(nodes: readonly NodeSample[]): readonly Line[] {
  const header = [
    " node".padEnd(9),
    "XDP".padEnd(9),
    ...["pass/s", "drop/s", "redirect/s"].map((name) => name.padStart(rateWidth + 1)),
    "   legitimate requests",
  ];
  return [[["faint", header.join("")]], ...nodes.map(nodeLine)];
}

function nodeLine({ name, agent, successRate, requestsPerSecond }: NodeSample): Line {
  const rate = (value: number | undefined) => {
    const text = value === undefined ? "–" : formatCount(value);
    return text.padStart(rateWidth + 1);
  };
  const mode = agent?.mode ?? "no agent";
  const verdicts = agent?.verdicts;
  return [
    ["plain", ` ${name}`.padEnd(9)],
    [mode === "native" ? "good" : "warn", mode.padEnd(9)],
    ["plain", rate(verdicts?.pass)],
    [(verdicts?.drop ?? 0) >= 0.5 ? "bad" : "plain", rate(verdicts?.drop)],
    ["plain", rate(verdicts?.redirect)],
    ...requestPieces(successRate, requestsPerSecond),
    ...((verdicts?.aborted ?? 0) >= 0.5
      ? [["bad", `   aborted ${formatCount(verdicts?.aborted ?? 0)}/s`] as const]
      : []),
    ...(agent?.message === undefined ? [] : [["warn", `   ${agent.message}`] as const]),
  ];
}

function requestPieces(successRate: number | undefined, perSecond: number): readonly Piece[] {
  if (successRate === undefined) return [["faint", "   none answered yet"]];
  return [
    [successRate >= 0.99 ? "good" : "bad", `   ${formatShare(successRate)} answered`],
    ["faint", `  ${formatCount(perSecond)}/s`],
  ];
}

/** What a pod gets of each of those that it asks. */
function podLine({ name, node, targets }: PodClientSample): Line {
  return [
    ["plain", ` ${`pod ${name}`.padEnd(20)}`],
    ["faint", `${node}  asks `],
    ...targets.flatMap(({ name: target, successRate }): readonly Piece[] => [
      ["plain", `  ${target} `],
      successRate === undefined
        ? ["faint", "–"]
        : [successRate >= 0.99 ? "good" : "bad", formatShare(successRate)],
    ]),
  ];
}

interface MergedRule {
  readonly state: RuleState;
  /** By node; undefined where the rule is not in force. */
  readonly rates: readonly (RuleRate | undefined)[];
  readonly busiest: number;
}

/** The busiest rules of all nodes, in order of judgement so that lines do not jump. */
function ruleTable(nodes: readonly NodeSample[], rows: number): readonly Line[] {
  const header: Line = [
    ["faint", ` ${"policy/rule".padEnd(ruleWidth)}${"action".padEnd(actionWidth)}`],
    ["faint", nodes.map(({ name }) => `${name}/s`.padStart(rateWidth)).join("")],
  ];
  const merged = mergeRules(nodes);
  const lines = ruleLines(merged);
  if (lines.length === 0) return [header, [["faint", " no rule is in force"]]];
  if (lines.length <= rows) return [header, ...lines];
  const quietest = [...merged].sort((left, right) => left.busiest - right.busiest);
  const shown = new Set(merged);
  let hidden = 0;
  for (const rule of quietest) {
    if (ruleLines([...shown]).length < rows) break;
    shown.delete(rule);
    hidden++;
  }
  const rest: Line = [["faint", ` and ${hidden} ${hidden === 1 ? "rule" : "rules"} with less`]];
  return [header, ...ruleLines([...shown]), rest];
}

function mergeRules(nodes: readonly NodeSample[]): readonly MergedRule[] {
  const states = new Map<string, RuleState>();
  for (const { agent } of nodes) {
    for (const { state } of agent?.rules ?? []) {
      if (!states.has(nameOf(state))) states.set(nameOf(state), state);
    }
  }
  // A stable sort: rules of one policy keep the order in which an agent lists them.
  return [...states]
    .sort(([, left], [, right]) => comparePolicies(left, right))
    .map(([key, state]) => {
      const rates = nodes.map(({ agent }) =>
        agent?.rules.find((rate) => nameOf(rate.state) === key),
      );
      return { state, rates, busiest: Math.max(0, ...rates.map((rate) => rate?.matched ?? 0)) };
    })
    .filter(({ state, busiest }) => busiest >= leastOfBuiltIn || !isBuiltIn(state));
}

/** Packets per second; neighbour discovery alone would make a line that comes and goes. */
const leastOfBuiltIn = 5;

function nameOf({ policy, rule }: RuleState): string {
  return `${policy}/${rule}`;
}

function labelOf({ action, mode }: RuleState): string {
  return mode === "Audit" ? `${action} (audit)` : action;
}

function isBuiltIn({ policy }: RuleState): boolean {
  return policy === "fail-safe" || policy === "node-local";
}

function comparePolicies(left: RuleState, right: RuleState): number {
  const byPriority = (left.priority ?? -1) - (right.priority ?? -1);
  if (byPriority !== 0) return byPriority;
  return left.policy < right.policy ? -1 : Number(left.policy > right.policy);
}

function ruleLines(rules: readonly MergedRule[]): readonly Line[] {
  return rules.flatMap(({ state, rates }) => {
    const { action, mode } = state;
    const cells = (pick: (rate: RuleRate) => number) =>
      rates
        .map((rate) => (rate === undefined ? "–" : formatCount(pick(rate))).padStart(rateWidth))
        .join("");
    const style = mode === "Audit" ? "info" : actionStyle[action];
    const line: Line = [
      ["plain", ` ${fit(nameOf(state), ruleWidth)}`],
      [style, labelOf(state).padEnd(actionWidth)],
      ["plain", cells((rate) => rate.matched)],
    ];
    if (!rates.some((rate) => (rate?.exceeded ?? 0) > 0)) return [line];
    const above: Line = [
      ["faint", ` ${"  above the rate".padEnd(ruleWidth)}`],
      [
        mode === "Audit" ? "info" : "bad",
        (mode === "Audit" ? "would drop" : "Drop").padEnd(actionWidth),
      ],
      ["plain", cells((rate) => rate.exceeded)],
    ];
    return [line, above];
  });
}

const actionStyle: Readonly<Record<RuleState["action"], Style>> = {
  Accept: "good",
  Pass: "plain",
  Drop: "bad",
  Limit: "warn",
  Redirect: "info",
};

function wireLine({ attack }: LabSample): Line {
  return [
    ["faint", " on the wire   "],
    ["plain", `UDP flood ${formatCount(attack.udpFlood)}/s   `],
    ["plain", `SYN flood ${formatCount(attack.synFlood)}/s   `],
    ["plain", `port scan ${formatCount(attack.portScan)}/s`],
  ];
}

const shownProblems = 3;
const problemIndent = 15;

function problemLines({ problems, nodes }: LabSample, width: number): readonly Line[] {
  if (problems.length === 0) return [[["faint", " policies      no problems"]]];
  const lines = problems.slice(0, shownProblems).flatMap((problem) => {
    const text = `${problem.text} (${namesOf(problem, nodes)})`;
    const style = problem.severity === "error" ? "bad" : "warn";
    return wrap(text, width - problemIndent - 1).map(
      (part, index): Line => [
        [style, (index === 0 ? ` ${problem.severity}` : "").padEnd(problemIndent)],
        ["plain", part],
      ],
    );
  });
  const more = problems.length - shownProblems;
  return more > 0 ? [...lines, [["faint", ` and ${more} more: sluicectl status`]]] : lines;
}

function namesOf(problem: ProblemLine, nodes: readonly NodeSample[]): string {
  return problem.nodes.length === nodes.length ? "all nodes" : problem.nodes.join(", ");
}

/** Breaks a text at spaces. */
function wrap(text: string, width: number): readonly string[] {
  const lines = [""];
  for (const word of text.split(" ")) {
    const last = lines.at(-1) ?? "";
    const joined = last === "" ? word : `${last} ${word}`;
    if (joined.length <= width || last === "") lines[lines.length - 1] = joined;
    else lines.push(word);
  }
  return lines;
}

/** The same for an output that is no terminal: one line per node, and one per problem. */
export function plainLines(sample: LabSample): readonly string[] {
  const time = `${Math.floor(sample.seconds)}s`;
  const lines = sample.nodes.map(({ name, agent, successRate, requestsPerSecond }) => {
    const requests =
      successRate === undefined
        ? "no requests answered"
        : `${formatShare(successRate)} of requests answered (${formatCount(requestsPerSecond)}/s)`;
    if (agent === undefined) return `${time} ${name}: no agent, ${requests}`;
    const { mode, verdicts, rules } = agent;
    const top = [...rules]
      .sort((left, right) => right.matched - left.matched)
      .filter(({ matched }) => matched >= 0.5)
      .slice(0, 3)
      .map(({ state, matched }) => `${nameOf(state)} ${labelOf(state)} ${formatCount(matched)}/s`);
    const counts = `pass ${formatCount(verdicts.pass)}/s, drop ${formatCount(verdicts.drop)}/s`;
    return [`${time} ${name}: ${mode}, ${counts}, ${requests}`, ...top].join("; ");
  });
  const pods = sample.pods.map(({ name, node, targets }) => {
    const shares = targets.map(({ name: target, successRate }) => {
      return `${target} ${successRate === undefined ? "no answer yet" : formatShare(successRate)}`;
    });
    return `${time} pod ${name} on ${node} asks ${shares.join(", ")}`;
  });
  const problems = sample.problems.map(
    ({ severity, text, nodes }) => `${time} ${severity}: ${text} (${nodes.join(", ")})`,
  );
  return [...lines, ...pods, ...problems];
}

/** Cuts a line to the width, and paints what is left. */
export function paintLine(line: Line, width: number, paint: Paint): string {
  const isTooLong = line.reduce((length, [, text]) => length + text.length, 0) > width;
  let left = isTooLong ? width - 1 : width;
  const painted = line.map(([style, text]) => {
    const shown = text.slice(0, left);
    left -= shown.length;
    return shown === "" ? "" : paint(style, shown);
  });
  return `${painted.join("")}${isTooLong ? "…" : ""}`;
}

/** Exactly this wide: padded, or cut with an ellipsis. */
function fit(text: string, width: number): string {
  return text.length <= width ? text.padEnd(width) : `${text.slice(0, width - 1)}…`;
}

/** 1,234,567 */
export function formatCount(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

/** Never rounds a loss up to 100 %. */
export function formatShare(share: number): string {
  return `${(Math.floor(share * 1000) / 10).toFixed(1)} %`;
}
