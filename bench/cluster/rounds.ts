import { setTimeout as sleep } from "node:timers/promises";
import type { BenchCluster } from "./bench-cluster.js";
import { type Changes, changeSlices } from "./changes.js";
import type { ProbeFigures } from "./probe.js";
import type { Memory } from "./memory.js";
import { type Subject, type SubjectCommand, startSubject } from "./subject.js";

/** What is measured of one process from its lists on. */
export interface WatchFigures {
  readonly sync: ProbeFigures;
  readonly settled: Memory;
  readonly changes: ProbeFigures;
  readonly changed: Changes;
  /** Until each change was answered. */
  readonly answersMs: readonly number[];
  /** After all garbage has gone. */
  readonly collected: Memory;
}

export interface Peer extends Pick<SubjectCommand, "script" | "nodeFlags" | "wrapper"> {
  readonly name: string;
}

/** Those of the chart's DaemonSet. */
export const agentNodeFlags = ["--max-semi-space-size=2"];
export const agentEnvironment = ["env", "MALLOC_ARENA_MAX=1"];

export const sluice: Peer = {
  name: "Sluice",
  script: "sluice-subject.js",
  nodeFlags: agentNodeFlags,
  wrapper: agentEnvironment,
};
export const informer: Peer = { name: "client-node informer", script: "informer-subject.js" };
export const empty: Peer = { name: "empty process", script: "empty-subject.js" };

/** Without forced collection of garbage, but time for one that comes by itself. */
export const settleMs = 10_000;
/** Between the last write and the last handler. */
const arriveMs = 1000;

let isReady = true;

/** Starts a process, has it list and watch all kinds, changes slices under it, and ends it. */
export async function measurePeer(
  { cluster, account }: BenchCluster,
  peer: Peer,
  changes: Changes,
): Promise<WatchFigures> {
  const subject = startSubject({ ...peer, args: [cluster.url, account.folder] });
  // Modules are loaded, code is not yet compiled.
  await subject.ask("mark");
  await sleep(500);
  const sync = await subject.ask("start");
  await sleep(settleMs);
  const figures = await measureChanges({ cluster, account }, subject, sync, changes);
  await subject.end();
  return figures;
}

/** @param subject in sync, and settled */
export async function measureChanges(
  { cluster }: BenchCluster,
  subject: Subject,
  sync: ProbeFigures,
  changed: Changes,
): Promise<WatchFigures> {
  const settled = subject.memory();
  await subject.ask("mark");
  isReady = !isReady;
  const answersMs = await changeSlices(cluster.rest, changed, isReady);
  await sleep(arriveMs);
  const changes = await subject.ask("mark");
  await subject.ask("collect");
  return { sync, settled, changes, changed, answersMs, collected: subject.memory() };
}
