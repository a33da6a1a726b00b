import { addressLines } from "../cluster/agent.js";
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
import { type Passed, units } from "./traffic.js";

const fewestRatio = 0.97;
const mostLoss = 0.02;
const mostChangeMs = 50;

const peers: Readonly<Record<Path, string>> = {
  "same node": "the same veths, routed by the kernel",
  direct: "routes of the kernel over the same wire",
  vxlan: "routes over a VXLAN device of the kernel",
};

/** The best of the rounds: what a busy machine takes away is nobody's. */
function best(passed: readonly Passed[]): number {
  return Math.max(...passed.map(({ rate }) => rate));
}

function leastCpu(passed: readonly Passed[]): number {
  return Math.min(...passed.map(({ cpuNs }) => cpuNs));
}

function ratio({ sluice, routed }: Rates): number {
  return best(sluice) / best(routed);
}

function cpuRatio({ sluice, routed }: Rates): number {
  return leastCpu(sluice) / leastCpu(routed);
}

export function ratesSection(rates: readonly Rates[]): Section {
  const figures = (passed: readonly Passed[]) => [
    formatNumber(best(passed)),
    formatNumber(spread(passed.map(({ rate }) => rate)).median),
    formatNumber(leastCpu(passed) / 1000),
  ];
  const each = ["best", "median", "CPU µs"];
  return {
    title: "Traffic of pods",
    columns: [
      ...["what", "path", "policies"],
      ...each.map((column) => `Sluice: ${column}`),
      ...each.map((column) => `routed: ${column}`),
      ...["× routed", "CPU × routed"],
    ],
    rows: rates.map((row) => [
      units[row.mode].name,
      row.path,
      row.policies.toLocaleString("en-US"),
      ...figures(row.sluice),
      ...figures(row.routed),
      formatRatio(ratio(row)),
      formatRatio(cpuRatio(row)),
    ]),
    notes: [
      "The best and the median of the rounds, and the least CPU of both ends per gigabit, request or connection; ratios are " +
        "of the best and the least. Beside Sluice stand pods on the same veths, with the same addresses and routes, without a " +
        `program or a policy: ${Object.entries(peers)
          .map(([path, peer]) => `${path}, ${peer}`)
          .join("; ")}. All policies select the measured pods.`,
    ],
  };
}

/** What the routed path takes of CPU for a unit by what Sluice's does; rates depend on who else is busy. */
function worth(row: Rates): number {
  return 1 / cpuRatio(row);
}

export function ratesTargets(rates: readonly Rates[]): readonly Target[] {
  const within = rates.flatMap((row): readonly Target[] => {
    if (row.mode === "connect" || row.policies > 0) return [];
    return [
      {
        what: `pod to pod, ${row.path}: ${row.mode === "stream" ? "throughput" : "request rate"}`,
        goal: `≥ ${fewestRatio} × ${peers[row.path]}`,
        measured: `${formatRatio(worth(row))} by CPU time, ${formatRatio(ratio(row))} by rate`,
        isReached: worth(row) >= fewestRatio,
      },
    ];
  });
  return [...within, ...policyTargets(rates)];
}

/** By the ratios to what is routed, which the policies do not touch. */
function policyTargets(rates: readonly Rates[]): readonly Target[] {
  const connects = rates.filter(({ mode }) => mode === "connect");
  const without = connects.filter(({ policies }) => policies === 0);
  return without.flatMap((none): readonly Target[] => {
    const [most] = connects
      .filter(({ path, policies }) => path === none.path && policies > 0)
      .sort((left, right) => right.policies - left.policies);
    if (most === undefined) return [];
    const kept = worth(most) / worth(none);
    return [
      {
        what: `connection rate, ${none.path}: ${most.policies.toLocaleString("en-US")} policies against none`,
        goal: `≥ ${formatRatio(1 - mostLoss)} ×`,
        measured: `${formatRatio(kept)} by CPU time, ${formatRatio(ratio(most) / ratio(none))} by rate`,
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
      `With \`--address-lines ${addressLines}\`. Tables in the kernel are all maps of the agent, the firewall's included, as the ` +
        "kernel counts them (memlock).",
    ],
  };
}

export function describe({ pods, local }: Crowd, policies: number): string {
  const count = (value: number) => value.toLocaleString("en-US");
  return `${count(pods)} pods, ${count(local)} of them on the node, and ${count(policies)} policies`;
}
