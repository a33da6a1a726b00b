import type { PortRange } from "../model/records.js";
import { keyAddress, keyRest, restIsException, restLength } from "./prefix-key.js";
import type { ProtocolBox, ProtocolProduct } from "./protocol-boxes.js";
import type { CompiledRule } from "./rule-list.js";
import type { SetContent, SetPart } from "./set-content.js";

/** Whole packets without IP options. */
export interface WalkedPacket {
  /** Of the interface and direction that judges it. */
  readonly slot: number;
  readonly family: 4 | 6;
  readonly source: bigint;
  readonly destination: bigint;
  /** By number. */
  readonly protocol: number;
  /** Of TCP, UDP and SCTP. */
  readonly destinationPort?: number;
  /** TCP flags, or ICMP type << 8 | code. */
  readonly detail?: number;
}

export interface WalkStep {
  readonly policy: string;
  readonly rule: string;
  readonly action: CompiledRule["action"];
  readonly audit: boolean;
}

export interface Walked {
  readonly verdict: "pass" | "drop";
  /** What decided; undefined when nothing did. */
  readonly by: WalkStep | undefined;
  /** All rules that matched on the way, the deciding one included. */
  readonly steps: readonly WalkStep[];
}

const PORTED = new Map([
  [6, "tcp"],
  [17, "udp"],
  [132, "sctp"],
] as const);

/** A condition of a rule. */
export type RuleField = "subject" | "source" | "destination" | "protocol";

/** Judges rule by rule and set by set: what classes and bitmaps come to. Of actions Accept, Drop and Pass only. */
export function walkRules(
  rules: readonly CompiledRule[],
  contents: ReadonlyMap<string, SetContent>,
  packet: WalkedPacket,
): Walked {
  const steps: WalkStep[] = [];
  for (let index = 0; index < rules.length; index++) {
    const rule = rules[index]!;
    if (!matches(rule, contents, packet)) continue;
    const { policy, rule: name, action, audit, resume } = rule;
    if (resume <= index) throw new Error(`rule ${index} leads back to ${resume}`);
    const step = { policy, rule: name, action, audit };
    steps.push(step);
    if (action === "Pass" || audit) index = resume - 1;
    else return { verdict: action === "Accept" ? "pass" : "drop", by: step, steps };
  }
  return { verdict: "pass", by: undefined, steps };
}

function matches(
  rule: CompiledRule,
  contents: ReadonlyMap<string, SetContent>,
  packet: WalkedPacket,
): boolean {
  return unmetFields(rule, contents, packet).next().done === true;
}

/** Conditions of a rule that a packet does not meet. */
export function* unmetFields(
  { interfaces, from, to, protocols, traits }: CompiledRule,
  contents: ReadonlyMap<string, SetContent>,
  packet: WalkedPacket,
): Generator<RuleField, void> {
  const isIn = (keys: readonly string[], address: bigint) =>
    keys.some((key) => {
      const content = contents.get(key);
      if (content === undefined) throw new Error(`the set ${key} has no content`);
      return holds(content, packet.family, address);
    });
  if (traits !== 0 || !interfaces.includes(packet.slot)) yield "subject";
  if (from !== undefined && !isIn(from, packet.source)) yield "source";
  if (to !== undefined && !isIn(to, packet.destination)) yield "destination";
  if (protocols !== undefined && !accepts(protocols, packet)) yield "protocol";
}

function accepts(protocols: ProtocolProduct, packet: WalkedPacket): boolean {
  const { family, protocol, destinationPort = 0, detail = 0 } = packet;
  const box: ProtocolBox | undefined = protocols.get(
    PORTED.get(protocol as 6) ?? `${family}/${protocol}`,
  );
  const isIn = (ranges: readonly PortRange[] | undefined, value: number) =>
    ranges === undefined || ranges.some(({ start, end }) => value >= start && value <= end);
  if (box?.sourcePorts !== undefined) throw new Error("policies know no source ports");
  return (
    box !== undefined && isIn(box.destinationPorts, destinationPort) && isIn(box.details, detail)
  );
}

/** Whether the set holds the address: in each part the longest prefix around it decides. */
export function holds(content: SetContent, family: 4 | 6, address: bigint): boolean {
  const isRoot = family === 4 ? content.v4Root : content.v6Root;
  const found = [...content.parts.values()].map((part) => longest(part, family, address));
  if (found.includes(true)) return true;
  return isRoot && !found.includes(false);
}

/** Whether the longest prefix around an address is no exception; undefined: there is none. */
function longest(part: SetPart, family: 4 | 6, address: bigint): boolean | undefined {
  const prefixes =
    family === 4
      ? [...part.v4].map((key) => ({
          bits: 32n,
          base: BigInt(keyAddress(key)),
          length: BigInt(restLength(keyRest(key))),
          exception: restIsException(keyRest(key)),
        }))
      : part.v6.map(({ prefix, rest, length, exception }) => ({
          bits: 128n,
          base: (BigInt(prefix) << 80n) | rest,
          length: BigInt(length),
          exception,
        }));
  const around = prefixes
    .filter(({ bits, base, length }) => (base ^ address) >> (bits - length) === 0n)
    .sort((a, b) => Number(b.length - a.length));
  return around[0] === undefined ? undefined : !around[0].exception;
}
