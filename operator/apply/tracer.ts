import { Field, Trace, Trait } from "../../datapath/generated/layout.js";
import { type IfIndex, testRunAsync } from "../../datapath/index.js";
import type { TraceResult, TraceStage } from "../api/engine.js";
import type { AddressTable } from "./address-table.js";
import type { Datapath } from "./datapath.js";
import { effectName, isAudit, protocolName, REASON_NAMES, VERDICT_NAMES } from "./names.js";
import type { SlotOwner } from "./rule-slots.js";

export interface TraceNames {
  readonly owner: (slot: number) => SlotOwner | undefined;
  readonly addresses: AddressTable | undefined;
}

const TRAITS: readonly (readonly [number, string])[] = [
  [Trait.TRAIT_FRAGMENT, "Fragment"],
  [Trait.TRAIT_IP_OPTIONS, "IPOptions"],
  [Trait.TRAIT_SAME_ADDRESS, "SameAddress"],
  [Trait.TRAIT_MARTIAN_SOURCE, "MartianSource"],
  [Trait.TRAIT_ZERO_PORT, "ZeroPort"],
  [Trait.TRAIT_IMPOSSIBLE_TCP_FLAGS, "ImpossibleTCPFlags"],
];
const TCP_FLAGS = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];
const FRAGMENTS = ["", ", first fragment", ", later fragment"];

/**
 * Runs the trace program on a frame as if it came in by the interface. The program is the uplink's own code on the
 * live tables and leaves counters, buckets and tables alone. One run at a time: they share one record.
 */
export async function traceFrame(
  datapath: Datapath,
  frame: Uint8Array,
  index: IfIndex,
  interfaceName: string,
  names: TraceNames,
): Promise<TraceResult> {
  await testRunAsync(datapath.uplinkTrace, { packet: frame, context: { ingress: index } });
  const trace = Trace.decode(datapath.traces.view, 0);
  return { interface: interfaceName, ...describeTrace(trace, names) };
}

/** The record of a trace program's run, in words. */
export function describeTrace(trace: Trace, names: TraceNames): Omit<TraceResult, "interface"> {
  const matched = trace.steps.slice(0, trace.stepCount).map(({ slot, effect }) => ({
    policy: names.owner(slot)?.policy ?? "",
    rule: names.owner(slot)?.rule ?? "",
    effect: isAudit(effect) ? `audit: ${effectName(effect)}` : effectName(effect),
  }));
  const owner = trace.slot === 0 ? undefined : names.owner(trace.slot);
  const verdict = VERDICT_NAMES[trace.verdict]!;
  const reason = REASON_NAMES[trace.reason]!;
  const by = owner === undefined ? "" : ` by ${owner.policy}/${owner.rule}`;
  return {
    stages: [
      ...describeStages(trace, names),
      ...matched.map(({ policy, rule, effect }) => ({
        stage: "rule",
        text: `${policy}/${rule}: ${effect}`,
      })),
      { stage: "verdict", text: `${verdict}, reason ${reason}${by}` },
    ],
    verdict,
    reason,
    ...(owner && { policy: owner.policy, rule: owner.rule }),
    matched,
  };
}

function describeStages(trace: Trace, names: TraceNames): readonly TraceStage[] {
  const stages: TraceStage[] = [{ stage: "parse", text: describePacket(trace) }];
  stages.push({
    stage: "interface",
    text: `slot ${trace.interfaceSlot}, class ${trace.interfaceClass}, generation ${trace.generation}`,
  });
  if (REASON_NAMES[trace.reason] === "not-judged" || trace.family === 0) return stages;
  const address = (classId: number) => {
    const sets = names.addresses?.classes.members(classId).map((id) => names.addresses?.nameOf(id));
    const text = sets === undefined || sets.length === 0 ? "in no set" : `in ${sets.join(", ")}`;
    return `class ${classId}: ${text}`;
  };
  const fields: readonly (readonly [number, string, () => string])[] = [
    [Field.FIELD_SOURCE, "source", () => address(trace.sourceClass)],
    [Field.FIELD_DESTINATION, "destination", () => address(trace.destinationClass)],
    [Field.FIELD_PORT, "protocol and port", () => `class ${trace.portClass}`],
    [Field.FIELD_SOURCE_PORT, "source port", () => `class ${trace.sourcePortClass}`],
    [Field.FIELD_DETAIL, "flags or type", () => `class ${trace.detailClass}`],
    [Field.FIELD_TRAITS, "traits", () => `class ${trace.traitsClass}`],
  ];
  for (const [bit, stage, text] of fields) {
    if ((trace.fields & bit) !== 0) stages.push({ stage, text: text() });
  }
  return stages;
}

function describePacket(trace: Trace): string {
  if (trace.family === 0) return "not an IP packet that can be read";
  const tags = trace.vlanTags === 0 ? "" : `${trace.vlanTags} VLAN tag(s), `;
  const protocol = protocolName(trace.protocol);
  const parts = [`${tags}IPv${trace.family} ${protocol}${FRAGMENTS[trace.fragment] ?? ""}`];
  if (trace.fragment !== 2 && ["TCP", "UDP", "SCTP"].includes(protocol)) {
    parts.push(`port ${trace.sourcePort} to ${trace.destinationPort}`);
  }
  if (trace.fragment !== 2 && protocol === "TCP") {
    const flags = TCP_FLAGS.filter((_, bit) => ((trace.detail >> bit) & 1) === 1);
    parts.push(`flags ${flags.join(" ") || "none"}`);
  }
  if (trace.fragment !== 2 && protocol.startsWith("ICMP")) {
    parts.push(`type ${trace.detail >> 8} code ${trace.detail & 255}`);
  }
  const traits = TRAITS.filter(([bit]) => (trace.traits & bit) !== 0).map(([, name]) => name);
  if (traits.length > 0) parts.push(`traits ${traits.join(" ")}`);
  return parts.join(", ");
}
