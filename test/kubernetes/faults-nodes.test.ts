import assert from "node:assert/strict";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { host } from "../lifecycle/world.js";
import { type Cluster, startCluster } from "../support/cluster/cluster.js";
import { type FaultProxy, startFaultProxy } from "../support/cluster/fault-proxy.js";
import { type Installed, installChart } from "../support/cluster/install.js";
import { eventually } from "../support/eventually.js";
import { dropFrom, withNodes } from "./node.js";
import { conditionOf, leaseHolder, nodeDatapath, policyStatus } from "./reported.js";
import { errorsOf } from "./watching.js";

const foe = host(7);
const other = host(8);
const reportMs = 30_000;
const datapaths = "/apis/sluice.dev/v1alpha1/nodedatapaths";

let cluster: Cluster;
let installed: Installed;
let proxy: FaultProxy;
before(async () => {
  cluster = await startCluster();
  installed = await installChart(cluster);
  proxy = await startFaultProxy(cluster);
});
after(() => cluster?.close());
afterEach(async () => {
  proxy.forget();
  await cluster.kubectl(["delete", "xp", "--all", "--wait=false"]);
  await cluster.kubectl(["delete", "node,ndp", "--all"]);
});

describe("two agents on one node", () => {
  it("cannot share their pins: the second says so and ends, the first goes on", async () => {
    await withNodes(cluster, installed, async ({ node }) => {
      const { startAgent, untilPasses } = await node("node1");
      await startAgent().ready();
      const second = startAgent();
      assert.equal(await second.exited, 1);
      assert.match(second.log(), /SLUICE_AGENT_RUNNING/);
      assert.match(second.log(), /another agent runs on/);
      assert.match(second.log(), /give this one its own --pin-root/);
      await cluster.apply(dropFrom("edge", foe));
      await untilPasses(foe, false);
    });
  });

  it("with pins of their own do not fight over the node's report", async () => {
    await withNodes(cluster, installed, async ({ node }) => {
      const { startAgent, untilPasses, folder, pinRoot } = await node("node1", () => proxy.url);
      await startAgent().ready();
      const second = startAgent({
        flags: {
          "pin-root": `${pinRoot}/second`,
          "state-folder": join(folder, "second"),
          socket: join(folder, "second.sock"),
        },
      });
      await eventually(() => assert.match(second.log(), /"watching"/), 20_000);
      await cluster.apply(dropFrom("edge", foe));
      await untilPasses(foe, false);
      await eventually(async () => {
        assert.equal((await nodeDatapath(cluster, "node1")).policies?.length, 1);
      }, reportMs);
      proxy.forget();
      await sleep(25_000);
      const writes = { method: "PATCH", path: /\/nodedatapaths\/node1/ };
      assert.ok(proxy.count(writes) <= 4, `${proxy.count(writes)} writes`);
    });
  });
});

describe("a leader that is killed", () => {
  it("is followed by another agent, which keeps the status of policies right", async () => {
    await withNodes(cluster, installed, async ({ node }) => {
      const nodes = [await node("node1"), await node("node2")] as const;
      const agents = nodes.map(({ startAgent }) => startAgent());
      for (const agent of agents) await agent.ready();
      await cluster.apply(dropFrom("edge", foe));
      await eventually(async () => {
        assert.equal((await policyStatus(cluster, "edge")).enforcing, "2/2");
      }, reportMs);
      const leader = (await leaseHolder(cluster)).startsWith("node1_") ? 0 : 1;
      const follower = nodes[1 - leader];
      await agents[leader]?.end("SIGKILL");
      await eventually(async () => {
        assert.match(await leaseHolder(cluster), new RegExp(`^node${2 - leader}_`));
      }, 35_000);
      /* What the kernel enforces outlives the agent: the node without one counts by its last report. */
      await cluster.apply(dropFrom("edge", other));
      await follower?.untilPasses(other, false);
      await eventually(async () => {
        const status = await policyStatus(cluster, "edge");
        assert.deepEqual([status.observedGeneration, status.enforcing], [2, "1/2"]);
        assert.match(conditionOf(status, "Enforced")?.message ?? "", /1 with an older generation/);
      }, reportMs);
      assert.equal(await nodes[leader]?.passes(foe), false);
    });
  });
});

describe("a Node that is deleted while its agent runs", () => {
  it("leaves its policies in force, and its report is not made anew until it is back", async () => {
    await withNodes(cluster, installed, async ({ node }) => {
      const { startAgent, untilPasses, passes, api, problems } = await node(
        "node1",
        () => proxy.url,
      );
      await cluster.kubectl(["label", "node", "node1", "role=edge"]);
      await cluster.apply(dropFrom("edge", foe, "nodeSelector: {matchLabels: {role: edge}}"));
      await startAgent().ready();
      assert.equal(await passes(foe), false);
      await eventually(async () => {
        assert.equal((await nodeDatapath(cluster, "node1")).attached, "1/1");
      }, reportMs);

      await cluster.kubectl(["delete", "node", "node1"]);
      /* As the garbage collector does, of which there is none here. */
      await cluster.kubectl(["delete", "ndp", "node1"]);
      await eventually(async () => {
        const [problem] = await problems("node1");
        assert.equal(problem?.code, "SLUICE_NO_NODE");
        assert.match(problem.message, /labels it last had/);
      });
      proxy.forget();
      await cluster.apply(dropFrom("later", other));
      await untilPasses(other, false);
      assert.equal(await passes(foe), false);
      await sleep(15_000);
      assert.equal((await cluster.rest.send({ path: `${datapaths}/node1` })).status, 404);
      const tries = proxy.count({ method: "PATCH", path: /\/nodedatapaths\/node1/ });
      assert.ok(tries >= 1 && tries <= 6, `${tries} tries`);

      await cluster.createNode("node1", { labels: { role: "edge" } });
      await eventually(async () => assert.deepEqual(await errorsOf(api), []));
      assert.equal(await passes(foe), false);
      await eventually(async () => {
        const { policies } = await nodeDatapath(cluster, "node1");
        assert.deepEqual(
          policies?.map(({ name }) => name),
          ["edge", "later"],
        );
      }, 45_000);
    });
  });
});
