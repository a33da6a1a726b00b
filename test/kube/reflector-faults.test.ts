import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { KubeClient } from "../../operator/kube/client.js";
import { createKubeClient } from "../../operator/kube/http-client.js";
import { openServiceAccount } from "../../operator/kube/service-account.js";
import { type Cluster, withCluster } from "../support/cluster/cluster.js";
import { type FaultProxy, startFaultProxy } from "../support/cluster/fault-proxy.js";
import { eventually } from "../support/eventually.js";
import { configMapsOf, reflect } from "./config-maps.js";

/** A client that asks through a proxy; it may read ConfigMaps. */
async function clientThrough(cluster: Cluster, proxy: FaultProxy): Promise<KubeClient> {
  const { folder } = await cluster.agentAccount("proxied");
  const reads = ["--verb=get,list,watch", "--resource=configmaps"];
  await cluster.kubectl(["create", "clusterrole", "reader", ...reads]);
  const subject = "--serviceaccount=sluice-system:sluice-agent";
  await cluster.kubectl(["create", "clusterrolebinding", "r", "--clusterrole=reader", subject]);
  const connection = await openServiceAccount(folder, { servers: [proxy.url] });
  const client = createKubeClient(connection, { userAgent: "sluice-test" });
  cluster.onClose(() => client.close());
  return client;
}

describe("a reflector whose server", () => {
  it("falls silent takes the stream for dead, and goes on where it was on another", async () => {
    await withCluster(async (cluster) => {
      const maps = configMapsOf(cluster);
      const proxy = await startFaultProxy(cluster);
      await maps.put("a", "1");
      const client = await clientThrough(cluster, proxy);
      const seen = reflect(cluster, { client, silenceMs: 1500 });
      await eventually(() => assert.deepEqual(seen.texts(), { a: "1" }));
      proxy.fail({ kind: "freeze" });
      await maps.put("a", "2");
      await eventually(() => {
        const { error, isConnected } = seen.reflector.state();
        assert.equal(isConnected, false);
        assert.equal(error?.code, "SLUICE_KUBE_SILENT");
        assert.match(error.problem, /configmaps was silent for 1.5 s/);
      });
      assert.deepEqual(seen.texts(), { a: "1" });
      proxy.heal();
      await eventually(() => assert.deepEqual(seen.texts(), { a: "2" }));
      assert.equal(seen.reflector.state().lists, 1);
    });
  });

  it("cuts a page of the list begins the list anew, and tells nothing as gone by half of it", async () => {
    await withCluster(
      async (cluster) => {
        const maps = configMapsOf(cluster);
        const proxy = await startFaultProxy(cluster);
        const names = Array.from({ length: 620 }, (_, index) => `map-${index}`);
        for (let at = 0; at < names.length; at += 50) {
          await Promise.all(names.slice(at, at + 50).map((name) => maps.put(name, name)));
        }
        const client = await clientThrough(cluster, proxy);
        const secondPage = { path: /configmaps\?.*continue=/ };
        proxy.fail({ kind: "cut", afterBytes: 20_000 }, secondPage);
        const seen = reflect(cluster, { client });
        await eventually(() => assert.ok(proxy.count(secondPage) >= 2));
        await eventually(() => {
          assert.match(seen.reflector.state().error?.problem ?? "", /configmaps was cut off/);
        });
        assert.equal(seen.reflector.state().isSynced, false);
        assert.equal(
          seen.told.some((what) => what.startsWith("=")),
          false,
        );
        proxy.heal();
        await eventually(() => assert.equal(seen.told.at(-1), "=620"));
        assert.deepEqual(seen.texts(), Object.fromEntries(names.map((name) => [name, name])));
      },
      { apiServerFlags: ["--feature-gates=WatchList=false"] },
    );
  });
});
