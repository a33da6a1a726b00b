import { setTimeout as sleep } from "node:timers/promises";
import { SluiceError } from "../../errors.js";
import { KubeError } from "../../kube/errors.js";
import type { AgentOptions, Cli } from "../agent-command.js";
import { type Agents, createAgents } from "../agents.js";
import { exitCodes } from "../errors.js";
import type { Output } from "../output.js";
import { printable, shorten } from "../visible.js";
import { type AgentPod, isForbidden } from "./agent-pods.js";
import { blockedName } from "./block-objects.js";
import { agentsIn, findSelectedPods } from "./cluster-agents.js";
import { missing, type NodeProgress, nodeProgress, type Wanted } from "./node-progress.js";
import type { Cluster } from "./open-cluster.js";

export interface WaitContext {
  readonly cli: Cli;
  readonly cluster: Cluster;
  readonly options: AgentOptions;
  readonly output: Output;
}

/** Between two rounds. */
const pauseMs = 250;
/** An agent that answers later does not hold the others up. */
const longestRoundMs = 1000;
const longestTimerMs = 2 ** 31 - 1;
const mostNamed = 5;
const mostReasonText = 160;

/**
 * Asks the agents until all of them have it in force, and tells how many have. What was written stays, whatever comes
 * of asking: then the exit code is that of a finding.
 *
 * @param waitMs 0: nobody is asked
 */
export async function waitForNodes(
  context: WaitContext,
  wanted: Wanted,
  waitMs: number,
): Promise<void> {
  if (waitMs === 0) return;
  const { cli, output } = context;
  const ending = new AbortController();
  const timer = setTimeout(() => ending.abort(), Math.min(waitMs, longestTimerMs));
  const signal = AbortSignal.any([cli.io.signal, ending.signal]);
  try {
    const progress = await askAgents(context, wanted, signal);
    output.note(progressText(progress));
    if (!isDone(progress, wanted)) cli.exitCode = exitCodes.finding;
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    output.note(uncheckedText(error));
    cli.exitCode = exitCodes.finding;
  } finally {
    clearTimeout(timer);
  }
}

/** By the nodes' names. */
type Progress = ReadonlyMap<string, NodeProgress>;

/** @throws SluiceError when the agents are not to be found, or the user may not ask them */
async function askAgents(
  { cluster, options }: WaitContext,
  wanted: Wanted,
  signal: AbortSignal,
): Promise<Progress> {
  const pods = await findPods(cluster, options, signal);
  const agents = createAgents(agentsIn(pods, cluster), { isCluster: true });
  try {
    return await askUntilInForce(agents, wanted, signal);
  } catch (error) {
    const where = `pods --subresource=exec -n ${pods[0]?.namespace}`;
    throw withRights(error, [`get ${where}`, `create ${where}`]);
  } finally {
    agents.close();
  }
}

async function findPods(
  cluster: Cluster,
  options: AgentOptions,
  signal: AbortSignal,
): Promise<readonly AgentPod[]> {
  try {
    const pods = await unlessAborted(findSelectedPods(cluster, options), signal);
    if (pods !== undefined) return pods;
  } catch (error) {
    const { namespace } = options;
    throw withRights(error, [`list pods ${namespace === undefined ? "-A" : `-n ${namespace}`}`]);
  }
  throw new KubeError("SLUICE_KUBE_SILENT", "the pods of the agents were not listed in time");
}

async function askUntilInForce(
  agents: Agents,
  wanted: Wanted,
  signal: AbortSignal,
): Promise<Progress> {
  const progress = new Map<string, NodeProgress>();
  for (const { node, client } of agents.all) {
    const why = client instanceof SluiceError ? client.problem : "it has not answered in time";
    progress.set(node, missing(why));
  }
  let waiting = agents.all.filter(({ client }) => !(client instanceof SluiceError));
  let forbidden: KubeError | undefined;
  const busy = new Set<string>();
  while (waiting.length > 0 && !signal.aborted) {
    const some = waiting.filter(({ node }) => !busy.has(node));
    for (const { node } of some) busy.add(node);
    const round = agents.ask(async (client, node) => {
      try {
        if (signal.aborted || forbidden !== undefined) return;
        // One after the other, which takes one exec.
        const status = await client.call("status");
        const sets = await client.call("sets");
        progress.set(node, nodeProgress(wanted, status, sets));
      } catch (error) {
        if (!(error instanceof SluiceError)) throw error;
        if (isForbidden(error)) forbidden = error;
        else if (!signal.aborted) progress.set(node, missing(error.problem));
      } finally {
        busy.delete(node);
      }
    }, some);
    // The next round is without those that are still busy.
    await unlessAborted(
      Promise.race([round, sleep(longestRoundMs, undefined, { ref: false })]),
      signal,
    );
    if (forbidden !== undefined) throw forbidden;
    waiting = waiting.filter(({ node }) => progress.get(node)?.state === "missing");
    if (waiting.length > 0) await sleep(pauseMs, undefined, { signal }).catch(() => {});
  }
  // Answers that come later do not count.
  return new Map(progress);
}

/** Undefined when the signal comes first. */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    const stop = () => resolve(undefined);
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}

/** The error; that of a missing right with the commands that show whether one has it. */
function withRights(error: unknown, needed: readonly string[]): unknown {
  if (!isForbidden(error)) return error;
  const commands = needed.map((right) => `kubectl auth can-i ${right}`).join(", ");
  const remedy = `Asking the agents needs these to say yes: ${commands}`;
  return new KubeError("SLUICE_KUBE_FORBIDDEN", error.problem, { remedy, cause: error });
}

function isDone(progress: Progress, { policyGeneration }: Wanted): boolean {
  const states = [...progress.values()].map(({ state }) => state);
  if (states.includes("missing")) return false;
  // A block that drops nowhere is none.
  return policyGeneration === undefined || states.includes("in force");
}

function progressText(progress: Progress): string {
  const counted = [...progress].filter(([, { state }]) => state !== "not selected");
  if (counted.length === 0) {
    return `the XdpPolicy ${blockedName} selects no node that has an agent`;
  }
  const reached = counted.filter(([, { state }]) => state === "in force").length;
  const reasons = counted.flatMap(([node, one]) =>
    one.state === "missing" ? [`  ${node}: ${short(one.why)}`] : [],
  );
  const title = `in force on ${reached}/${counted.length} nodes`;
  if (reasons.length === 0) return title;
  const more = reasons.length - mostNamed;
  return [
    `${title} so far; it goes on by itself, see kubectl sluice sets`,
    ...reasons.slice(0, mostNamed),
    ...(more > 0 ? [`  and ${more} more`] : []),
  ].join("\n");
}

function uncheckedText({ problem, remedy }: SluiceError): string {
  const title = `written, but not checked whether it is in force: ${short(problem)}`;
  return remedy === undefined ? title : `${title}\n  ${printable(remedy)}`;
}

function short(text: string): string {
  return shorten(printable(text), mostReasonText);
}
