import { formatNumber, formatRatio, percentile, type Section, spread } from "../result.js";
import { addressLines, type AgentFigures } from "./agent.js";
import type { Changes } from "./changes.js";
import type { WatchFigures } from "./rounds.js";

/** All rounds of one process. */
export interface Watched {
  readonly name: string;
  readonly rounds: readonly WatchFigures[];
}

const most = (values: readonly number[]) => formatNumber(Math.max(...values));
const middle = (values: readonly number[]) => formatNumber(spread(values).median);

export function watchSection(what: string, rows: readonly Watched[]): Section {
  return {
    title: `List and watch: ${what}`,
    columns: [
      "process",
      "sync ms, min",
      "median",
      "CPU ms",
      "longest stall ms, median",
      "its CPU",
      "peak RSS MiB",
      "settled",
      "collected",
    ],
    rows: rows.map(({ name, rounds }) => {
      const of = (pick: (figures: WatchFigures) => number) => rounds.map(pick);
      const syncMs = of(({ sync }) => sync.wallMs);
      return [
        name,
        formatNumber(spread(syncMs).min),
        middle(syncMs),
        middle(of(({ sync }) => sync.cpuMs)),
        middle(of(({ sync }) => sync.stallMs)),
        middle(of(({ sync }) => sync.stallCpuMs)),
        middle(of(({ settled }) => settled.peakMiB)),
        middle(of(({ settled }) => settled.residentMiB)),
        middle(of(({ collected }) => collected.residentMiB)),
      ];
    }),
    notes: [],
  };
}

export function eventSection({ count, perSecond }: Changes, rows: readonly Watched[]): Section {
  return {
    title: `${count.toLocaleString("en-US")} changes of slices, ${perSecond} a second`,
    columns: [
      "process",
      "CPU ms per 1,000",
      "write to handler ms, p50",
      "p99",
      "most",
      "write to answer ms, p50",
      "p99",
      "longest stall ms",
    ],
    rows: rows.map(({ name, rounds }) => {
      const delays = rounds.flatMap(({ changes }) => changes.delaysMs);
      const answers = rounds.flatMap(({ answersMs }) => answersMs);
      const share = (part: number) =>
        delays.length === 0 ? "" : formatNumber(percentile(delays, part));
      return [
        name,
        middle(rounds.map(cpuPerThousand)),
        share(0.5),
        share(0.99),
        share(1),
        ...[0.5, 0.99].map((part) => formatNumber(percentile(answers, part))),
        most(rounds.map(({ changes }) => changes.stallMs)),
      ];
    }),
    notes: [],
  };
}

/** Milliseconds of CPU for 1,000 changes. */
export function cpuPerThousand({ changes, changed }: WatchFigures): number {
  return (changes.cpuMs / changed.count) * 1000;
}

export function agentSection({ settled, collected }: AgentFigures): Section {
  const rows = [
    ["own memory (RssAnon)", settled.anonMiB, collected.anonMiB],
    ["tables of the kernel that are mapped", settled.tablesMiB, collected.tablesMiB],
    [
      "Node.js and libraries (RssFile without tables)",
      settled.fileMiB - settled.tablesMiB,
      collected.fileMiB - collected.tablesMiB,
    ],
    ["all (VmRSS)", settled.residentMiB, collected.residentMiB],
  ] as const;
  return {
    title: "Memory of the whole agent",
    columns: ["what", "MiB, settled", "collected"],
    rows: rows.map(([what, ...values]) => [what, ...values.map(formatNumber)]),
    notes: [`With \`--address-lines ${addressLines}\`.`],
  };
}

export function dropSection({ patched, applied }: AgentFigures): Section {
  const rows = [
    ["PATCH sent", patched.fromStartMs],
    ["PATCH answered", patched.fromEndMs],
    ["kubectl apply started", applied.fromStartMs],
    ["kubectl apply ended", applied.fromEndMs],
  ] as const;
  return {
    title: "An XdpPolicy to its first dropped packet",
    columns: ["from", "ms, p50", "p99", "most", "changes"],
    rows: rows.map(([from, delays]) => [
      from,
      ...[0.5, 0.99, 1].map((share) => formatNumber(percentile(delays, share))),
      String(delays.length),
    ]),
    notes: [],
  };
}

/** How two processes compare by the medians of their rounds. */
export function ratio(
  one: Watched,
  other: Watched,
  pick: (figures: WatchFigures) => number,
): string {
  const median = ({ rounds }: Watched) => spread(rounds.map(pick)).median;
  return formatRatio(median(one) / median(other));
}
