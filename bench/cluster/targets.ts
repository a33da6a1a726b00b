import { formatNumber, percentile, spread, type Target } from "../result.js";
import type { AgentFigures } from "./agent.js";
import { informer, sluice, type WatchFigures } from "./rounds.js";
import { ratio, type Watched } from "./sections.js";

const mostSyncMs = 3000;
const mostStallMs = 20;
const mostAgentMiB = 100;
const mostDelayMs = 50;
const mostDropMs = 100;

type Pick = (figures: WatchFigures) => number;

/** Of Sluice's list and watch by itself, beside the informer. */
export function watchTargets(watched: readonly Watched[]): readonly Target[] {
  const own = watched.find(({ name }) => name === sluice.name);
  const other = watched.find(({ name }) => name === informer.name);
  if (own === undefined || other === undefined) return [];
  const row = (what: string, goalMs: number, pick: Pick): Target => {
    const { min, median } = spread(own.rounds.map(pick));
    return {
      what,
      goal: `≤ ${formatNumber(goalMs)} ms`,
      measured: `median ${formatNumber(median)} ms, min ${formatNumber(min)}; ${ratio(own, other, pick)} × the informer`,
      isReached: median <= goalMs,
    };
  };
  return [
    row("sync of Services, EndpointSlices and Pods", mostSyncMs, ({ sync }) => sync.wallMs),
    row("longest stall of the event loop in it", mostStallMs, ({ sync }) => sync.stallMs),
    row("slice written to handler, p99", mostDelayMs, p99),
  ];
}

/** Of the whole agent. */
export function agentTargets(
  agent: AgentFigures | undefined,
  watched: readonly Watched[],
): readonly Target[] {
  if (agent === undefined) return [];
  const other = watched.find(({ name }) => name === informer.name);
  const whole: Watched = { name: "whole agent", rounds: [agent] };
  const beside = (pick: Pick) =>
    other === undefined ? "" : `; ${ratio(whole, other, pick)} × the informer`;
  const { residentMiB, tablesMiB } = agent.settled;
  const dropMs = percentile(agent.applied.fromEndMs, 0.99);
  const startMs = percentile(agent.applied.fromStartMs, 0.99);
  const writeMs = percentile(agent.patched.fromStartMs, 0.99);
  return [
    {
      what: "settled RSS of the whole agent",
      goal: `≤ ${mostAgentMiB} MiB`,
      measured: `${formatNumber(residentMiB)} MiB, of which ${formatNumber(tablesMiB)} are the kernel's tables${beside(({ settled }) => settled.residentMiB)}`,
      isReached: residentMiB <= mostAgentMiB,
    },
    {
      what: "slice written to the agent's handler, p99",
      goal: `≤ ${mostDelayMs} ms`,
      measured: `${formatNumber(p99(agent))} ms${beside(p99)}`,
      isReached: p99(agent) <= mostDelayMs,
    },
    {
      what: "XdpPolicy written to first dropped packet, p99",
      goal: `≤ ${mostDelayMs} ms`,
      measured: `${formatNumber(writeMs)} ms`,
      isReached: writeMs <= mostDelayMs,
    },
    {
      what: "kubectl apply to first dropped packet, p99",
      goal: `≤ ${mostDropMs} ms`,
      measured: `${formatNumber(dropMs)} ms from its end, ${formatNumber(startMs)} from its start`,
      isReached: dropMs <= mostDropMs,
    },
  ];
}

function p99({ changes }: WatchFigures): number {
  return percentile(changes.delaysMs, 0.99);
}
