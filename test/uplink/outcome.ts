/** What one packet met with, read off the counters alone. */

import assert from "node:assert/strict";
import { Reason, type RuleCounter, Verdict } from "../../datapath/generated/layout.js";
import { sumCounters } from "../../datapath/index.js";
import type { ReasonName, VerdictName } from "../../operator/api/engine.js";
import type { Bank } from "../../operator/apply/bank.js";
import { REASON_NAMES, VERDICT_NAMES } from "../../operator/apply/names.js";
import type { SlotOwner } from "../../operator/apply/rule-slots.js";

export interface Outcome {
  readonly verdict: VerdictName;
  readonly reason: ReasonName;
  /** What it was counted as; undefined when no policy judges the interface. */
  readonly protocol: number | undefined;
  /** `policy/rule` of the rules that counted it, with ` above` when it was above their rate. */
  readonly counted: readonly string[];
}

export interface Counts {
  readonly packets: bigint;
  readonly bytes: bigint;
}

/** All counters that a packet can touch. */
export interface Snapshot {
  readonly outcomes: readonly Row<readonly [slot: number, VerdictName, ReasonName]>[];
  readonly protocols: readonly Row<number>[];
  readonly rules: ReadonlyMap<number, RuleCounter>;
}

type Row<Key> = readonly [key: Key, counts: Counts];

/** Protocol numbers, and 256 for what is not IP. */
const PROTOCOLS = 257;
const NO_EXCEEDED = { exceededPackets: 0n, exceededBytes: 0n };

/** Fails unless the outcome has these parts. */
export function assertOutcome(actual: Outcome, expected: Partial<Outcome>, message?: string): void {
  const keys = Object.keys(expected) as (keyof Outcome)[];
  const parts = Object.fromEntries(keys.map((key) => [key, actual[key]]));
  assert.deepEqual(parts, expected, message);
}

/** Counters of these interfaces and rules, by their slots, and of all protocols. */
export function takeSnapshot(
  datapath: Bank,
  interfaceSlots: readonly number[],
  ruleSlots: readonly number[],
): Snapshot {
  const sums = sumCounters(datapath.protocolCounters);
  return {
    outcomes: interfaceSlots.flatMap((slot) => readOutcomes(datapath, slot)),
    protocols: Array.from({ length: PROTOCOLS }, (_, protocol) => [
      protocol,
      { packets: sums[2 * protocol]!, bytes: sums[2 * protocol + 1]! },
    ]),
    rules: new Map(ruleSlots.map((slot) => [slot, readRuleCounter(datapath, slot)])),
  };
}

/**
 * What happened between two snapshots, which was one packet: one row of one interface grew by one packet of so many
 * bytes, one protocol did, and each rule that counted it. Fails when anything else did.
 */
export function outcomeBetween(
  before: Snapshot,
  after: Snapshot,
  length: number,
  ownerOf: (slot: number) => SlotOwner | undefined,
): Outcome & { readonly slot: number } {
  const one: Counts = { packets: 1n, bytes: BigInt(length) };
  const [row, ...otherRows] = grown(before.outcomes, after.outcomes, one);
  assert.ok(row !== undefined && otherRows.length === 0, "one outcome is counted");
  const [slot, verdict, reason] = row;
  const [protocol, ...otherProtocols] = grown(before.protocols, after.protocols, one);
  assert.equal(otherProtocols.length, 0, "one protocol is counted");
  assert.equal(protocol === undefined, reason === "not-judged");
  const counted = [...after.rules].flatMap(([ruleSlot, counter]) => {
    const how = countedHow(before.rules.get(ruleSlot)!, counter, one);
    const { policy, rule } = ownerOf(ruleSlot)!;
    return how === undefined ? [] : [`${policy}/${rule}${how}`];
  });
  return { slot, verdict, reason, protocol, counted };
}

export function readOutcomes(datapath: Bank, slot: number): Snapshot["outcomes"] {
  return VERDICT_NAMES.flatMap((verdict, verdictNumber) =>
    REASON_NAMES.map((reason, reasonNumber) => {
      const at = (slot * Verdict.VERDICTS + verdictNumber) * Reason.REASONS + reasonNumber;
      return [[slot, verdict, reason], sumOf(datapath.outcomeCounters.lookup(at))] as const;
    }),
  );
}

export function readRuleCounter(datapath: Bank, slot: number): RuleCounter {
  return (datapath.ruleCounters.lookup(slot) ?? []).reduce((sum, cpu) => ({
    packets: sum.packets + cpu.packets,
    bytes: sum.bytes + cpu.bytes,
    exceededPackets: sum.exceededPackets + cpu.exceededPackets,
    exceededBytes: sum.exceededBytes + cpu.exceededBytes,
  }));
}

function countedHow(before: RuleCounter, after: RuleCounter, one: Counts): string | undefined {
  const difference: RuleCounter = {
    packets: after.packets - before.packets,
    bytes: after.bytes - before.bytes,
    exceededPackets: after.exceededPackets - before.exceededPackets,
    exceededBytes: after.exceededBytes - before.exceededBytes,
  };
  if (Object.values(difference).every((count) => count === 0n)) return undefined;
  const isAbove = difference.exceededPackets !== 0n;
  const exceeded = { exceededPackets: one.packets, exceededBytes: one.bytes };
  assert.deepEqual(difference, { ...one, ...(isAbove ? exceeded : NO_EXCEEDED) });
  return isAbove ? " above" : "";
}

/** Keys of the rows that grew, each of which must have grown by `one`. */
function grown<Key>(
  before: readonly Row<Key>[],
  after: readonly Row<Key>[],
  one: Counts,
): readonly Key[] {
  return after.flatMap(([key, { packets, bytes }], index) => {
    const [, earlier] = before[index]!;
    const difference = { packets: packets - earlier.packets, bytes: bytes - earlier.bytes };
    if (difference.packets === 0n && difference.bytes === 0n) return [];
    assert.deepEqual(difference, one);
    return [key];
  });
}

function sumOf(perCpu: readonly Counts[] | undefined): Counts {
  return (perCpu ?? []).reduce((sum, { packets, bytes }) => ({
    packets: sum.packets + packets,
    bytes: sum.bytes + bytes,
  }));
}
