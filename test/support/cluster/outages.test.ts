import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { KubeObject } from "./apply.js";
import { withCluster } from "./cluster.js";

const settings = "/api/v1/namespaces/default/configmaps";

function configMap(name: string): KubeObject {
  return { apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace: "default" } };
}

test("a killed API server comes back with its data, on the same port or another", async () => {
  await withCluster(async (cluster) => {
    await cluster.apply(configMap("kept"));
    const { url } = cluster;
    await cluster.killApiServer();
    await assert.rejects(cluster.get(settings), /ECONNREFUSED|ECONNRESET|socket hang up/);
    await cluster.startApiServer();
    assert.equal(cluster.url, url);
    await cluster.get(`${settings}/kept`);

    await cluster.killApiServer();
    await cluster.startApiServer({ port: "another" });
    assert.notEqual(cluster.url, url);
    await cluster.get(`${settings}/kept`);
    assert.match(await cluster.kubectl(["get", "configmaps"]), /kept/);
  });
});

test("after a compaction an old revision is gone", async () => {
  await withCluster(async (cluster) => {
    const [first] = await cluster.apply(configMap("first"));
    await cluster.apply(configMap("second"));
    const old = String(first?.metadata["resourceVersion"]);
    const list = `${settings}?resourceVersion=${old}&resourceVersionMatch=Exact&limit=1`;
    const watch = `${settings}?watch=true&resourceVersion=${old}&timeoutSeconds=1`;
    assert.equal((await cluster.rest.send({ path: list })).status, 200);
    assert.match((await cluster.rest.send({ path: watch })).text, /"ADDED".*second/);

    assert.ok((await cluster.compactEtcd()) > Number(old));
    await cluster.killApiServer();
    await cluster.startApiServer();
    assert.equal((await cluster.rest.send({ path: list })).status, 410);
    assert.match((await cluster.rest.send({ path: watch })).text, /"code":410/);
  });
});

test("flags of the API server may be given: a server without WatchList", async () => {
  const path = `${settings}?watch=true&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan&timeoutSeconds=1`;
  await withCluster(async (cluster) => {
    assert.match((await cluster.rest.send({ path })).text, /k8s\.io\/initial-events-end/);
  });
  await withCluster(
    async (cluster) => {
      const { status, text } = await cluster.rest.send({ path });
      assert.equal(status, 422);
      assert.match(text, /sendInitialEvents is forbidden/);
    },
    { apiServerFlags: ["--feature-gates=WatchList=false"] },
  );
});

test("a killed test process leaves no server, and its folder goes with the next cluster", async () => {
  const cluster = new URL("./cluster.js", import.meta.url).href;
  const script = `
    import { execFileSync } from "node:child_process";
    import { startCluster } from ${JSON.stringify(cluster)};
    const { folder } = await startCluster();
    const pids = execFileSync("pgrep", ["-P", process.pid], { encoding: "utf8" });
    console.log(JSON.stringify({ folder, pids: pids.trim().split("\\n") }));
    setInterval(() => undefined, 1000);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    const [line] = (await once(child.stdout.setEncoding("utf8"), "data")) as [string];
    const { folder, pids } = JSON.parse(line) as { folder: string; pids: readonly string[] };
    const servers = pids.filter((pid) => isServer(pid));
    assert.equal(servers.length, 2);
    child.kill("SIGKILL");
    await once(child, "close");
    for (let tries = 0; servers.some(isServer) && tries < 500; tries++) await sleep(10);
    assert.deepEqual(servers.filter(isServer), []);
    assert.ok(existsSync(folder));
    await withCluster(async () => assert.ok(!existsSync(folder)));
  } finally {
    child.kill("SIGKILL");
  }
});

function isServer(pid: string): boolean {
  try {
    return /etcd|kube-apiserver/.test(readFileSync(`/proc/${pid}/cmdline`, "utf8"));
  } catch {
    return false;
  }
}
