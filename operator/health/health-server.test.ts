import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { createFixtureEngine, status } from "../../test/agent/fixture-engine.js";
import type { EngineStatus } from "../api/engine.js";
import { SluiceError } from "../errors.js";
import { type HealthServer, type MetricsPage, startHealthServer } from "./health-server.js";

const page: MetricsPage = { contentType: "text/plain; version=0.0.4", text: async () => "up 1\n" };
let server: HealthServer | undefined;

afterEach(async () => {
  await server?.close();
  server = undefined;
});

async function serve(read: () => EngineStatus = () => status, metrics = page) {
  const engine = createFixtureEngine({ status: read });
  server = await startHealthServer({ engine, metrics, host: "127.0.0.1", port: 0 });
  const { address } = server;
  return async (path: string, method = "GET") => {
    const response = await fetch(`http://${address}${path}`, { method });
    return {
      status: response.status,
      type: response.headers.get("content-type"),
      text: await response.text(),
    };
  };
}

test("a process that answers is healthy, whatever the kernel holds", async () => {
  const get = await serve(() => {
    throw new SluiceError("SLUICE_NOT_STARTED", "the datapath is not loaded yet");
  });
  assert.deepEqual(await get("/healthz"), {
    status: 200,
    type: "text/plain; charset=utf-8",
    text: "ok\n",
  });
});

test("a node whose wanted state is in force is ready", async () => {
  const get = await serve();
  const ready = await get("/readyz?verbose");
  assert.equal(ready.status, 200);
  assert.match(ready.text, /^\[\+\]datapath ok: loaded\n\[\+\]sync ok: generation 7\n/);
  assert.match(ready.text, /ready\n$/);
});

const unready: readonly (readonly [what: string, status: () => EngineStatus, says: RegExp])[] = [
  [
    "whose datapath is not loaded",
    () => {
      throw new SluiceError("SLUICE_NOT_STARTED", "the datapath is not loaded yet");
    },
    /\[-\]datapath failed: the datapath is not loaded yet/,
  ],
  ["whose source has not delivered", () => ({ ...status, inSync: false }), /\[-\]sync failed/],
  [
    "whose kernel refuses the last change",
    () => ({ ...status, applyError: "no memory" }),
    /\[-\]apply failed: no memory/,
  ],
  [
    "with an interface that has no program",
    () => ({
      ...status,
      interfaces: status.interfaces.map((item) => ({
        ...item,
        attached: false,
        message: "foreign program 7",
      })),
    }),
    /\[-\]interfaces failed: eth0: foreign program 7/,
  ],
];

for (const [what, read, says] of unready) {
  test(`a node ${what} is not ready, and says why`, async () => {
    const get = await serve(read);
    const answer = await get("/readyz");
    assert.equal(answer.status, 503);
    assert.match(answer.text, says);
    assert.match(answer.text, /not ready\n$/);
  });
}

test("metrics come with the content type of their format", async () => {
  const get = await serve();
  assert.deepEqual(await get("/metrics"), { status: 200, type: page.contentType, text: "up 1\n" });
});

test("metrics that cannot be read are a server error, and the server goes on", async () => {
  const get = await serve(() => status, {
    ...page,
    text: () => Promise.reject(new Error("EBADF")),
  });
  const answer = await get("/metrics");
  assert.equal(answer.status, 500);
  assert.match(answer.text, /EBADF/);
  assert.equal((await get("/healthz")).status, 200);
});

test("a scrape that fails at once is a server error, too", async () => {
  const get = await serve(() => status, {
    ...page,
    text: () => {
      throw new Error("EBADF");
    },
  });
  assert.equal((await get("/metrics")).status, 500);
});

test("other paths and methods are refused, HEAD is answered without a body", async () => {
  const get = await serve();
  assert.equal((await get("/")).status, 404);
  assert.equal((await get("/healthz", "POST")).status, 405);
  assert.deepEqual(await get("/healthz", "HEAD"), {
    status: 200,
    type: "text/plain; charset=utf-8",
    text: "",
  });
});

test("an address in use is refused with what to do", async () => {
  await serve();
  const port = Number(server?.address.split(":").at(-1));
  await assert.rejects(
    startHealthServer({ engine: createFixtureEngine(), metrics: page, host: "127.0.0.1", port }),
    (error: unknown) =>
      error instanceof SluiceError &&
      error.code === "SLUICE_METRICS_ADDRESS" &&
      /another program listens there.*--metrics-address/.test(error.message),
  );
});
