import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { friend, host } from "../lifecycle/world.js";
import { eventually } from "../support/eventually.js";
import { dropFrom, withClusterLab } from "./node.js";

const foe = host(7);

describe("an agent fed by the API server", () => {
  it("drops what a policy applied with kubectl says, until the policy is deleted", async () => {
    await withClusterLab(async ({ cluster, node }) => {
      const { startAgent, untilPasses, passes, rule } = await node("node1");
      await startAgent().ready();
      assert.equal(await passes(foe), true);
      await cluster.kubectl(["apply", "-f", "-"], { input: dropFrom("edge", foe) });
      await untilPasses(foe, false);
      assert.equal(await passes(friend), true);
      assert.equal((await rule("edge", "drop")).matched.packets > 0, true);
      await cluster.kubectl(["delete", "xp", "edge"]);
      await untilPasses(foe, true);
    });
  });

  it("follows the labels of its node", async () => {
    await withClusterLab(async ({ cluster, node }) => {
      const { startAgent, untilPasses } = await node("node1");
      await cluster.apply(dropFrom("edge", foe, "nodeSelector: {matchLabels: {role: edge}}"));
      await startAgent().ready();
      await untilPasses(foe, true);
      await cluster.kubectl(["label", "node", "node1", "role=edge"]);
      await untilPasses(foe, false);
      await cluster.kubectl(["label", "node", "node1", "role-"]);
      await untilPasses(foe, true);
    });
  });

  it("keeps the last state in force while the server is away, and catches up afterwards", async () => {
    await withClusterLab(async ({ cluster, node }) => {
      const { startAgent, untilPasses, passes, api } = await node("node1");
      const other = host(8);
      await cluster.apply(dropFrom("edge", foe));
      await cluster.apply(dropFrom("other", other));
      await startAgent().ready();
      await untilPasses(foe, false);
      await cluster.killApiServer();
      await eventually(async () => {
        const { source } = await api.call("status");
        assert.equal(source?.isConnected, false);
        assert.notEqual(source?.errors.length, 0);
      });
      assert.equal(await passes(foe), false);
      await cluster.startApiServer({ port: "another" });
      await cluster.kubectl(["delete", "xp", "edge"]);
      await untilPasses(foe, true);
      assert.equal(await passes(other), false);
    });
  });

  it("waits for the server before it writes: what an agent before it left stays in force", async () => {
    await withClusterLab(async ({ cluster, node }) => {
      const { startAgent, untilPasses, passes, api } = await node("node1");
      await cluster.apply(dropFrom("edge", foe));
      const first = startAgent();
      await first.ready();
      await untilPasses(foe, false);
      await first.end("SIGTERM");
      await cluster.killApiServer();
      const second = startAgent();
      await eventually(async () => {
        const { inSync, source } = await api.call("status");
        assert.deepEqual([inSync, source?.isSynced], [false, false]);
      });
      assert.equal(await passes(foe), false);
      await cluster.startApiServer();
      await second.ready();
      await untilPasses(foe, false);
    });
  });
});
