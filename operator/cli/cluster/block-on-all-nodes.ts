import type { AgentOptions, Cli } from "../agent-command.js";
import { blockedText, entryText } from "../commands/block.js";
import { exitCodes } from "../errors.js";
import { createOutput, type Output } from "../output.js";
import { blockedEntries, entryOf, withBlocked, withoutBlocked } from "./block-list.js";
import { ensureBlockedPolicy, readBlockedSet, updateBlockedSet } from "./block-objects.js";
import { type Cluster, openCluster } from "./open-cluster.js";
import { waitForNodes } from "./wait-for-nodes.js";

/** @param waitMs how long to wait until all nodes enforce it; 0: not at all */
export async function blockOnAllNodes(
  cli: Cli,
  options: AgentOptions,
  cidrs: readonly string[],
  forMs: number | undefined,
  waitMs: number,
): Promise<void> {
  const entries = cidrs.map(entryOf);
  await withCluster(cli, options, async (cluster, output) => {
    const nowMs = Date.now();
    const until = forMs === undefined ? undefined : new Date(nowMs + forMs).toISOString();
    // First the policy: if there is no right to make it, nothing has been written.
    const policy = await ensureBlockedPolicy(cluster.kube);
    const set = await updateBlockedSet(cluster.kube, (spec) =>
      withBlocked(spec, entries, until, nowMs),
    );
    for (const cidr of entries) {
      const entry = { cidr, ...(until !== undefined && { until }) };
      output.showNext(entry, () => `blocked ${entryText(entry)}`);
    }
    const wanted = {
      setGeneration: set.metadata.generation,
      policyGeneration: policy.metadata.generation,
    };
    await waitForNodes({ cli, cluster, options, output }, wanted, waitMs);
  });
}

/** @param waitMs how long to wait until no node enforces it any more; 0: not at all */
export async function unblockOnAllNodes(
  cli: Cli,
  options: AgentOptions,
  cidrs: readonly string[],
  waitMs: number,
): Promise<void> {
  const entries = cidrs.map(entryOf);
  await withCluster(cli, options, async (cluster, output) => {
    let removed: readonly string[] = [];
    const set = await updateBlockedSet(cluster.kube, (spec) => {
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
    if (set !== undefined && removed.length > 0) {
      const wanted = { setGeneration: set.metadata.generation };
      await waitForNodes({ cli, cluster, options, output }, wanted, waitMs);
    }
    if (removed.length < new Set(entries).size) cli.exitCode = exitCodes.finding;
  });
}

export async function blockedOnAllNodes(cli: Cli, options: AgentOptions): Promise<void> {
  await withCluster(cli, options, async ({ kube }, output) => {
    const stored = await readBlockedSet(kube);
    const entries = stored === undefined ? [] : blockedEntries(stored.spec, Date.now());
    output.show(entries, () => blockedText(entries, output, false));
  });
}

async function withCluster(
  cli: Cli,
  options: AgentOptions,
  run: (cluster: Cluster, output: Output) => Promise<void>,
): Promise<void> {
  const cluster = await openCluster(cli.io, options);
  try {
    await run(cluster, createOutput(cli.io, options.output));
  } finally {
    cluster.kube.close();
  }
}
