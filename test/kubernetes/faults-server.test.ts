import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import { friend, host } from "../lifecycle/world.js";
import { type Cluster, startCluster } from "../support/cluster/cluster.js";
import { type FaultProxy, startFaultProxy } from "../support/cluster/fault-proxy.js";
import { type Installed, installChart } from "../support/cluster/install.js";
import { freePort } from "../support/cluster/servers.js";
import { openTunnel } from "../support/cluster/tunnel.js";
import { eventually } from "../support/eventually.js";
import { dropFrom, withNodes } from "./node.js";
import { errorsOf, gapsOf, keepSending, policyWatches, sourceOf } from "./watching.js";

const foe = host(7);
const other = host(8);
/** The longer a server takes to start, the later the next try. */
const afterRestart = (check: () => Promise<void>) => eventually(check, 40_000);

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
  proxy.heal();
  proxy.forget();
  await cluster.kubectl(["delete", "xp", "--all", "--wait=false"]);
});

describe("an agent whose API server", () => {
  it("goes is served by the next address, and by the first again when that one goes", async () => {
    await withNodes(cluster, installed, async ({ node }) => {
      const first = Number(new URL(cluster.url).port);
      const second = await freePort();
      const at = (port: number) => () => `https://127.0.0.1:${port}`;
      const { startAgent, untilPasses, passes, api, ...world } = await node("node1", at(first));
      const next = await openTunnel(cluster, world.node, { port: 6444, to: at(second) });
      await cluster.apply(dropFrom("edge", foe));
      const servers = `${world.tunnel.endpoint},${next.endpoint}`;
      const agent = startAgent({ flags: { "api-server": servers } });
      await agent.ready();
      assert.equal((await sourceOf(api)).from, "https://127.0.0.1:6443");
      assert.equal(await passes(foe), false);

      await cluster.killApiServer();
      await cluster.startApiServer({ port: second });
      await cluster.apply(dropFrom("other", other));
      await afterRestart(() => untilPasses(other, false));
      assert.equal((await sourceOf(api)).from, "https://127.0.0.1:6444");
      await cluster.killApiServer();
      await cluster.startApiServer({ port: first });
      await cluster.kubectl(["delete", "xp", "edge"]);
      await afterRestart(() => untilPasses(foe, true));
      await eventually(async () => {
        const { from, isConnected } = await sourceOf(api);
        assert.deepEqual([from, isConnected], ["https://127.0.0.1:6443", true]);
      });
      assert.equal(await passes(other), false);
      assert.match(agent.log(), /the next server is asked/);
      await next.close();
    });
  });

  it("answers after 10 s reads all of it, and hears of changes without that delay", async () => {
    await withNodes(cluster, installed, async ({ node }) => {
      const { startAgent, untilPasses, passes, api } = await node("node1", () => proxy.url);
      await cluster.apply(dropFrom("edge", foe));
      proxy.fail({ kind: "delay", ms: 10_000 });
      const begunMs = performance.now();
      await startAgent().ready();
      assert.ok(performance.now() - begunMs > 10_000);
      assert.equal(await passes(foe), false);
      await cluster.apply(dropFrom("other", other));
      await untilPasses(other, false);
      const { kinds } = await sourceOf(api);
      assert.deepEqual(
        kinds.map(({ streams }) => streams),
        kinds.map(() => 1),
      );
    });
  });

  it("answers 429 with Retry-After is left alone for that long", async () => {
    await withNodes(cluster, installed, async ({ node }) => {
      const { startAgent, untilPasses, passes, api } = await node("node1", () => proxy.url);
      await cluster.apply(dropFrom("edge", foe));
      await startAgent().ready();
      assert.equal(await passes(foe), false);
      proxy.fail({ kind: "answer", status: 429, retryAfterSeconds: 3 });
      proxy.forget();
      proxy.dropConnections();
      await eventually(() => assert.ok(proxy.count(policyWatches) >= 3), 20_000);
      const gaps = gapsOf(proxy, policyWatches);
      /* The first failure is that of the connection, which asked for no delay. */
      assert.ok(
        gaps.every((gapMs) => gapMs >= 3000),
        String(gaps),
      );
      const { errors, isConnected } = await sourceOf(api);
      assert.equal(isConnected, false);
      assert.match(errors.join("\n"), /answered with 429/);
      assert.equal(await passes(foe), false);
      await cluster.apply(dropFrom("other", other));
      proxy.heal();
      await untilPasses(other, false);
      assert.equal(await passes(foe), false);
    });
  });

  it("answers 500 is asked at longer and longer intervals, while the last state stays in force", async () => {
    await withNodes(cluster, installed, async ({ node }) => {
      const { startAgent, untilPasses, passes, problems, api } = await node(
        "node1",
        () => proxy.url,
      );
      await cluster.apply(dropFrom("edge", foe));
      await startAgent().ready();
      proxy.fail({ kind: "answer", status: 500 });
      proxy.forget();
      proxy.dropConnections();
      await eventually(() => assert.ok(proxy.count(policyWatches) >= 4), 20_000);
      /* After the lost connection, twice as long after each failure, give or take half of it. */
      for (const [index, gapMs] of gapsOf(proxy, policyWatches).entries()) {
        assert.ok(gapMs >= 500 * 2 ** index, `gap ${index}: ${gapMs} ms`);
      }
      const { problems: all } = await api.call("status");
      const problem = all.find(({ code }) => code === "SLUICE_KUBE_FAILED");
      assert.match(problem?.message ?? "", /answered with 500.*stays in force/);
      assert.deepEqual(await problems("edge"), []);
      assert.equal(await passes(foe), false);
      proxy.heal();
      await cluster.kubectl(["delete", "xp", "edge"]);
      await untilPasses(foe, true);
      await eventually(async () => {
        assert.deepEqual(await errorsOf(api), []);
      }, 20_000);
    });
  });

  it("cuts the first list makes it write nothing by half of it", async () => {
    await withNodes(cluster, installed, async ({ node }) => {
      const { startAgent, untilPasses, passes, api } = await node("node1", () => proxy.url);
      await cluster.apply(dropFrom("a", foe));
      await cluster.apply(dropFrom("b", other));
      const first = startAgent();
      await first.ready();
      await first.end("SIGTERM");
      /* Behind the first of both policies, before the end of the second. */
      const [a] = await readEvents(cluster);
      proxy.fail({ kind: "cut", afterBytes: Buffer.byteLength(a ?? "") + 50 }, policyWatches);
      proxy.forget();
      const second = startAgent();
      await eventually(() => assert.ok(proxy.count(policyWatches) >= 3), 20_000);
      const { inSync, source } = await api.call("status");
      assert.deepEqual([inSync, source?.isSynced], [false, false]);
      const kind = source?.kinds.find(({ kind }) => kind === "XdpPolicy");
      assert.deepEqual([kind?.lists, kind?.isSynced], [0, false]);
      assert.match(source?.errors.join("\n") ?? "", /cut off/);
      assert.deepEqual([await passes(foe), await passes(other)], [false, false]);
      proxy.heal();
      await second.ready();
      assert.deepEqual([await passes(foe), await passes(other)], [false, false]);
      await cluster.kubectl(["delete", "xp", "a"]);
      await untilPasses(foe, true);
    });
  });

  it("cuts a watch in the middle of a line makes it miss nothing", async () => {
    await withNodes(cluster, installed, async ({ node }) => {
      const { startAgent, untilPasses, passes, api } = await node("node1", () => proxy.url);
      await cluster.apply(dropFrom("edge", foe));
      await startAgent().ready();
      proxy.fail({ kind: "cut", afterBytes: 100 }, policyWatches);
      proxy.dropConnections();
      await eventually(async () => assert.equal((await sourceOf(api)).isConnected, true));
      await cluster.apply(dropFrom("other", other));
      await cluster.kubectl(["delete", "xp", "edge"]);
      await eventually(async () => {
        assert.match((await sourceOf(api)).errors.join("\n"), /xdppolicies was cut off/);
      });
      assert.deepEqual([await passes(foe), await passes(other)], [false, true]);
      proxy.heal();
      await untilPasses(other, false);
      await untilPasses(foe, true);
      const kind = (await sourceOf(api)).kinds.find(({ kind }) => kind === "XdpPolicy");
      assert.equal(kind?.lists, 1);
    });
  });

  it("was compacted while the agent was away: what stayed never flaps, what went goes", async () => {
    await withNodes(cluster, installed, async ({ node }) => {
      const port = Number(new URL(cluster.url).port);
      const world = await node("node1", () => proxy.url);
      const { startAgent, untilPasses, passes, api } = world;
      await cluster.apply(dropFrom("stays", foe));
      await cluster.apply(dropFrom("goes", other));
      await startAgent().ready();
      assert.deepEqual([await passes(foe), await passes(other)], [false, false]);
      const sending = await keepSending(world, foe);
      try {
        proxy.fail({ kind: "drop" });
        proxy.dropConnections();
        await cluster.kubectl(["delete", "xp", "goes"]);
        await cluster.compactEtcd();
        await cluster.killApiServer();
        await cluster.startApiServer({ port });
        proxy.heal();
        await afterRestart(() => untilPasses(other, true));
      } finally {
        const { sent, passed } = await sending.end();
        assert.ok(sent > 20, String(sent));
        assert.equal(passed, 0);
      }
      const kind = (await sourceOf(api)).kinds.find(({ kind }) => kind === "XdpPolicy");
      assert.equal(kind?.lists, 2);
      assert.equal(await passes(friend), true);
    });
  });
});

/** Lines of a watch of policies that begins with all of them. */
async function readEvents({ rest }: Cluster): Promise<readonly string[]> {
  const query =
    "watch=1&allowWatchBookmarks=true&timeoutSeconds=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
  const { text } = await rest.send({ path: `/apis/sluice.dev/v1alpha1/xdppolicies?${query}` });
  return text.split("\n");
}
