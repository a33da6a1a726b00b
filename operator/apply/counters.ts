import { Verdict } from "../../datapath/generated/layout.js";
import { sumCounters } from "../../datapath/index.js";
import type { Counter, ProtocolState, ReasonName, VerdictName } from "../api/engine.js";
import type { Datapath } from "./datapath.js";
import { protocolName, REASON_NAMES, VERDICT_NAMES } from "./names.js";

export interface RuleCount {
  readonly matched: Counter;
  readonly exceeded: Counter;
}

/** 64-bit counters per element: packets, bytes; rules have the exceeded ones behind them. */
const LANES = 2;
const RULE_LANES = 4;

/** Sums of all CPUs of the rule counters; one system call per 4,096 slots. */
export function readRuleCounts(datapath: Datapath): (slot: number) => RuleCount {
  const sums = sumCounters(datapath.ruleCounters);
  return (slot) => ({
    matched: counterAt(sums, slot * RULE_LANES),
    exceeded: counterAt(sums, slot * RULE_LANES + 2),
  });
}

export function readVerdictCounts(
  datapath: Datapath,
): (slot: number) => Readonly<Record<VerdictName, Counter>> {
  const sums = sumCounters(datapath.verdictCounters);
  return (slot) =>
    Object.fromEntries(
      VERDICT_NAMES.map((name, verdict) => [
        name,
        counterAt(sums, (slot * Verdict.VERDICTS + verdict) * LANES),
      ]),
    ) as Record<VerdictName, Counter>;
}

export function readReasons(datapath: Datapath): Readonly<Partial<Record<ReasonName, Counter>>> {
  const sums = sumCounters(datapath.reasonCounters);
  const counted = REASON_NAMES.map(
    (name, reason) => [name, counterAt(sums, reason * LANES)] as const,
  );
  return Object.fromEntries(counted.filter(([, { packets }]) => packets > 0));
}

export function readProtocols(datapath: Datapath): readonly ProtocolState[] {
  const sums = sumCounters(datapath.protocolCounters);
  return Array.from({ length: 257 }, (_, protocol) => ({
    protocol,
    name: protocolName(protocol),
    ...counterAt(sums, protocol * LANES),
  })).filter(({ packets }) => packets > 0);
}

/** Zeroes the counters and the node bucket of a slot that changes hands. */
export function clearRuleSlot(datapath: Datapath, slot: number): void {
  const cpus = datapath.ruleCounters.lookup(slot)?.length ?? 0;
  const zero = { packets: 0n, bytes: 0n, exceededPackets: 0n, exceededBytes: 0n };
  datapath.ruleCounters.update(
    slot,
    Array.from({ length: cpus }, () => zero),
  );
  datapath.nodeBuckets.u64[slot] = 0n;
}

export function clearInterfaceSlot(datapath: Datapath, slot: number): void {
  for (let verdict = 0; verdict < Verdict.VERDICTS; verdict++) {
    const index = slot * Verdict.VERDICTS + verdict;
    const cpus = datapath.verdictCounters.lookup(index)?.length ?? 0;
    const zero = { packets: 0n, bytes: 0n };
    datapath.verdictCounters.update(
      index,
      Array.from({ length: cpus }, () => zero),
    );
  }
}

function counterAt(sums: BigUint64Array, at: number): Counter {
  return { packets: Number(sums[at] ?? 0n), bytes: Number(sums[at + 1] ?? 0n) };
}
