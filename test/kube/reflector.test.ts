import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { withCluster } from "../support/cluster/cluster.js";
import { eventually } from "../support/eventually.js";
import { adminClient, configMapsOf, reflect } from "./config-maps.js";

describe("a reflector", () => {
  it("tells what is there in one stream, then each change", async () => {
    await withCluster(async (cluster) => {
      const maps = configMapsOf(cluster);
      await maps.put("a", "1");
      await maps.put("b", "1");
      const seen = reflect(cluster);
      await eventually(() => assert.deepEqual(seen.texts(), { a: "1", b: "1" }));
      assert.deepEqual(seen.told.toSorted(), ["+a", "+b", "=2"]);
      await maps.put("a", "2");
      await maps.remove("b");
      await maps.put("c", "1");
      await eventually(() => assert.deepEqual(seen.texts(), { a: "2", c: "1" }));
      assert.deepEqual(seen.told.slice(3), ["+a", "-b", "+c"]);
      const { isSynced, isConnected, streams, lists } = seen.reflector.state();
      assert.deepEqual(
        { isSynced, isConnected, streams, lists },
        { isSynced: true, isConnected: true, streams: 1, lists: 1 },
      );
    });
  });

  it("reads the list in pages from a server without streamed lists", async () => {
    await withCluster(
      async (cluster) => {
        const maps = configMapsOf(cluster);
        const names = Array.from({ length: 1203 }, (_, index) => `map-${index}`);
        for (let at = 0; at < names.length; at += 50) {
          await Promise.all(names.slice(at, at + 50).map((name) => maps.put(name, name)));
        }
        const seen = reflect(cluster);
        await eventually(() => assert.equal(seen.told.at(-1), "=1203"));
        assert.deepEqual(seen.texts(), Object.fromEntries(names.map((name) => [name, name])));
        await maps.put("map-7", "changed");
        await maps.remove("map-8");
        await eventually(() => assert.deepEqual(seen.told.slice(-2), ["+map-7", "-map-8"]));
        assert.equal(seen.texts()["map-7"], "changed");
        assert.equal(seen.reflector.state().lists, 1);
      },
      { apiServerFlags: ["--feature-gates=WatchList=false"] },
    );
  });

  it("goes on where it was when the server was killed: nothing is told twice, and no change is missed", async () => {
    await withCluster(async (cluster) => {
      const maps = configMapsOf(cluster);
      await maps.put("kept", "1");
      await maps.put("removed", "1");
      const seen = reflect(cluster);
      await eventually(() => assert.equal(seen.told.at(-1), "=2"));
      await cluster.killApiServer();
      await eventually(() => assert.equal(seen.reflector.state().isConnected, false));
      assert.match(seen.reflector.state().error?.message ?? "", /ECONNREFUSED|cut off|no answer/);
      assert.deepEqual(seen.texts(), { kept: "1", removed: "1" });
      await cluster.startApiServer();
      await maps.remove("removed");
      await maps.put("new", "1");
      await eventually(() => assert.deepEqual(seen.texts(), { kept: "1", new: "1" }));
      assert.deepEqual(seen.told.slice(3), ["-removed", "+new"]);
      assert.equal(seen.reflector.state().lists, 1);
      assert.equal(seen.reflector.state().error, undefined);
    });
  });

  it("reads the list anew when its version has been compacted away, and then tells what went meanwhile", async () => {
    await withCluster(
      async (cluster) => {
        const maps = configMapsOf(cluster);
        await maps.put("kept", "1");
        await maps.put("removed", "1");
        const seen = reflect(cluster);
        await eventually(() => assert.equal(seen.told.at(-1), "=2"));
        await cluster.killApiServer();
        await cluster.startApiServer({ port: "another" });
        /* The reflector still asks at the old port. */
        await maps.remove("removed");
        await maps.put("new", "1");
        await cluster.compactEtcd();
        await cluster.killApiServer();
        await cluster.startApiServer({ port: Number(new URL(seen.server).port) });
        await eventually(() => assert.equal(seen.reflector.state().lists, 2));
        assert.deepEqual(seen.texts(), { kept: "1", new: "1" });
        assert.equal(seen.told.at(-1), "=2");
      },
      { apiServerFlags: ["--watch-cache=true"] },
    );
  });

  it("asks the next server when one is away", async () => {
    await withCluster(async (cluster) => {
      const maps = configMapsOf(cluster);
      const old = cluster.url;
      await maps.put("a", "1");
      await cluster.killApiServer();
      await cluster.startApiServer({ port: "another" });
      const seen = reflect(cluster, { client: adminClient(cluster, [old, cluster.url]) });
      await eventually(() => assert.deepEqual(seen.texts(), { a: "1" }));
      await maps.put("b", "1");
      await eventually(() => assert.deepEqual(seen.texts(), { a: "1", b: "1" }));
    });
  });

  it("tells nothing after it was closed", async () => {
    await withCluster(async (cluster) => {
      const maps = configMapsOf(cluster);
      const seen = reflect(cluster);
      await eventually(() => assert.equal(seen.told.length > 0, true));
      await seen.reflector.close();
      const before = seen.told.length;
      await maps.put("late", "1");
      assert.equal(seen.told.length, before);
    });
  });
});
