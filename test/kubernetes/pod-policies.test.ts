/** What is said of policies of pods and of pods without network, with a real API server and the rights of the chart. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Limits } from "../../datapath/generated/layout.js";
import { countPolicies, policyTitle } from "../../operator/cli/policy-hits.js";
import type { Condition } from "../../operator/status/condition.js";
import { withCluster } from "../support/cluster/cluster.js";
import { eventually as eventuallySoon } from "../support/eventually.js";
import { clusterNetworkPolicies } from "./cluster-network-policies.js";
import { connects, createNamespace, isDropped, type PodNode, withPodNode } from "./pods.js";
import { nodeDatapath } from "./reported.js";

const port = 8080;
const kinds = "/apis/policy.networking.k8s.io/v1alpha2/clusternetworkpolicies";

/** Longer than two reports of a node and two of the leader at their slowest pace. */
const eventually = (check: () => Promise<void>) => eventuallySoon(check, 90_000);

const audited = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: audited, namespace: web, annotations: {sluice.dev/mode: audit}}
spec: {podSelector: {matchLabels: {app: server}}, policyTypes: [Ingress]}
`;
const isolating = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: isolating, namespace: web, annotations: {sluice.dev/mode: audti}}
spec:
  podSelector: {matchLabels: {app: static}}
  ingress: [{from: [{podSelector: {matchLabels: {app: nobody}}}], ports: [{port: none}]}]
`;
const names = `
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: names}
spec:
  tier: Admin
  priority: 10
  subject: {namespaces: {}}
  egress:
  - {name: out, action: Accept, to: [{networks: [192.0.2.0/24]}, {domainNames: [example.org]}]}
`;

/** More rules than a node has places for, or one. */
function huge(count: number) {
  const ingress = Array.from({ length: count }, (_, index) => ({
    from: [{ ipBlock: { cidr: `10.${index >> 8}.${index & 255}.0/24` } }],
    ports: [{ port: 1000 + index }],
  }));
  return {
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: { name: "huge", namespace: "web" },
    spec: { podSelector: { matchLabels: { app: "client" } }, ingress },
  };
}

interface EventList {
  readonly items: readonly {
    readonly reason: string;
    readonly message: string;
    readonly involvedObject: { readonly kind: string; readonly name: string; readonly uid: string };
  }[];
}

/** Events in the namespace `web` about an object. */
async function eventsOf({ cluster }: PodNode, kind: string, name: string) {
  const { items } = await cluster.get<EventList>("/api/v1/namespaces/web/events");
  return items.filter(({ involvedObject: of }) => of.kind === kind && of.name === name);
}

async function policy({ api }: PodNode, title: string) {
  const policies = countPolicies(await api.call("podPolicies"), await api.call("podRules"));
  const found = policies.find((one) => policyTitle(one) === title);
  assert.ok(found, title);
  return found;
}

test("policies of pods, and pods without network", async (context) => {
  await withCluster(async (cluster) => {
    await createNamespace(cluster, "web");
    await cluster.apply(clusterNetworkPolicies);
    await cluster.untilServed(kinds);
    await withPodNode(async (node) => {
      for (const text of [audited, isolating, names]) await cluster.apply(text);
      await cluster.request({
        method: "PATCH",
        path: `${kinds}/names/status?fieldManager=other`,
        contentType: "application/merge-patch+json",
        body: { status: { conditions: [{ type: "Accepted", status: "True" }] } },
      });
      await node.startPods().ready();
      const server = await node.runPod("server", { labels: { app: "server" } });
      const client = await node.runPod("client", { labels: { app: "client" } });
      await server.peer.call("serveTcp", { port });
      await cluster.apply(huge(Limits.MAX_POD_RULES + 1));

      /* Its Event comes when the failure has lasted. */
      const outside = { runtimeConfig: { ips: ["198.51.100.1/32"] } };
      const lost = await cluster.request<{ metadata: { uid: string } }>({
        method: "POST",
        path: "/api/v1/namespaces/web/pods",
        body: {
          metadata: { name: "lost" },
          spec: {
            nodeName: "node1",
            automountServiceAccountToken: false,
            containers: [{ name: "main", image: "/dev/null" }],
          },
        },
      });
      const { uid } = lost.metadata;
      const failed = { ...client, key: "web/lost", uid, containerId: "lost" };
      assert.equal((await node.shim("ADD", failed, outside)).exitCode, 1);

      await context.test("in audit mode counts what it would drop, and drops nothing", async () => {
        await connects(client.peer, server.ipv4, port);
        await eventually(async () => {
          const { state, pods, dropped } = await policy(node, "NetworkPolicy web/audited");
          assert.deepEqual([state, pods], ["Auditing", ["web/server"]]);
          assert.ok(dropped.packets > 0);
        });
      });

      await context.test(
        "a static pod is attached by the uid of its file, and judged",
        async () => {
          const staticUid = "9f0c3a5e7d1b2a4f9f0c3a5e7d1b2a4f";
          const pod = await node.runPod("static-node1", { labels: { app: "static" }, staticUid });
          await pod.peer.call("serveTcp", { port });
          const isolation = ["isolation", "ingress: web/isolating"] as const;
          await isDropped(node, isolation, client.peer, pod.ipv4, port);
          await connects(node.inner, pod.ipv4, port);
          const { mode, state, dropped, problems } = await policy(
            node,
            "NetworkPolicy web/isolating",
          );
          assert.deepEqual([mode, state], ["Enforce", "Enforcing"]);
          assert.ok(dropped.packets > 0);
          assert.deepEqual(problems.map(({ severity, code }) => `${severity} ${code}`).sort(), [
            "warning SLUICE_NO_SUCH_PORT",
            "warning SLUICE_RULE",
          ]);
          await node.endPod(pod);
        },
      );

      await context.test(
        "what a node refuses is told by it and, in the namespace, by the leader",
        async () => {
          await eventually(async () => {
            const { state, generationInForce } = await policy(node, "NetworkPolicy web/huge");
            assert.deepEqual([state, generationInForce], ["Refused", 0]);
          });
          await eventually(async () => {
            const { podPolicies, conditions } = await nodeDatapath(cluster, "node1");
            const entry = podPolicies?.entries?.find(({ name }) => name === "web/huge");
            assert.deepEqual([entry?.state, entry?.code], ["Refused", "SLUICE_CAPACITY"]);
            assert.equal(
              conditions?.find(({ type }) => type === "Ready")?.reason,
              "PoliciesFailing",
            );
          });
          await eventually(async () => {
            const [event] = await eventsOf(node, "NetworkPolicy", "huge");
            assert.equal(event?.reason, "NotEnforced");
            assert.match(event.message, /^generation 1: 1 node cannot act .*node1: does not fit/);
          });
          await cluster.apply(huge(1));
          await eventually(async () => {
            const reasons = (await eventsOf(node, "NetworkPolicy", "huge")).map(
              (one) => one.reason,
            );
            assert.deepEqual(reasons.sort(), ["Enforced", "NotEnforced"]);
          });
          const [warned] = await eventsOf(node, "NetworkPolicy", "isolating");
          assert.equal(warned?.reason, "PolicyWarning");
          assert.match(warned.message, /"audti" is no mode: the policy is enforced/);
        },
      );

      await context.test(
        "a ClusterNetworkPolicy has a condition beside those of others",
        async () => {
          await eventually(async () => {
            const { status } = await cluster.get<{
              status: { conditions: readonly Condition[] };
            }>(`${kinds}/names`);
            const own = status.conditions.find(({ type }) => type === "sluice.dev/Enforced");
            assert.deepEqual([own?.status, own?.reason], ["True", "OnAllNodes"]);
            assert.match(
              own?.message ?? "",
              /^in force on 1\/1 nodes .*domain names are not supported/,
            );
            assert.deepEqual(status.conditions.map(({ type }) => type).sort(), [
              "Accepted",
              "sluice.dev/Enforced",
            ]);
          });
          const { podPolicies } = await nodeDatapath(cluster, "node1");
          const entry = podPolicies?.entries?.find(({ name }) => name === "names");
          assert.deepEqual([entry?.state, entry?.pods], ["Enforcing", 2]);
        },
      );

      await context.test(
        "a pod that cannot be attached has an Event, and its node a condition",
        async () => {
          await eventually(async () => {
            const [event] = await eventsOf(node, "Pod", "lost");
            assert.equal(event?.reason, "NetworkNotAttached");
            assert.equal(event.involvedObject.uid, uid);
            const { conditions } = await nodeDatapath(cluster, "node1");
            const podsReady = conditions?.find(({ type }) => type === "PodsReady");
            assert.equal(podsReady?.reason, "PodsNotAttached");
            assert.match(podsReady.message, /^1 pod without network; web\/lost: /);
          });
          const podProblems = async () => (await node.api.call("status")).podNetwork?.podProblems;
          assert.deepEqual(
            (await podProblems())?.map(({ type, name }) => [type, name]),
            [["NotAttached", "lost"]],
          );
          await cluster.request({
            method: "DELETE",
            path: "/api/v1/namespaces/web/pods/lost?gracePeriodSeconds=0",
          });
          await eventually(async () => assert.deepEqual(await podProblems(), []));
        },
      );
    }, cluster);
  });
});
