import { setTimeout as sleep } from "node:timers/promises";
import type { KubeClient } from "../../kube/client.js";
import type { AgentOptions, Cli } from "../agent-command.js";
import { blockedText, entryText } from "../commands/block.js";
import { exitCodes } from "../errors.js";
import { createOutput, type Output } from "../output.js";
import { blockedEntries, entryOf, withBlocked, withoutBlocked } from "./block-list.js";
import {
  ensureBlockedPolicy,
  readBlockedPolicy,
  readBlockedSet,
  type StoredSet,
  updateBlockedSet,
} from "./block-objects.js";
import { openCluster } from "./open-cluster.js";

/** @param waitMs how long to wait until all nodes enforce it; 0: not at all */
export async function blockOnAllNodes(
  cli: Cli,
  options: AgentOptions,
  cidrs: readonly string[],
  forMs: number | undefined,
  waitMs: number,
): Promise<void> {
  const entries = cidrs.map(entryOf);
  await withCluster(cli, options, async (kube, output) => {
    const nowMs = Date.now();
    const until = forMs === undefined ? undefined : new Date(nowMs + forMs).toISOString();
    // First the policy: if there is no right to make it, nothing has been written.
    await ensureBlockedPolicy(kube);
    const stored = await updateBlockedSet(kube, (spec) => withBlocked(spec, entries, until, nowMs));
    for (const cidr of entries) {
      const entry = { cidr, ...(until !== undefined && { until }) };
      output.showNext(entry, () => `blocked ${entryText(entry)}`);
    }
    await waitForNodes(cli, kube, output, stored, waitMs);
  });
}

export async function unblockOnAllNodes(
  cli: Cli,
  options: AgentOptions,
  cidrs: readonly string[],
  waitMs: number,
): Promise<void> {
  const entries = cidrs.map(entryOf);
  await withCluster(cli, options, async (kube, output) => {
    let removed: readonly string[] = [];
    const stored = await updateBlockedSet(kube, (spec) => {
      const rest = withoutBlocked(spec, entries, Date.now());
      removed = rest.removed;
      return removed.length === 0 ? undefined : rest.spec;
    });
    for (const cidr of entries) {
      const unblocked = removed.includes(cidr);
      output.showNext({ cidr, unblocked }, () =>
        unblocked ? `unblocked ${cidr}` : `${cidr} was not blocked`,
      );
    }
    if (removed.length > 0) await waitForNodes(cli, kube, output, stored, waitMs);
    if (removed.length < new Set(entries).size) cli.exitCode = exitCodes.finding;
  });
}

export async function blockedOnAllNodes(cli: Cli, options: AgentOptions): Promise<void> {
  await withCluster(cli, options, async (kube, output) => {
    const stored = await readBlockedSet(kube);
    const entries = stored === undefined ? [] : blockedEntries(stored.spec, Date.now());
    output.show(entries, () => blockedText(entries, output, false));
  });
}

async function withCluster(
  cli: Cli,
  options: AgentOptions,
  run: (kube: KubeClient, output: Output) => Promise<void>,
): Promise<void> {
  const { kube } = await openCluster(cli.io, options);
  try {
    await run(kube, createOutput(cli.io, options.output));
  } finally {
    kube.close();
  }
}

const pollMs = 250;

/** Agents report at most every 10 s, so the last node's report may come so much later than its deed. */
async function waitForNodes(
  cli: Cli,
  kube: KubeClient,
  output: Output,
  stored: StoredSet | undefined,
  waitMs: number,
): Promise<void> {
  if (stored === undefined || waitMs === 0) return;
  const { generation } = stored.metadata;
  const deadlineMs = performance.now() + waitMs;
  for (;;) {
    const progress = await readProgress(kube, generation);
    if (progress !== undefined && progress.desired > 0 && progress.enforcing >= progress.desired) {
      output.note(`in force on ${progress.enforcing}/${progress.desired} nodes`);
      return;
    }
    if (performance.now() >= deadlineMs || cli.io.signal.aborted) {
      const reached =
        progress === undefined
          ? "no node has reported it yet"
          : `in force on ${progress.enforcing}/${progress.desired} nodes so far`;
      const failing =
        progress !== undefined && progress.failing > 0 ? `, ${progress.failing} failing` : "";
      output.note(`${reached}${failing}; it goes on by itself: kubectl get xcs sluice-blocked`);
      cli.exitCode = exitCodes.finding;
      return;
    }
    await sleep(pollMs, undefined, { signal: cli.io.signal }).catch(() => {});
  }
}

interface Progress {
  readonly desired: number;
  readonly enforcing: number;
  readonly failing: number;
}

/** Undefined until the newest forms of set and policy are reported. Nodes that the policy misses do not count. */
async function readProgress(kube: KubeClient, generation: number): Promise<Progress | undefined> {
  const [set, policy] = await Promise.all([readBlockedSet(kube), readBlockedPolicy(kube)]);
  const ofSet = set?.status;
  const ofPolicy = policy?.status;
  if ((ofSet?.observedGeneration ?? 0) < generation) return undefined;
  if ((ofPolicy?.observedGeneration ?? 0) < (policy?.metadata.generation ?? Infinity))
    return undefined;
  const { desired = 0 } = ofPolicy?.nodes ?? {};
  return {
    desired,
    enforcing: Math.min(ofSet?.nodes?.enforcing ?? 0, ofPolicy?.nodes?.enforcing ?? 0),
    failing: Math.max(ofSet?.nodes?.failing ?? 0, ofPolicy?.nodes?.failing ?? 0),
  };
}
