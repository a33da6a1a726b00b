import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import type { KubeConnection } from "./connection.js";
import { KubeError } from "./errors.js";
import { createKubeClient } from "./http-client.js";

/** A server on loopback that ends with the test. */
async function serve(
  context: TestContext,
  handle: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<{ readonly url: string; readonly server: Server }> {
  const server = createServer(handle);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server };
}

function clientOf(context: TestContext, servers: readonly string[], more = {}) {
  const connection: KubeConnection = {
    servers,
    namespace: "default",
    tls: async () => ({}),
    credentials: async () => ({ headers: {} }),
    ...more,
  };
  const client = createKubeClient(connection, { userAgent: "sluice-test/1" });
  context.after(() => client.close());
  return client;
}

const codeOf = (code: string) => (error: unknown) =>
  error instanceof KubeError && error.code === code;

test("a call carries the user agent, the query and its body, over one kept connection", async (t) => {
  const seen: string[] = [];
  let connections = 0;
  const { url, server } = await serve(t, (request, response) => {
    request.setEncoding("utf8").on("data", (text: string) => seen.push(text));
    seen.push(`${request.method} ${request.url} ${request.headers["user-agent"]}`);
    request.on("end", () => response.end('{"ok":true}'));
  });
  server.on("connection", () => connections++);
  const client = clientOf(t, [url]);
  assert.deepEqual(await client.call({ path: "/a", query: { limit: 5 } }), { ok: true });
  await client.call({ method: "PATCH", path: "/b", body: { x: 1 } });
  assert.deepEqual(seen, ["GET /a?limit=5 sluice-test/1", "PATCH /b sluice-test/1", '{"x":1}']);
  assert.equal(connections, 1);
});

test("an error has the status, reason and message of the answer, and how long to wait", async (t) => {
  const { url } = await serve(t, (_, response) => {
    response.writeHead(429, { "retry-after": "7" });
    response.end('{"kind":"Status","message":"too many","reason":"TooManyRequests"}');
  });
  await assert.rejects(clientOf(t, [url]).call({ path: "/a" }), (error: unknown) => {
    assert.ok(error instanceof KubeError);
    const { code, status, reason, retryAfterMs } = error;
    assert.deepEqual(
      [code, status, reason, retryAfterMs],
      ["SLUICE_KUBE_BUSY", 429, "TooManyRequests", 7000],
    );
    assert.match(error.message, /too many/);
    return true;
  });
});

test("after a 401 the credentials are asked for anew, once", async (t) => {
  const tokens: (string | undefined)[] = [];
  const { url } = await serve(t, (request, response) => {
    tokens.push(request.headers.authorization);
    response.writeHead(request.headers.authorization === "Bearer new" ? 200 : 401);
    response.end("{}");
  });
  const credentials = async (isRefused: boolean) => ({
    headers: { authorization: isRefused ? "Bearer new" : "Bearer old" },
  });
  await clientOf(t, [url], { credentials }).call({ path: "/a" });
  assert.deepEqual(tokens, ["Bearer old", "Bearer new"]);
  const refused = clientOf(t, [url], {
    credentials: async () => ({ headers: { authorization: "Bearer old" } }),
  });
  await assert.rejects(refused.call({ path: "/a" }), codeOf("SLUICE_KUBE_UNAUTHORIZED"));
  assert.equal(tokens.length, 4);
});

test("a server that cannot be connected to is passed over, one that fails after that is not", async (t) => {
  const { url: gone, server } = await serve(t, () => {});
  server.close();
  let calls = 0;
  const { url: cutting } = await serve(t, (request) => {
    calls++;
    request.socket.destroy();
  });
  const { url } = await serve(t, (_, response) => response.end("{}"));
  await clientOf(t, [gone, url]).call({ method: "POST", path: "/a", body: {} });
  const careful = clientOf(t, [cutting, url]);
  const post = careful.call({ method: "POST", path: "/a", body: {} });
  await assert.rejects(post, codeOf("SLUICE_KUBE_UNREACHABLE"));
  assert.equal(calls, 1, "a request that may have been seen is not sent again");
});

test("no answer in time is an error of its own, and an answer that is cut off another", async (t) => {
  const { url } = await serve(t, (request, response) => {
    if (request.url === "/silent") return;
    response.writeHead(200, { "content-length": "100" });
    response.write('{"a":', () => request.socket.destroy());
  });
  const client = clientOf(t, [url]);
  await assert.rejects(
    client.call({ path: "/silent", timeoutMs: 50 }),
    codeOf("SLUICE_KUBE_SILENT"),
  );
  await assert.rejects(client.call({ path: "/cut" }), codeOf("SLUICE_KUBE_UNREACHABLE"));
});

test("a signal that lives long does not collect listeners", async (t) => {
  const { url } = await serve(t, (_, response) => response.end("{}"));
  const client = clientOf(t, [url]);
  const { signal } = new AbortController();
  const warnings: unknown[] = [];
  const note = (warning: unknown) => warnings.push(warning);
  process.on("warning", note);
  for (let turn = 0; turn < 30; turn++) {
    const { response } = await client.stream({ path: "/a", signal });
    response.destroy();
    await client.call({ path: "/a", signal });
  }
  await new Promise((resolve) => setImmediate(resolve));
  process.off("warning", note);
  assert.deepEqual(warnings, []);
});
