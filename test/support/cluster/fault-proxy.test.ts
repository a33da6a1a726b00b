import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { Agent, type RequestOptions, get } from "node:https";
import type { IncomingMessage } from "node:http";
import { after, afterEach, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { AgentAccount } from "./agent-account.js";
import { issue } from "./certificates.js";
import { type Cluster, startCluster } from "./cluster.js";
import { type FaultProxy, startFaultProxy } from "./fault-proxy.js";

let cluster: Cluster;
let proxy: FaultProxy;
let account: AgentAccount;
before(async () => {
  cluster = await startCluster();
  proxy = await startFaultProxy(cluster);
  account = await cluster.agentAccount("proxied");
  const reads = ["--verb=get,list,watch", "--resource=configmaps,pods"];
  await cluster.kubectl(["create", "clusterrole", "reader", ...reads]);
  const subject = "--serviceaccount=sluice-system:sluice-agent";
  await cluster.kubectl(["create", "clusterrolebinding", "r", "--clusterrole=reader", subject]);
});
after(() => cluster?.close());
afterEach(() => {
  proxy.heal();
  proxy.forget();
});

const path = "/api/v1/namespaces/default/configmaps";

/** Head of the answer through the proxy. */
async function open(path: string, options: RequestOptions = {}): Promise<IncomingMessage> {
  const headers = { authorization: `Bearer ${account.token()}`, "user-agent": "probe" };
  const ca = readFileSync(cluster.caFile);
  const request = get(new URL(path, proxy.url), { agent: new Agent({ ca }), headers, ...options });
  const [response] = (await once(request, "response")) as [IncomingMessage];
  return response;
}

async function ask(path: string): Promise<{ readonly status: number; readonly text: string }> {
  const response = await open(path);
  return { status: response.statusCode ?? 0, text: await read(response) };
}

async function read(response: IncomingMessage): Promise<string> {
  let text = "";
  for await (const part of response.setEncoding("utf8") as AsyncIterable<string>) text += part;
  return text;
}

/** Whether something is still not there after a moment. */
async function isSilent(work: Promise<unknown>): Promise<boolean> {
  return Promise.race([work.then(() => false), sleep(200, true)]);
}

test("requests pass, with their token, and are counted", async () => {
  const { status, text } = await ask(`${path}?limit=3`);
  assert.equal(status, 200);
  assert.match(text, /"ConfigMapList"/);
  assert.equal(proxy.count(), 1);
  assert.equal(proxy.count({ method: "GET", path: /configmaps\?limit=3$/ }), 1);
  assert.equal(proxy.count({ method: "POST" }), 0);
  assert.equal(proxy.requests[0]?.userAgent, "probe");
});

test("kubectl works through it", async () => {
  const server = `--server=${proxy.url}`;
  const out = await cluster.kubectlAs(account.kubeconfig, [server, "get", "pods", "-A"]);
  assert.match(out, /sluice-agent-proxied/);
});

test("an answer is delayed", async () => {
  proxy.fail({ kind: "delay", ms: 300 });
  const start = performance.now();
  assert.equal((await ask(path)).status, 200);
  assert.ok(performance.now() - start >= 299);
});

test("chosen requests get a status, the others pass", async () => {
  for (const status of [401, 403, 410, 500]) {
    proxy.fail({ kind: "answer", status }, { path: /configmaps/ });
    assert.equal((await ask(path)).status, status);
  }
  proxy.fail({ kind: "answer", status: 429, retryAfterSeconds: 7 }, { path: /configmaps/ });
  const response = await open(path);
  assert.equal(response.statusCode, 429);
  assert.equal(response.headers["retry-after"], "7");
  assert.match(await read(response), /"reason":"TooManyRequests"/);
  assert.equal((await ask("/version")).status, 200);
});

test("a body is cut after so many bytes", async () => {
  proxy.fail({ kind: "cut", afterBytes: 10 });
  const response = await open(path);
  assert.equal(response.statusCode, 200);
  let text = "";
  response.setEncoding("utf8").on("data", (part: string) => void (text += part));
  const [error] = (await once(response, "error")) as [NodeJS.ErrnoException];
  assert.equal(error.code, "ECONNRESET");
  assert.equal(text.length, 10);
});

test("a request is dropped", async () => {
  proxy.fail({ kind: "drop" });
  await assert.rejects(ask(path), { code: "ECONNRESET" });
});

test("a frozen request is answered when the fault is taken back", async () => {
  proxy.fail({ kind: "freeze" });
  const asked = ask(path);
  assert.ok(await isSilent(asked));
  proxy.heal();
  assert.equal((await asked).status, 200);
});

test("a watch that has begun freezes too, and goes on", async () => {
  const response = await open(`${path}?watch=true`);
  response.setEncoding("utf8");
  proxy.fail({ kind: "freeze" });
  const next = once(response, "data");
  const metadata = { name: "news", namespace: "default" };
  await cluster.apply({ apiVersion: "v1", kind: "ConfigMap", metadata });
  assert.ok(await isSilent(next));
  proxy.heal();
  assert.match(String(await next), /news/);
  response.destroy();
});

test("open connections are dropped", async () => {
  const response = await open(`${path}?watch=true`);
  proxy.dropConnections();
  const [error] = (await once(response.resume(), "error")) as [NodeJS.ErrnoException];
  assert.equal(error.code, "ECONNRESET");
  assert.equal((await ask(path)).status, 200);
});

test("connections are accepted without a word", async () => {
  proxy.holdConnections(true);
  const asked = ask(path);
  assert.ok(await isSilent(asked));
  proxy.holdConnections(false);
  assert.equal((await asked).status, 200);
});

test("the certificate of another CA is refused", async () => {
  const { folder, certificates } = cluster;
  const ca = issue(folder, "other-ca", "ca", "/CN=other-ca");
  proxy.useCertificate(issue(folder, "other", "server", "/CN=kube-apiserver", ca));
  await assert.rejects(ask(path), /certificate/);
  proxy.useCertificate(certificates.serving);
  assert.equal((await ask(path)).status, 200);
});

test("a dead API server is a dropped request", async () => {
  await cluster.killApiServer();
  await assert.rejects(ask(path), { code: "ECONNRESET" });
  await cluster.startApiServer({ port: "another" });
  assert.equal((await ask(path)).status, 200);
});
