import assert from "node:assert/strict";
import { afterEach, after, before, describe, it } from "node:test";
import { host } from "../lifecycle/world.js";
import { type Cluster, startCluster } from "../support/cluster/cluster.js";
import { type Installed, installChart } from "../support/cluster/install.js";
import { eventually } from "../support/eventually.js";
import { dropFrom, withNodes } from "./node.js";
import { errorsOf, sourceOf } from "./watching.js";

const foe = host(7);
const other = host(8);

let cluster: Cluster;
let installed: Installed;
before(async () => {
  cluster = await startCluster();
  installed = await installChart(cluster);
});
after(() => cluster?.close());
afterEach(() => cluster.kubectl(["delete", "xp", "--all", "--wait=false"]));

const deleteCrds = () =>
  cluster.kubectl(["delete", "crd", "xdppolicies.sluice.dev", "xdpcidrsets.sluice.dev"]);

describe("an agent without the CRDs", () => {
  it("says which it misses and writes nothing; it works as soon as they are installed", async () => {
    await withNodes(cluster, installed, async ({ node }) => {
      const { startAgent, untilPasses, passes, api } = await node("node1");
      await cluster.apply(dropFrom("edge", foe));
      const first = startAgent();
      await first.ready();
      assert.equal(await passes(foe), false);
      await first.end("SIGTERM");
      await deleteCrds();

      const second = startAgent();
      await eventually(async () => {
        const { problems, inSync, source } = await api.call("status");
        assert.deepEqual([inSync, source?.isSynced], [false, false]);
        const missing = problems.filter(({ code }) => code === "SLUICE_KUBE_NOT_FOUND");
        assert.deepEqual(
          missing.map(({ message }) => /does not know the kind (\w+)/.exec(message)?.[1]),
          ["XdpCidrSet", "XdpPolicy"],
        );
        assert.match(missing[0]?.remedy ?? "", /Install the CRDs of this version/);
      });
      assert.equal(await passes(foe), false);

      await cluster.installCrds();
      await second.ready();
      await untilPasses(foe, true);
      await cluster.apply(dropFrom("edge", other));
      await untilPasses(other, false);
      assert.deepEqual(await errorsOf(api), []);
    });
  });

  it("has no policies any more when they go while it runs, and goes on when they are back", async () => {
    await withNodes(cluster, installed, async ({ node }) => {
      const { startAgent, untilPasses, api } = await node("node1");
      await cluster.apply(dropFrom("edge", foe));
      await startAgent().ready();
      await untilPasses(foe, false);
      // The API server deletes all objects of a CRD before the CRD, as if somebody had deleted each of them.
      await deleteCrds();
      await untilPasses(foe, true);
      await eventually(async () => {
        assert.deepEqual(await errorsOf(api), ["SLUICE_KUBE_NOT_FOUND", "SLUICE_KUBE_NOT_FOUND"]);
      });
      const { isConnected, isSynced } = await sourceOf(api);
      assert.deepEqual([isConnected, isSynced], [false, true]);
      await cluster.installCrds();
      await cluster.apply(dropFrom("edge", other));
      await untilPasses(other, false);
      await eventually(async () => assert.deepEqual(await errorsOf(api), []), 20_000);
    });
  });
});
