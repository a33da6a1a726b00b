import { setTimeout as sleep } from "node:timers/promises";
import { SluiceError } from "../errors.js";
import type { Lab } from "./lab.js";
import type { AttackKind, AttackReport, ClientReport } from "./messages.js";

/** Totals of one rule on one node. */
interface RuleTotals {
  readonly matched: number;
  readonly exceeded: number;
}

/** What a pod asked for, and what it got. */
export interface PodRequests {
  readonly targets: readonly string[];
  /** By target. */
  readonly report: ClientReport;
}

/** All totals of the lab at one moment. */
export interface Snapshot {
  /** Per node, by `policy/rule`. */
  readonly rules: readonly ReadonlyMap<string, RuleTotals>[];
  readonly sent: AttackReport["sent"];
  readonly lost: number;
  readonly client: ClientReport;
  /** By pod: `NAMESPACE/NAME`. */
  readonly pods: ReadonlyMap<string, PodRequests>;
}

/** @throws SluiceError when an agent does not answer */
export async function takeSnapshot({ agents, traffic }: Lab): Promise<Snapshot> {
  const rules = await Promise.all(
    agents.map(async ({ client }) => {
      const states = await Promise.all([client.call("rules"), client.call("podRules")]);
      return new Map(
        states
          .flat()
          .map(({ policy, rule, matched, exceeded }) => [
            `${policy}/${rule}`,
            { matched: matched.packets, exceeded: exceeded.packets },
          ]),
      );
    }),
  );
  const { sent, lost } = traffic().attack();
  const pods = new Map(
    traffic().pods.map(({ name, targets, report }) => [name, { targets, report: report() }]),
  );
  return { rules, sent, lost, client: traffic().client(), pods };
}

const restTimeoutMs = 5000;

/**
 * A snapshot at rest: the attacker is quiet, and no packet of his is on its way.
 *
 * @throws SluiceError SLUICE_LAB_PROCESS when he does not come to rest; or an agent does not answer
 */
export async function takeSettledSnapshot(lab: Lab): Promise<Snapshot> {
  const deadline = performance.now() + restTimeoutMs;
  while (!lab.traffic().attack().idle) {
    if (performance.now() > deadline) {
      throw new SluiceError(
        "SLUICE_LAB_PROCESS",
        `the traffic generator does not come to rest in ${restTimeoutMs / 1000} s`,
        { remedy: "The machine may be too busy for the lab; try again" },
      );
    }
    await sleep(50);
  }
  // A report of the attacker may be as old as the pause between two of them.
  await sleep(300);
  return takeSnapshot(lab);
}

/** Packets that the attacker sent between two snapshots, per node. */
export function sentBetween(from: Snapshot, to: Snapshot, kind: AttackKind): readonly number[] {
  return to.sent[kind].map((count, node) => count - (from.sent[kind][node] ?? 0));
}

/** Packets that a rule matched between two snapshots, per node; 0 where it is not in force. */
export function matchedBetween(
  from: Snapshot,
  to: Snapshot,
  rule: string,
  part: keyof RuleTotals = "matched",
): readonly number[] {
  return to.rules.map((rules, node) => {
    const before = from.rules[node]?.get(rule)?.[part] ?? 0;
    return (rules.get(rule)?.[part] ?? before) - before;
  });
}

/** Requests that ended between two reports of a client, to those of its targets that are given by index. */
export function requestsBetween(
  from: ClientReport,
  to: ClientReport,
  targets: readonly number[] = [...to.nodes.keys()],
) {
  const growth = (part: "succeeded" | "failed") =>
    sum(
      targets.map((target) => {
        return (to.nodes[target]?.[part] ?? 0) - (from.nodes[target]?.[part] ?? 0);
      }),
    );
  const succeeded = growth("succeeded");
  const failed = growth("failed");
  const lastFailure = targets
    .map((target) => to.nodes[target]?.lastFailure)
    .find((text) => text !== undefined);
  return {
    succeeded,
    failed,
    share: succeeded / Math.max(1, succeeded + failed),
    synRetransmits: to.synRetransmits - from.synRetransmits,
    lastFailure: failed > 0 ? lastFailure : undefined,
  };
}

export function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0);
}
