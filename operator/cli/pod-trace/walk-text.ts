import type { PodFlowState } from "../../api/engine.js";
import type { Output } from "../output.js";
import { decodePacket, describePacket } from "../packet-decode.js";
import { printable } from "../visible.js";
import type { Walk, WalkEnd, WalkStep } from "./walk.js";

/** The whole way, one step under the other, for people. */
export function walkText(walk: Walk, frame: Uint8Array, output: Output): string {
  const { colors } = output;
  const packet = describePacket(decodePacket(frame));
  const lines = [
    line(output, "packet", packet),
    line(output, "from", endText(walk.source)),
    line(output, "to", endText(walk.destination)),
  ];
  for (const direction of ["egress", "ingress"] as const) {
    const step = walk.steps.find((one) => one.direction === direction);
    const unasked = walk.unasked.find((one) => one.direction === direction);
    if (step !== undefined) lines.push("", ...stepLines(step, output));
    else if (unasked !== undefined) {
      const end = direction === "egress" ? "source" : "destination";
      const mark = unasked.isOpenQuestion ? colors.yellow("not asked") : "none";
      lines.push("", `${colors.bold(direction.padEnd(8))} ${mark}: the ${end} ${unasked.why}`);
    }
    if (direction === "egress" && walk.delivery !== undefined) {
      lines.push("", `${colors.bold("way".padEnd(8))} ${printable(walk.delivery)}`);
    }
  }
  return [...lines, "", verdictLine(walk, output)].join("\n");
}

function line({ colors }: Output, name: string, text: string): string {
  return `${colors.dim(name.padEnd(8))} ${printable(text)}`;
}

function endText({ kind, name, node, address }: WalkEnd): string {
  if (kind === "outside") return `${address}, outside the cluster`;
  if (kind === "node") return `${address}, node ${name}`;
  return `pod ${name}, ${address}${node === undefined ? "" : `, on ${node}`}`;
}

function stepLines(step: WalkStep, output: Output): readonly string[] {
  const { colors } = output;
  const { direction, pod, node, verdict, reason, policy, rule } = step;
  const mark = verdict === "pass" ? colors.green("PASS") : colors.red(verdict.toUpperCase());
  const where = node === undefined ? pod : `${pod} on ${node}`;
  const by = policy === undefined ? "" : ` by ${ruleText(policy, rule ?? "")}`;
  const detail = (name: string, text: string) =>
    `  ${colors.dim(name.padEnd(17))} ${printable(text)}`;
  return [
    `${colors.bold(direction.padEnd(8))} ${printable(where)}: ${mark} reason ${reason}${printable(by)}`,
    ...step.stages
      .filter(({ stage }) => !["rule", "verdict", "parse"].includes(stage))
      .map(({ stage, text }) => detail(stage, text)),
    ...step.matched.map((one) =>
      detail("matched", `${ruleText(one.policy, one.rule)}: ${one.effect}`),
    ),
    ...(step.flow === undefined ? [] : [detail("flow", flowText(step.flow))]),
    ...notes(step).map((text) => detail("note", text)),
    ...(step.near ?? []).map((near) =>
      detail(
        "would accept",
        `${ruleText(near.policy, near.rule)} (${near.match}), but for the ${near.unmet.map((field) => unmetWords[field]).join(" and the ")}`,
      ),
    ),
  ];
}

const unmetWords = {
  source: "source",
  destination: "destination",
  protocol: "protocol or port",
} as const;

function ruleText(policy: string, rule: string): string {
  return `${policy}, ${rule}`;
}

/** What the reason alone does not tell. */
function notes({
  reason,
  verdict,
  isClosed,
  policy,
  rule,
  flow,
  direction,
}: WalkStep): readonly string[] {
  if (isClosed) return ["the pod is closed: its policies are not compiled yet"];
  if (policy === "isolation" && rule !== undefined) {
    const policies = rule.replace(/^(in|e)gress: /, "");
    return [`the pod is isolated, and no rule of ${policies} accepts it`];
  }
  if (verdict === "pass" && reason === "not-judged") {
    return ["not a matter of policy: to itself, or what the node itself sends"];
  }
  if (verdict === "pass" && reason === "no-rule") return [`no policy judges its ${direction}`];
  if (reason === "flow" && flow === undefined) return ["an error about a packet of a known flow"];
  return [];
}

function flowText(flow: PodFlowState): string {
  const { way, sourcePort, ageSeconds, idleSeconds, lifetimeSeconds, isCurrent } = flow;
  const by =
    flow.policy === undefined ? "" : `, allowed by ${ruleText(flow.policy, flow.rule ?? "")}`;
  return [
    `from port ${sourcePort}, ${way === "forth" ? "the way it was opened" : "an answer"}${by}`,
    `opened ${ageSeconds} s ago, quiet for ${idleSeconds} s of ${lifetimeSeconds} s`,
    `${flow.packetsForth} packets forth, ${flow.packetsBack} back`,
    ...(isCurrent ? [] : ["allowed by earlier rules: this packet has it judged anew"]),
  ].join("; ");
}

/** The verdict of all steps on one line. */
export function verdictLine(walk: Walk, { colors }: Output): string {
  const { verdict, isComplete, reason, policy, rule } = walk;
  const by = policy === undefined ? "" : ` by ${colors.bold(ruleText(policy, rule ?? ""))}`;
  if (!isComplete) return `${colors.bold(colors.yellow("PASS SO FAR"))}: one end was not asked`;
  const paint = verdict === "pass" ? colors.green : colors.red;
  const why = reason === undefined ? "" : ` reason ${reason}`;
  return `${colors.bold(paint(verdict.toUpperCase()))}${why}${by}`;
}
