import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import pino from "pino";
import { fakeClient, kubeError } from "../../test/status/fake-kube.js";
import { ManualClock } from "../../test/status/manual-clock.js";
import type { KubeRequest } from "../kube/client.js";
import type { WatchSink } from "../kube/reflector.js";
import { ClusterView } from "./cluster-view.js";
import { EventRecorder } from "./events.js";
import { leadCluster } from "./leader.js";

const ending: AbortController[] = [];

afterEach(() => {
  for (const one of ending.splice(0)) one.abort();
});

/** A leader whose watch is this test, over policies that the API server knows by name. */
function lead() {
  const clock = new ManualClock();
  const faults: { next?: Error | undefined } = {};
  const nodesThere = new Set<string>();
  const client = fakeClient(({ method = "GET", path, body }: KubeRequest) => {
    if (faults.next !== undefined) throw faults.next;
    if (path.startsWith("/api/v1/nodes/")) {
      if (!nodesThere.has(path.slice("/api/v1/nodes/".length))) throw kubeError(404);
      return {};
    }
    return method === "DELETE" ? {} : body;
  });
  const cluster = new ClusterView();
  const log = pino({ level: "silent" });
  const events = new EventRecorder({ client, component: "sluice-leader", node: "a", clock, log });
  const term = new AbortController();
  ending.push(term);
  let sink: WatchSink | undefined;
  let isWatchClosed = false;
  const watchObjects = (_: unknown, to: WatchSink) => {
    sink = to;
    return { close: () => (isWatchClosed = true) };
  };
  leadCluster({ client, cluster, watchObjects, events, clock, log }, term.signal);
  const watch = sink!;
  return {
    ...{ clock, client, cluster, watch, term, faults, nodesThere },
    isWatchClosed: () => isWatchClosed,
    node: (name: string) => cluster.upsert("Node", { metadata: { name, labels: {} } }, []),
    policy: (generation = 1) =>
      cluster.upsert(
        "XdpPolicy",
        { metadata: { name: "edge", uid: "u1", generation }, spec: {} },
        [],
      ),
    says: (name: string, state = "Enforcing", generation = 1) =>
      watch.upsert({
        metadata: { name },
        status: { policies: [{ name: "edge", generation, observedGeneration: generation, state }] },
      }),
    statuses: () =>
      client.requests
        .filter(({ path }) => path.endsWith("/xdppolicies/edge/status"))
        .map(({ body }) => (body as { status: { enforcing: string } }).status.enforcing),
    deleted: () => client.requests.flatMap(({ method, path }) => (method === "DELETE" ? path : [])),
  };
}

describe("a leader", () => {
  it("writes nothing before it has seen all policies and all nodes", async () => {
    const { clock, cluster, watch, node, policy, says, statuses } = lead();
    node("a");
    policy();
    says("a");
    await clock.advance(20_000);
    watch.retain(new Set(["a"]));
    await clock.advance(20_000);
    assert.deepEqual(statuses(), []);
    cluster.synced();
    await clock.advance(1000);
    assert.deepEqual(statuses(), ["1/1"]);
  });

  it("writes a second after a change of the policy, then as nodes report, on change only", async () => {
    const { clock, cluster, watch, node, policy, says, statuses } = lead();
    for (const name of ["a", "b", "c"]) node(name);
    cluster.synced();
    watch.retain(new Set());
    policy();
    await clock.advance(1000);
    assert.deepEqual(statuses(), ["0/3"]);
    says("a");
    says("b");
    await clock.advance(2500);
    assert.deepEqual(statuses(), ["0/3", "2/3"]);
    says("c");
    says("a", "Refused");
    await clock.advance(4000);
    says("a");
    await clock.advance(30_000);
    assert.deepEqual(statuses(), ["0/3", "2/3", "3/3"]);
    says("a");
    cluster.upsert("Node", { metadata: { name: "a", labels: { zone: "1" } } }, []);
    await clock.advance(600_000);
    assert.equal(statuses().length, 3);
    policy(2);
    await clock.advance(1000);
    assert.deepEqual(statuses().slice(3), ["0/3"]);
  });

  it("writes again what somebody changed, and follows nodes that come and go", async () => {
    const { clock, cluster, watch, node, policy, says, statuses } = lead();
    node("a");
    cluster.synced();
    watch.retain(new Set());
    policy();
    says("a");
    await clock.advance(20_000);
    policy();
    await clock.advance(20_000);
    assert.deepEqual(statuses(), ["1/1", "1/1"]);
    node("b");
    await clock.advance(20_000);
    cluster.remove("Node", "b");
    await clock.advance(20_000);
    assert.deepEqual(statuses().slice(2), ["1/2", "1/1"]);
    watch.retain(new Set());
    await clock.advance(20_000);
    assert.deepEqual(statuses().slice(4), ["0/1"]);
  });

  it("tries again what failed, and drops what was deleted meanwhile", async () => {
    const { clock, client, cluster, watch, node, policy, says, statuses, faults } = lead();
    node("a");
    cluster.synced();
    watch.retain(new Set());
    faults.next = kubeError(500);
    policy();
    says("a");
    await clock.advance(10_000);
    assert.ok(statuses().length >= 2);
    faults.next = kubeError(404);
    await clock.advance(60_000);
    const before = client.requests.length;
    cluster.remove("XdpPolicy", "edge");
    await clock.advance(60_000);
    assert.equal(client.requests.length, before);
  });

  it("deletes the NodeDatapath of a node that is gone for a minute, and of no other", async () => {
    const { clock, cluster, watch, node, says, deleted, nodesThere } = lead();
    for (const name of ["a", "b"]) node(name);
    cluster.synced();
    for (const name of ["a", "b", "gone", "late"]) says(name);
    watch.retain(new Set(["a", "b", "gone", "late"]));
    // The API server knows this one, though the watch of nodes has not told of it yet.
    nodesThere.add("late");
    cluster.remove("Node", "b");
    await clock.advance(30_000);
    node("b");
    await clock.advance(29_000);
    assert.deepEqual(deleted(), []);
    await clock.advance(30_000);
    assert.deepEqual(deleted(), ["/apis/sluice.dev/v1alpha1/nodedatapaths/gone"]);
  });

  it("stops with its term", async () => {
    const { clock, cluster, watch, term, node, policy, says, statuses, isWatchClosed } = lead();
    node("a");
    cluster.synced();
    watch.retain(new Set());
    policy();
    term.abort();
    says("a");
    await clock.advance(120_000);
    assert.equal(isWatchClosed(), true);
    assert.deepEqual(statuses(), []);
    assert.equal(clock.pending, 0);
  });
});
