import assert from "node:assert/strict";
import { test } from "node:test";
import pino from "pino";
import { type Answer, fakeClient, kubeError } from "../../test/status/fake-kube.js";
import { ManualClock, settle } from "../../test/status/manual-clock.js";
import { EventRecorder, type Occurrence } from "./events.js";

const PATH = "/api/v1/namespaces/default/events";

function createRecorder(answer: Answer = ({ body }) => body) {
  const clock = new ManualClock();
  const client = fakeClient(answer);
  const lines: string[] = [];
  const log = pino({ level: "warn" }, { write: (line) => void lines.push(line) });
  const recorder = new EventRecorder({
    client,
    component: "sluice-leader",
    node: "node1",
    clock,
    log,
  });
  return { clock, client, recorder, lines };
}

function refused(name = "edge", message = "does not fit"): Occurrence {
  const object = { apiVersion: "sluice.dev/v1alpha1", kind: "XdpPolicy", name, uid: `uid-${name}` };
  return { object, type: "Warning", reason: "Refused", message };
}

test("an event names its object, its reporter and its time", async () => {
  const { client, recorder } = createRecorder();
  recorder.emit(refused());
  await settle();
  const [request] = client.requests;
  assert.ok(request);
  assert.deepEqual([request.method, request.path], ["POST", PATH]);
  const { metadata, ...body } = request.body as { metadata: { name: string; namespace: string } };
  assert.match(metadata.name, /^edge\.[0-9a-f]{16}$/);
  assert.equal(metadata.namespace, "default");
  assert.deepEqual(body, {
    apiVersion: "v1",
    kind: "Event",
    involvedObject: refused().object,
    type: "Warning",
    reason: "Refused",
    message: "does not fit",
    source: { component: "sluice-leader", host: "node1" },
    reportingComponent: "sluice-leader",
    reportingInstance: "node1",
    firstTimestamp: "2026-01-01T00:00:00Z",
    lastTimestamp: "2026-01-01T00:00:00Z",
    count: 1,
  });
});

test("the same again within 10 minutes is counted; another message, or later, is a new event", async () => {
  const { clock, client, recorder } = createRecorder();
  const emit = async (occurrence: Occurrence) => {
    recorder.emit(occurrence);
    await settle();
    return client.requests.at(-1);
  };
  const first = await emit(refused());
  await clock.advance(300_000);
  const again = await emit(refused());
  assert.ok(first);
  const { name } = (first.body as { metadata: { name: string } }).metadata;
  assert.deepEqual([again?.method, again?.path], ["PATCH", `${PATH}/${name}`]);
  assert.deepEqual(again?.body, { count: 2, lastTimestamp: "2026-01-01T00:05:00Z" });
  assert.equal((await emit(refused("edge", "something else")))?.method, "POST");
  await clock.advance(601_000);
  assert.equal((await emit(refused()))?.method, "POST");
});

test("an event that the server has forgotten is written anew", async () => {
  const { client, recorder } = createRecorder(({ method, body }) => {
    if (method === "PATCH") throw kubeError(404);
    return body;
  });
  recorder.emit(refused());
  recorder.emit(refused());
  await settle();
  await settle();
  assert.deepEqual(
    client.requests.map(({ method }) => method),
    ["POST", "PATCH", "POST"],
  );
  assert.equal(recorder.dropped, 0);
});

test("one object has 25 events at once, then one in 5 minutes; others are not held back", async () => {
  const { clock, client, recorder } = createRecorder();
  for (let index = 0; index < 30; index += 1) recorder.emit(refused("edge", `message ${index}`));
  recorder.emit(refused("other"));
  await clock.advance(0);
  for (let turn = 0; turn < 10; turn += 1) await settle();
  assert.equal(client.requests.length, 26);
  assert.equal(recorder.dropped, 5);
  await clock.advance(300_000);
  recorder.emit(refused("edge", "one more"));
  recorder.emit(refused("edge", "two more"));
  await settle();
  assert.equal(client.requests.length, 27);
});

test("all objects together have 50 events at once, then one a second", async () => {
  const { clock, client, recorder } = createRecorder();
  for (let index = 0; index < 80; index += 1) recorder.emit(refused(`policy-${index}`));
  for (let turn = 0; turn < 20; turn += 1) await settle();
  assert.equal(client.requests.length, 50);
  await clock.advance(2000);
  for (let index = 0; index < 5; index += 1) recorder.emit(refused(`later-${index}`));
  await settle();
  assert.equal(client.requests.length, 52);
});

test("a server that takes none costs one line in the log, and the caller nothing", async () => {
  const { recorder, lines } = createRecorder(() => {
    throw kubeError(403);
  });
  for (let index = 0; index < 10; index += 1) recorder.emit(refused("edge", `message ${index}`));
  for (let turn = 0; turn < 5; turn += 1) await settle();
  assert.equal(recorder.dropped, 10);
  assert.equal(lines.length, 1);
  assert.match(lines[0] ?? "", /events are dropped/);
});

test("an event of an object in a namespace is in that namespace, also when it is counted", async () => {
  const { client, recorder } = createRecorder();
  const object = { apiVersion: "v1", kind: "Pod", namespace: "web", name: "a", uid: "1" };
  const closed = { object, type: "Warning", reason: "NetworkClosed", message: "closed" } as const;
  recorder.emit(closed);
  await settle();
  recorder.emit(closed);
  recorder.emit({ ...closed, object: { ...object, namespace: "other" } });
  await settle();
  const paths = client.requests.map(({ method, path }) => `${method} ${path}`);
  assert.equal(paths[0], "POST /api/v1/namespaces/web/events");
  assert.match(paths[1] ?? "", /^PATCH \/api\/v1\/namespaces\/web\/events\/a\.[0-9a-f]{16}$/);
  assert.equal(paths[2], "POST /api/v1/namespaces/other/events");
  const body = client.requests[0]?.body as { metadata: { namespace: string } } | undefined;
  assert.equal(body?.metadata.namespace, "web");
});
