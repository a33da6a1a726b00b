import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import pino from "pino";
import { createKubeClient } from "../../operator/kube/http-client.js";
import { openServiceAccount } from "../../operator/kube/service-account.js";
import { systemClock } from "../../operator/status/clock.js";
import { LeaseCandidate } from "../../operator/status/lease.js";
import { OrphanSweep } from "../../operator/status/orphans.js";
import { ManualClock } from "../status/manual-clock.js";
import { type Cluster, startCluster } from "../support/cluster/cluster.js";
import { type Installed, installChart } from "../support/cluster/install.js";
import { eventually } from "../support/eventually.js";
import { adminClient } from "../kube/config-maps.js";
import { leaseHolder } from "./reported.js";

const leases = "/apis/coordination.k8s.io/v1/namespaces/sluice-system/leases";
const datapaths = "/apis/sluice.dev/v1alpha1/nodedatapaths";
const log = pino({ level: "silent" });

let cluster: Cluster;
let installed: Installed;
before(async () => {
  cluster = await startCluster();
  installed = await installChart(cluster);
});
after(() => cluster?.close());

/** An agent on another node, whose clock is wrong: writes the lease as often as a leader does, until it is stopped. */
async function startHolder(name: string, skewMs: number): Promise<{ stop(): Promise<void> }> {
  const now = () => new Date(Date.now() + skewMs).toISOString().replace("Z", "000Z");
  const spec = () => ({
    holderIdentity: "elsewhere",
    leaseDurationSeconds: 15,
    acquireTime: now(),
    renewTime: now(),
    leaseTransitions: 3,
  });
  const metadata = { name, namespace: "sluice-system" };
  const lease = { apiVersion: "coordination.k8s.io/v1", kind: "Lease", metadata };
  await cluster.request({ method: "POST", path: leases, body: { ...lease, spec: spec() } });
  const stopping = new AbortController();
  const running = (async () => {
    for (;;) {
      await sleep(1000);
      if (stopping.signal.aborted) return;
      await cluster.request({
        method: "PATCH",
        path: `${leases}/${name}`,
        contentType: "application/merge-patch+json",
        body: { spec: { renewTime: now() } },
      });
    }
  })();
  return {
    stop: () => {
      stopping.abort();
      return running;
    },
  };
}

/* Each has a lease of its own, so that they may wait side by side. */
describe("a lease whose holder's clock", { concurrency: true }, () => {
  for (const [what, name, skewMs] of [
    ["is an hour behind", "behind", -3_600_000],
    ["is an hour ahead", "ahead", 3_600_000],
  ] as const) {
    it(`${what} is left to it as long as it renews, and taken when it falls silent`, async () => {
      const holder = await startHolder(name, skewMs);
      let terms = 0;
      const candidate = new LeaseCandidate({
        client: adminClient(cluster),
        namespace: "sluice-system",
        name,
        identity: "node1_here",
        candidateCount: () => 2,
        lead: () => void terms++,
        clock: systemClock,
        log,
      });
      candidate.start();
      try {
        /* Longer than the lease lasts. */
        await sleep(17_000);
        assert.deepEqual([terms, await leaseHolder(cluster, name)], [0, "elsewhere"]);
        await holder.stop();
        const silentSinceMs = performance.now();
        await eventually(() => assert.equal(terms, 1), 25_000);
        assert.ok(performance.now() - silentSinceMs > 13_000);
        assert.equal(await leaseHolder(cluster, name), "node1_here");
      } finally {
        await holder.stop();
        await candidate.close();
      }
      assert.equal(await leaseHolder(cluster, name), "");
    });
  }
});

describe("the report of a node that was removed", () => {
  it("is deleted by the leader after a minute, unless the node comes back before", async () => {
    const { folder } = await installed.account("node1");
    const connection = await openServiceAccount(folder, { servers: [cluster.url] });
    const client = createKubeClient(connection, { userAgent: "sluice-test" });
    cluster.onClose(() => client.close());
    const clock = new ManualClock();
    const nodes = new Map([["node1", {}]]);
    for (const name of ["node1", "gone", "again", "unseen"]) {
      await cluster.apply(
        `{apiVersion: sluice.dev/v1alpha1, kind: NodeDatapath, metadata: {name: ${name}}}`,
      );
    }
    /* The watch of nodes has not told of this one yet. */
    await cluster.createNode("unseen");
    const sweep = new OrphanSweep({ client, clock, log, nodes });
    const exists = async (name: string) =>
      (await cluster.rest.send({ path: `${datapaths}/${name}` })).status === 200;
    try {
      sweep.start(() => ["node1", "gone", "again", "unseen"]);
      await clock.advance(45_000);
      nodes.set("again", {});
      assert.equal(await exists("gone"), true);
      await eventually(async () => {
        await clock.advance(1000);
        assert.equal(await exists("gone"), false);
      });
      for (const name of ["node1", "again", "unseen"]) assert.equal(await exists(name), true);
    } finally {
      sweep.close();
    }
  });
});
