import { Reason, Verdict } from "../../datapath/generated/layout.js";
import { sumCounters } from "../../datapath/index.js";
import type { Counter, ProtocolState, ReasonName, VerdictName } from "../api/engine.js";
import type { Bank } from "./bank.js";
import { protocolName, REASON_NAMES, VERDICT_NAMES } from "./names.js";

export interface RuleCount {
  readonly matched: Counter;
  readonly exceeded: Counter;
}

/** 64-bit counters per element: packets, bytes; rules have the exceeded ones behind them. */
const LANES = 2;
const RULE_LANES = 4;

/** Sums of all CPUs of the rule counters; one system call per 4,096 slots. */
export function readRuleCounts(datapath: Bank): (slot: number) => RuleCount {
  const sums = sumCounters(datapath.ruleCounters);
  return (slot) => ({
    matched: counterAt(sums, slot * RULE_LANES),
    exceeded: counterAt(sums, slot * RULE_LANES + 2),
  });
}

/** Packets by interface slot and verdict, and by reason over all interfaces. */
export interface Outcomes {
  readonly verdicts: (slot: number) => Readonly<Record<VerdictName, Counter>>;
  readonly reasons: Readonly<Partial<Record<ReasonName, Counter>>>;
}

/** @param slots how many are read, from 0 on; default all, which are a MiB for each CPU where there are 1,024 */
export function readOutcomes(datapath: Bank, slots?: number): Outcomes {
  const rows = slots === undefined ? undefined : slots * Verdict.VERDICTS * Reason.REASONS;
  const sums = sumCounters(datapath.outcomeCounters, rows);
  const reasons: Partial<Record<ReasonName, Counter>> = {};
  for (let at = 0; at < sums.length / LANES; at++) {
    const counted = counterAt(sums, at * LANES);
    const name = REASON_NAMES[at % Reason.REASONS];
    if (counted.packets > 0 && name !== undefined) reasons[name] = sum(reasons[name], counted);
  }
  return {
    reasons,
    verdicts: (slot) =>
      Object.fromEntries(
        VERDICT_NAMES.map((name, verdict) => {
          const first = (slot * Verdict.VERDICTS + verdict) * Reason.REASONS;
          const rows = REASON_NAMES.map((_, reason) => counterAt(sums, (first + reason) * LANES));
          return [name, rows.reduce((total, row) => sum(total, row))];
        }),
      ) as Record<VerdictName, Counter>,
  };
}

export function readProtocols(datapath: Bank): readonly ProtocolState[] {
  const sums = sumCounters(datapath.protocolCounters);
  return Array.from({ length: 257 }, (_, protocol) => ({
    protocol,
    name: protocolName(protocol),
    ...counterAt(sums, protocol * LANES),
  })).filter(({ packets }) => packets > 0);
}

/** Zeroes the counters and the node bucket of a slot that changes hands. */
export function clearRuleSlot(datapath: Bank, slot: number): void {
  const cpus = datapath.ruleCounters.lookup(slot)?.length ?? 0;
  const zero = { packets: 0n, bytes: 0n, exceededPackets: 0n, exceededBytes: 0n };
  datapath.ruleCounters.update(
    slot,
    Array.from({ length: cpus }, () => zero),
  );
  datapath.nodeBuckets.u64[slot] = 0n;
}

export function clearInterfaceSlot(datapath: Bank, slot: number): void {
  const rows = Verdict.VERDICTS * Reason.REASONS;
  const cpus = datapath.outcomeCounters.lookup(slot * rows)?.length ?? 0;
  const zero = Array.from({ length: cpus }, () => ({ packets: 0n, bytes: 0n }));
  datapath.outcomeCounters.updateAll(
    Array.from({ length: rows }, (_, row) => [slot * rows + row, zero] as const),
  );
}

function sum(left: Counter | undefined, right: Counter): Counter {
  if (left === undefined) return right;
  return { packets: left.packets + right.packets, bytes: left.bytes + right.bytes };
}

function counterAt(sums: BigUint64Array, at: number): Counter {
  return { packets: Number(sums[at] ?? 0n), bytes: Number(sums[at + 1] ?? 0n) };
}
