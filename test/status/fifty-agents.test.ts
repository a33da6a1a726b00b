import assert from "node:assert/strict";
import { it } from "node:test";
import type { PolicyStatus } from "../../operator/status/fold.js";
import { withCluster } from "../support/cluster/cluster.js";
import { installChart } from "../support/cluster/install.js";
import { eventually as eventuallySoon } from "../support/eventually.js";
import { type PaperAgent, startPaperAgent } from "./paper-agent.js";

const nodeCount = 50;
const eventually = (check: () => void | Promise<void>) => eventuallySoon(check, 60_000);

interface Count {
  /** Writes of NodeDatapaths by agent, those that made none left out. */
  readonly nodeWrites: Readonly<Record<string, number>>;
  /** Writes of policy status, by whoever leads. */
  readonly policyWrites: number;
  readonly events: number;
  /** Looks at the Lease per second. */
  readonly leaseLooks: number;
  /** Events that each agent's watches brought: the least and the most. */
  readonly watched: readonly [least: number, most: number];
}

/** Counts what all agents do from now on, until it is called. */
function counting(agents: readonly PaperAgent[]): () => Count {
  const before = agents.map((agent) => ({
    calls: agent.calls.length,
    watched: agent.watched(),
  }));
  const sinceMs = performance.now();
  const looksBefore = leaseLooks(agents);
  return () => {
    const seconds = (performance.now() - sinceMs) / 1000;
    const made = agents.map(({ node, calls }, index) => ({
      node,
      paths: calls
        .slice(before[index]?.calls)
        .flatMap(({ method = "GET", path }) => (method === "GET" ? [] : path)),
    }));
    const all = made.flatMap(({ paths }) => paths);
    const watched = agents.map((agent, index) => agent.watched() - (before[index]?.watched ?? 0));
    const nodeWrites = made
      .map(({ node, paths }) => [node, paths.filter(isNodeDatapath).length] as const)
      .filter(([, writes]) => writes > 0);
    return {
      nodeWrites: Object.fromEntries(nodeWrites),
      policyWrites: all.filter((path) => path.includes("/xdppolicies/")).length,
      events: all.filter((path) => path.includes("/events")).length,
      leaseLooks: (leaseLooks(agents) - looksBefore) / seconds,
      watched: [Math.min(...watched), Math.max(...watched)],
    };
  };
}

function leaseLooks(agents: readonly PaperAgent[]): number {
  const looks = agents.map(
    ({ calls }) =>
      calls.filter(({ method = "GET", path }) => method === "GET" && path.includes("/leases"))
        .length,
  );
  return looks.reduce((sum, count) => sum + count, 0);
}

function isNodeDatapath(path: string): boolean {
  return path.includes("/nodedatapaths/");
}

const policy = (mode: string) => `{apiVersion: sluice.dev/v1alpha1, kind: XdpPolicy,
  metadata: {name: edge}, spec: {priority: 10, mode: ${mode}, ingress: [{name: all, action: Drop}]}}`;

it("with 50 agents, what one node writes wakes no other; figures of docs/scale.md", async (test) => {
  await withCluster(async (cluster) => {
    const installed = await installChart(cluster);
    await cluster.apply(policy("Enforce"));
    const names = Array.from({ length: nodeCount }, (_, index) => `node-${index}`);
    for (const name of names) await installed.account(name);
    const agents: PaperAgent[] = [];
    for (const name of names) agents.push(await startPaperAgent(cluster, installed, name));
    const untilStatus = (check: (status: PolicyStatus) => void) =>
      eventually(async () => {
        const path = "/apis/sluice.dev/v1alpha1/xdppolicies/edge";
        const { status } = await cluster.get<{ status?: PolicyStatus }>(path);
        assert.ok(status);
        check(status);
      });
    await untilStatus(({ enforcing }) => assert.equal(enforcing, "50/50"));
    assert.equal(agents.filter(({ reporting }) => reporting.isLeading).length, 1);
    await quiet(agents);

    const chosen = agents.find(({ reporting }) => !reporting.isLeading);
    assert.ok(chosen);

    const own = counting(agents);
    chosen.change({ tables: [{ name: "rules", used: 100, capacity: 4096 }] });
    await eventually(() => assert.equal(own().nodeWrites[chosen.node], 1));
    await quiet(agents);
    const { leaseLooks, ...quietly } = own();
    assert.ok(leaseLooks <= 25 * 1.25, `${leaseLooks} looks at the Lease per second`);
    assert.deepEqual(quietly, {
      nodeWrites: { [chosen.node]: 1 },
      policyWrites: 0,
      events: 0,
      watched: [0, 0],
    });
    test.diagnostic(`one node's table: ${JSON.stringify(own())}`);

    const refusal = counting(agents);
    chosen.say("edge", {
      inForce: false,
      problems: [
        {
          severity: "error",
          code: "SLUICE_TOO_MANY_RULES",
          origin: { source: "api" },
          message: "does not fit",
          remedy: "Use fewer rules",
        },
      ],
    });
    await untilStatus(({ nodes }) => assert.equal(nodes?.failing, 1));
    await quiet(agents);
    // The policy's own status is what every agent watches: one event each, whatever number of nodes changed.
    const { leaseLooks: _, ...refused } = refusal();
    assert.deepEqual(refused, {
      nodeWrites: { [chosen.node]: 1 },
      policyWrites: 1,
      events: 2,
      watched: [1, 1],
    });
    test.diagnostic(`one node refuses a policy: ${JSON.stringify(refusal())}`);

    const edit = counting(agents);
    chosen.say("edge", {});
    const editedMs = performance.now();
    await cluster.apply(policy("Audit"));
    await untilStatus(({ enforcing, observedGeneration }) =>
      assert.deepEqual([enforcing, observedGeneration], ["50/50", 2]),
    );
    await quiet(agents);
    const { nodeWrites, policyWrites, watched } = edit();
    // One at once, one more within 2 s, then one in 10 s: a slow machine takes longer until all have reported.
    const mostWrites = 3 + Math.ceil((performance.now() - editedMs) / 10_000);
    assert.equal(Object.keys(nodeWrites).length, nodeCount);
    assert.ok(
      Object.values(nodeWrites).every((writes) => writes <= 2),
      JSON.stringify(nodeWrites),
    );
    assert.ok(
      policyWrites >= 1 && policyWrites <= mostWrites,
      `${policyWrites} writes of the status`,
    );
    // The edit itself, and each write of the status.
    assert.deepEqual(watched, [1 + policyWrites, 1 + policyWrites]);
    const total = Object.values(nodeWrites).reduce((sum, writes) => sum + writes, 0);
    test.diagnostic(`a policy edited: ${total} NodeDatapath writes, ${policyWrites} status writes`);
  });
});

/** Waits until nothing but the lease moved for longer than two reports of a node are apart. */
async function quiet(agents: readonly PaperAgent[]): Promise<void> {
  let count = counting(agents);
  let sinceMs = performance.now();
  await eventually(() => {
    const { nodeWrites, policyWrites, events, watched } = count();
    if (Object.keys(nodeWrites).length + policyWrites + events + watched[1] > 0) {
      count = counting(agents);
      sinceMs = performance.now();
    }
    assert.ok(performance.now() - sinceMs > 11_000);
  });
}
