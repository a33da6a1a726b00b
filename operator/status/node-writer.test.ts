import assert from "node:assert/strict";
import { test } from "node:test";
import pino from "pino";
import { type Answer, fakeClient, kubeError } from "../../test/status/fake-kube.js";
import { ManualClock } from "../../test/status/manual-clock.js";
import type { KubeRequest } from "../kube/client.js";
import type { NodeStatus } from "./describe-node.js";
import { NodeWriter } from "./node-writer.js";

const path = "/apis/sluice.dev/v1alpha1/nodedatapaths/node1";

/** An API server with one Node and, once it is made, its NodeDatapath. */
function createServer() {
  const server = {
    nodeUid: "n1",
    uid: undefined as string | undefined,
    made: 0,
    owners: [] as unknown,
  };
  const answer: Answer = ({ path: at, body }) => {
    if (at === "/api/v1/nodes/node1") return { metadata: { uid: server.nodeUid } };
    if (at === path) {
      server.uid ??= `o${(server.made += 1)}`;
      server.owners = (body as { metadata: { ownerReferences: unknown } }).metadata.ownerReferences;
    } else if (server.uid === undefined) throw kubeError(404);
    return { metadata: { uid: server.uid, ownerReferences: server.owners } };
  };
  return { server, answer };
}

function createWriter(answer: Answer, nodeCount = 3) {
  const clock = new ManualClock();
  const client = fakeClient(answer);
  const log = pino({ level: "silent" });
  const writer = new NodeWriter({ client, node: "node1", nodeCount: () => nodeCount, clock, log });
  const writes = () => client.requests.filter((request) => request.path.endsWith("/status"));
  return { clock, client, writer, writes };
}

function saying(attached: string): NodeStatus {
  return { attached };
}

function said(request: KubeRequest | undefined): unknown {
  assert.ok(request);
  return (request.body as { status: NodeStatus }).status.attached;
}

test("the first status is written at once, into an object that belongs to the Node", async () => {
  const { server, answer } = createServer();
  const { clock, client, writer, writes } = createWriter(answer);
  writer.update(saying("1/1"));
  await clock.advance(0);
  assert.deepEqual(
    client.requests.map(({ method = "GET", path: at }) => `${method} ${at}`),
    ["GET /api/v1/nodes/node1", `PATCH ${path}`, `PATCH ${path}/status`],
  );
  assert.deepEqual(server.owners, [{ apiVersion: "v1", kind: "Node", name: "node1", uid: "n1" }]);
  const [write] = writes();
  assert.equal(write?.contentType, "application/apply-patch+yaml");
  assert.deepEqual(write?.query, { fieldManager: "sluice-agent", force: true });
  writer.close();
});

test("changes are written 10 s apart at least, the newest only; what did not change is not written", async () => {
  const { answer } = createServer();
  const { clock, writer, writes } = createWriter(answer);
  writer.update(saying("0"));
  await clock.advance(1000);
  for (const text of ["1", "2", "3"]) {
    writer.update(saying(text));
    await clock.advance(1000);
  }
  assert.deepEqual(writes().map(said), ["0"]);
  await clock.advance(6000);
  assert.deepEqual(writes().map(said), ["0", "3"]);
  for (let second = 0; second < 100; second += 1) {
    writer.update(saying("3"));
    await clock.advance(1000);
  }
  assert.equal(writes().length, 2);
  writer.close();
});

test("a change that came during a write is written after it", async () => {
  const { answer } = createServer();
  let finish = () => {};
  const held = createWriter(async (request) => {
    if (request.path.endsWith("/status")) await new Promise<void>((resolve) => (finish = resolve));
    return answer(request);
  });
  held.writer.update(saying("1"));
  await held.clock.advance(0);
  // The object is not there yet: the status is written a second time.
  held.writer.update(saying("2"));
  finish();
  await held.clock.advance(11_000);
  finish();
  assert.deepEqual(held.writes().map(said), ["1", "2"]);
  held.writer.close();
});

test("of 5,000 nodes the writes are spread over 10 s", async () => {
  const { answer } = createServer();
  const { clock, writer, writes } = createWriter(answer, 5000);
  clock.chance = 0.9;
  writer.update(saying("1"));
  await clock.advance(8999);
  assert.equal(writes().length, 0);
  await clock.advance(1);
  assert.equal(writes().length, 1);
  writer.close();
});

test("a failed write is tried again, later each time, and as late as the server asks", async () => {
  const { answer } = createServer();
  let failure: Error | undefined = kubeError(500);
  const { clock, client, writer, writes } = createWriter((request) => {
    if (failure !== undefined) throw failure;
    return answer(request);
  });
  writer.update(saying("1"));
  await clock.advance(20_000);
  const tries = client.requests.length;
  assert.ok(tries >= 3 && tries <= 10, `${tries}`);
  failure = kubeError(429, 60_000);
  await clock.advance(45_000);
  const before = client.requests.length;
  await clock.advance(14_000);
  assert.equal(client.requests.length, before);
  writer.update(saying("2"));
  failure = undefined;
  await clock.advance(120_000);
  assert.deepEqual(writes().map(said), ["2"]);
  writer.close();
});

test("an unchanged status is applied again after 5 minutes; a deleted object comes back with its owner", async () => {
  const { server, answer } = createServer();
  const { clock, client, writer, writes } = createWriter(answer);
  writer.update(saying("1"));
  await clock.advance(330_000);
  assert.deepEqual(writes().map(said), ["1", "1"]);
  assert.equal(client.requests.length, 4);
  server.uid = undefined;
  server.nodeUid = "n2";
  await clock.advance(330_000);
  assert.equal(server.uid, "o2");
  assert.deepEqual(server.owners, [{ apiVersion: "v1", kind: "Node", name: "node1", uid: "n2" }]);
  writer.close();
  assert.equal(clock.pending, 0);
});

test("an owner that somebody took off is put back", async () => {
  const { server, answer } = createServer();
  const { clock, writer } = createWriter(answer);
  writer.update(saying("1"));
  await clock.advance(1000);
  server.owners = [];
  await clock.advance(330_000);
  assert.equal((server.owners as readonly unknown[]).length, 1);
  writer.close();
});
