import {
  formatNumber,
  formatRatio,
  percentile,
  type Section,
  spread,
  type Target,
} from "../result.js";
import type { ChangeFigures, Crowd, PodMemory } from "./change.js";
import type { Path, Rates } from "./rates.js";
import { type Mode, units } from "./traffic.js";

const fewestRatio = 0.97;
const mostLoss = 0.02;
const mostChangeMs = 50;

const peers: Readonly<Record<Path, string>> = {
  "same node": "the same veths, routed by the kernel",
  direct: "routes of the kernel over the same wire",
  vxlan: "routes over a VXLAN device of the kernel",
};

/** The best of the rounds: what a busy machine takes away is nobody's. */
function best(values: readonly number[]): number {
  return Math.max(...values);
}

function ratio({ sluice, routed }: Rates): number {
  return best(sluice) / best(routed);
}

export function ratesSection(rates: readonly Rates[]): Section {
  const figures = (values: readonly number[]) => [
    formatNumber(best(values)),
    formatNumber(spread(values).median),
  ];
  return {
    title: "Traffic of pods",
    columns: ["what", "path", "policies", "Sluice", "median", "routed", "median", "× routed"],
    rows: rates.map((row) => [
      units[row.mode].name,
      row.path,
      formatNumber(row.policies).replace(/\.0+$/, ""),
      ...figures(row.sluice),
      ...figures(row.routed),
      formatRatio(ratio(row)),
    ]),
    notes: [
      "The best and the median of the rounds; ratios are of the best. Beside Sluice stand pods on the same veths, with the " +
        `same addresses and routes, without a program or a policy: ${Object.entries(peers)
          .map(([path, peer]) => `${path}: ${peer}`)
          .join("; ")}. All policies select the measured pods.`,
    ],
  };
}

export function ratesTargets(rates: readonly Rates[]): readonly Target[] {
  const within = rates
    .filter(({ mode }) => mode !== "connect")
    .filter(({ policies }) => policies === 0)
    .map((row): Target => {
      const names: Readonly<Record<Mode, string>> = {
        stream: "throughput",
        request: "request rate",
        connect: "connection rate",
      };
      return {
        what: `pod to pod, ${row.path}: ${names[row.mode]}`,
        goal: `≥ ${fewestRatio} × ${peers[row.path]}`,
        measured: formatRatio(ratio(row)),
        isReached: ratio(row) >= fewestRatio,
      };
    });
  return [...within, ...policyTargets(rates)];
}

/** By the ratios to what is routed, which the policies do not touch. */
function policyTargets(rates: readonly Rates[]): readonly Target[] {
  const connects = rates.filter(({ mode }) => mode === "connect");
  return connects
    .filter(({ policies }) => policies === 0)
    .flatMap((without): readonly Target[] => {
      const most = connects
        .filter(({ path, policies }) => path === without.path && policies > 0)
        .sort((left, right) => right.policies - left.policies)[0];
      if (most === undefined) return [];
      const kept = ratio(most) / ratio(without);
      return [
        {
          what: `connection rate, ${without.path}: ${most.policies} policies against none`,
          goal: `≥ ${formatRatio(1 - mostLoss)} ×`,
          measured: formatRatio(kept),
          isReached: kept >= 1 - mostLoss,
        },
      ];
    });
}

export function changeSection({ delays }: ChangeFigures, crowd: Crowd, policies: number): Section {
  const rows = [
    ["PATCH sent", delays.fromStartMs],
    ["PATCH answered", delays.fromEndMs],
  ] as const;
  return {
    title: `A NetworkPolicy to its first dropped packet, ${describe(crowd, policies)}`,
    columns: ["from", "ms, p50", "p99", "most", "changes"],
    rows: rows.map(([from, values]) => [
      from,
      ...[0.5, 0.99, 1].map((share) => formatNumber(percentile(values, share))),
      String(values.length),
    ]),
    notes: [
      "One of the policies, which let a stream of datagrams between two pods in, lets it in no more: an established flow.",
    ],
  };
}

export function changeTargets({ delays }: ChangeFigures): readonly Target[] {
  const values = delays.fromEndMs;
  const [middle, late] = [0.5, 0.99].map((share) => percentile(values, share)) as [number, number];
  return [
    {
      what: "a NetworkPolicy to its first dropped packet, from the API server's answer",
      goal: `p99 ≤ ${mostChangeMs} ms`,
      measured: `p50 ${formatNumber(middle)} ms, p99 ${formatNumber(late)}`,
      isReached: late <= mostChangeMs,
    },
  ];
}

export function memorySection(
  rows: readonly (readonly [what: string, memory: PodMemory])[],
): Section {
  return {
    title: "Memory of an agent with a pod network",
    columns: ["MiB", "own (RssAnon)", "mapped tables", "all (VmRSS)", "tables in the kernel"],
    rows: rows.map(([what, { anonMiB, tablesMiB, residentMiB, kernelMiB }]) => [
      what,
      ...[anonMiB, tablesMiB, residentMiB, kernelMiB].map(formatNumber),
    ]),
    notes: [
      "Tables in the kernel are all maps of the agent, the firewall's included, as the kernel counts them (memlock).",
    ],
  };
}

export function describe({ pods, local }: Crowd, policies: number): string {
  const count = (value: number) => value.toLocaleString("en-US");
  return `${count(pods)} pods, ${count(local)} of them on the node, and ${count(policies)} policies`;
}
