import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import pino from "pino";
import { fakeClient, kubeError } from "../../test/status/fake-kube.js";
import { ManualClock } from "../../test/status/manual-clock.js";
import type { KubeRequest } from "../kube/client.js";
import type { WatchSink } from "../kube/reflector.js";
import type { Problem } from "../model/records.js";
import { ClusterView } from "./cluster-view.js";
import type { Condition } from "./condition.js";
import type { PodPolicyEntry } from "./describe-pod-policies.js";
import { EventRecorder } from "./events.js";
import { leadCluster } from "./leader.js";

const ending: AbortController[] = [];

afterEach(() => {
  for (const one of ending.splice(0)) one.abort();
});

interface Conditions {
  readonly status?: { readonly conditions?: readonly Condition[] };
}
interface EventBody {
  readonly reason: string;
  readonly involvedObject: { readonly namespace?: string; readonly name: string };
}

/** A leader that has seen everything, over the nodes `a` and `b`; its watch of NodeDatapaths is this test. */
function lead(hasStatus = true) {
  const clock = new ManualClock();
  const client = fakeClient(({ path, body }: KubeRequest) => {
    if (!hasStatus && path.endsWith("/status")) throw kubeError(404);
    return body;
  });
  const cluster = new ClusterView();
  const log = pino({ level: "silent" });
  const events = new EventRecorder({ client, component: "sluice-leader", node: "a", clock, log });
  const term = new AbortController();
  ending.push(term);
  let sink: WatchSink | undefined;
  const watchObjects = (_: unknown, to: WatchSink) => {
    sink = to;
    return { close: () => {} };
  };
  leadCluster({ client, cluster, watchObjects, events, clock, log }, term.signal);
  const watch = sink!;
  for (const name of ["a", "b"]) cluster.upsert("Node", { metadata: { name, labels: {} } }, []);
  watch.retain(new Set());
  cluster.synced();
  return {
    ...{ clock, cluster, client },
    says: (name: string, ...entries: readonly PodPolicyEntry[]) =>
      watch.upsert({ metadata: { name }, status: { podPolicies: { entries } } }),
    clusterPolicy: (generation: number, status?: object) =>
      cluster.upsert(
        "ClusterNetworkPolicy",
        { metadata: { name: "deny", uid: "u1", generation }, status },
        [],
      ),
    networkPolicy: (generation: number, problems: readonly Problem[] = []) =>
      cluster.upsert(
        "NetworkPolicy",
        { metadata: { namespace: "web", name: "allow", uid: "u2", generation } },
        problems,
      ),
    written: () =>
      client.requests
        .filter(({ path }) => path.endsWith("/clusternetworkpolicies/deny/status"))
        .map(({ body }) => (body as Conditions).status?.conditions?.[0]?.message),
    events: () =>
      client.requests
        .filter(({ path }) => path.includes("/events"))
        .map(({ path, body }) => {
          const { reason, involvedObject: about } = body as EventBody;
          return `${reason} ${path.split("/")[4]} ${about.namespace ?? ""}/${about.name}`;
        }),
  };
}

const deny = (more: Partial<PodPolicyEntry> = {}): PodPolicyEntry => ({
  kind: "ClusterNetworkPolicy",
  name: "deny",
  generation: 1,
  observedGeneration: 1,
  pods: 3,
  state: "Enforcing",
  ...more,
});
const allow = (more: Partial<PodPolicyEntry> = {}): PodPolicyEntry => ({
  ...deny(),
  kind: "NetworkPolicy",
  name: "web/allow",
  ...more,
});
const refused = { state: "Refused", generation: 0, message: "does not fit" } as const;

describe("a leader, of policies of pods", () => {
  it("writes one condition of a ClusterNetworkPolicy and nothing else of its status", async () => {
    const { clock, client, clusterPolicy, says, written } = lead();
    says("a", deny());
    says("b", deny({ generation: 0, state: "Pending" }));
    clusterPolicy(1, { conditions: [{ type: "Other", status: "True" }] });
    await clock.advance(1000);
    const request = client.requests.find(({ method }) => method === "PATCH");
    assert.deepEqual(request?.query, { fieldManager: "sluice-leader", force: true });
    assert.deepEqual(request.body, {
      apiVersion: "policy.networking.k8s.io/v1alpha2",
      kind: "ClusterNetworkPolicy",
      metadata: { name: "deny", uid: "u1" },
      status: {
        conditions: [
          {
            type: "sluice.dev/Enforced",
            status: "False",
            reason: "Progressing",
            message: "in force on 1/2 nodes that have pods of it",
            observedGeneration: 1,
            lastTransitionTime: "2026-01-01T00:00:01Z",
          },
        ],
      },
    });
    says("b", deny());
    await clock.advance(60_000);
    assert.equal(written().at(-1), "in force on 2/2 nodes that have pods of it");
  });

  it("writes it again for what matters, not for every pod, and no faster than every 30 s", async () => {
    const { clock, clusterPolicy, says, written } = lead();
    says("a", deny());
    clusterPolicy(1);
    await clock.advance(40_000);
    assert.equal(written().length, 1);
    for (let pods = 4; pods < 90; pods++) {
      says("a", deny({ pods }));
      await clock.advance(1000);
    }
    assert.equal(written().length, 1);
    for (let turn = 0; turn < 60; turn++) {
      says("b", ...(turn % 2 === 0 ? [deny()] : []));
      await clock.advance(2000);
    }
    assert.ok(written().length <= 6, String(written().length));
    clusterPolicy(2);
    await clock.advance(1000);
    assert.equal(written().at(-1), "in force on 0/1 nodes that have pods of it");
  });

  it("tells of a policy that a node refuses in its namespace, once, and when it recovers", async () => {
    const { clock, networkPolicy, says, events } = lead();
    networkPolicy(1);
    says("a", allow());
    await clock.advance(60_000);
    assert.deepEqual(events(), []);
    says("b", allow(refused));
    await clock.advance(60_000);
    says("a", allow(refused));
    await clock.advance(60_000);
    assert.deepEqual(events(), ["NotEnforced web web/allow"]);
    networkPolicy(2);
    await clock.advance(60_000);
    assert.deepEqual(events().length, 1, "what nodes say of the newest is waited for");
    says("a", allow({ generation: 2, observedGeneration: 2 }));
    says("b", allow({ generation: 1, observedGeneration: 2, state: "Refused" }));
    await clock.advance(60_000);
    says("b", allow({ generation: 2, observedGeneration: 2 }));
    await clock.advance(60_000);
    assert.deepEqual(events().slice(1), ["Degraded web web/allow", "Enforced web web/allow"]);
  });

  it("tells of one that is invalid or warned of, by what its own watch has of it", async () => {
    const { clock, networkPolicy, events } = lead();
    const problem = {
      severity: "error",
      code: "SLUICE_CIDR",
      origin: { source: "api" },
      message: "no CIDR",
      remedy: "Write one",
    } as const;
    networkPolicy(1, [problem]);
    await clock.advance(60_000);
    networkPolicy(2, [{ ...problem, severity: "warning" }]);
    await clock.advance(60_000);
    networkPolicy(3);
    await clock.advance(60_000);
    assert.deepEqual(events(), [
      "NotEnforced web web/allow",
      "PolicyWarning web web/allow",
      "Enforced web web/allow",
    ]);
  });

  it("does without a status where the CRD has none, and forgets what is deleted", async () => {
    const { clock, client, cluster, clusterPolicy, says, events } = lead(false);
    clusterPolicy(1);
    says("a", deny({ ...refused }));
    await clock.advance(120_000);
    const tries = client.requests.filter(({ method }) => method === "PATCH").length;
    assert.equal(tries, 1);
    assert.deepEqual(events(), ["NotEnforced default /deny"]);
    cluster.remove("ClusterNetworkPolicy", "deny");
    assert.equal(cluster.podPolicies.size, 0);
    clusterPolicy(1);
    cluster.retain("ClusterNetworkPolicy", new Set());
    says("a");
    await clock.advance(120_000);
    assert.equal(events().length, 1);
  });
});
