/** Pods of three nodes of a real API server: reached over nodes, judged by where they really come from. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { startPeer } from "../lifecycle/peer-process.js";
import { withCluster } from "../support/cluster/cluster.js";
import { eventually } from "../support/eventually.js";
import { nodeAddress, wireAddress, withPodNodes } from "./pod-nodes.js";
import { connects, createNamespace, isDropped, type PodNode, type RunningPod } from "./pods.js";

const port = 8080;
const both = ["ipv4", "ipv6"] as const;

const onlyClients = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: only-clients, namespace: web}
spec:
  podSelector: {matchLabels: {app: server}}
  ingress:
  - from: [{podSelector: {matchLabels: {app: client}}}]
`;
const alsoNode1 = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: also-node1, namespace: web}
spec:
  podSelector: {matchLabels: {app: server}}
  ingress:
  - from: [{ipBlock: {cidr: ${nodeAddress(1)}/32}}]
`;
/** Also the wire between the nodes, so that what comes by it is judged where it arrives. */
const flags = { uplinks: "eth0,eth1" };
const isolation = ["isolation", "ingress: web/only-clients"] as const;

function routes({ node }: PodNode): readonly string[] {
  return ["-4", "-6"].flatMap((family) =>
    node
      .run("ip", family, "route", "show", "proto", "115")
      .split("\n")
      .flatMap((line) => /^[0-9a-f][0-9a-f.:]+\/\d+/.exec(line)?.[0] ?? []),
  );
}

const ranges = (...numbers: readonly number[]) => [
  ...numbers.map((number) => `10.244.${number}.0/24`),
  ...numbers.map((number) => `fd00:244:${number}::/64`),
];

test("pods of several nodes", async (context) => {
  await withCluster(async (cluster) => {
    await createNamespace(cluster, "web");
    const apply = (text: string) => cluster.kubectl(["apply", "-f", "-"], { input: text });
    await withPodNodes(cluster, async ({ lab, wire, machine, register }) => {
      const [first, second, third] = [await machine(1), await machine(2), await machine(3)];
      await register(1);
      await register(2);
      const agents = [first.startPods({ flags }), second.startPods({ flags })];
      for (const agent of agents) await agent.ready();
      const client = await first.runPod("client", { labels: { app: "client" } });
      const server = await second.runPod("server", { labels: { app: "server" } });
      await server.peer.call("serveTcp", { port });
      const reaches = async (from: RunningPod, to: RunningPod) => {
        for (const family of both) await connects(from.peer, to[family], port);
      };

      await context.test(
        "have an MTU that leaves room for the tunnel, and reach each other",
        async () => {
          assert.match(client.netns.run("ip", "link", "show", "eth0"), /mtu 1450/);
          await eventually(() => assert.deepEqual(routes(first), ranges(2)));
          await reaches(client, server);
          const { podNetwork, problems } = await first.api.call("status");
          const { mode, nodes, devices } = podNetwork?.routing ?? {};
          assert.deepEqual(
            [mode, nodes, devices],
            ["vxlan", 1, [{ name: "sluice.vxlan", mtu: 1450 }]],
          );
          assert.deepEqual(
            problems.filter(({ kind }) => kind === "Node"),
            [],
          );
        },
      );

      let other: RunningPod | undefined;
      await context.test("a node that joins is reached", async () => {
        await register(3);
        agents.push(third.startPods({ flags }));
        await agents[2]!.ready();
        other = await third.runPod("other", { labels: { app: "other" } });
        await eventually(() => assert.deepEqual(routes(second), ranges(1, 3)));
        await reaches(other, server);
      });

      const judged = async () => {
        assert.ok(other);
        await reaches(client, server);
        for (const family of both) {
          await isDropped(second, isolation, other.peer, server[family], port);
        }
      };
      await context.test("policies judge by the pod's own address", async () => {
        await apply(onlyClients);
        await eventually(async () => assert.ok(await second.podRule(...isolation)));
        await judged();
      });

      const isolatedTwice = ["isolation", "ingress: web/also-node1, web/only-clients"] as const;
      const nodesJudged = async () => {
        await eventually(async () => assert.ok(await second.podRule(...isolatedTwice)));
        await connects(first.inner, server.ipv4, port);
        await isDropped(second, isolatedTwice, third.inner, server.ipv4, port);
        await connects(second.inner, server.ipv4, port);
      };
      await context.test("and nodes by theirs", async () => {
        await apply(alsoNode1);
        await nodesJudged();
        await first.inner.call("serveTcp", { port });
        await connects(server.peer, nodeAddress(1), port);
        assert.equal(await first.inner.call("lastCaller", {}), server.ipv4);
      });

      await context.test(
        "an outside with a route reaches pods, and hears from the pod itself",
        async () => {
          const outsider = startPeer(lab, wire);
          wire.run("ip", "route", "add", "10.244.0.0/16", "via", nodeAddress(1));
          /* What comes from a node's address would be a masqueraded answer. */
          wire.run(
            "nft",
            "table ip t { chain in { type filter hook input priority 0; ip saddr 10.77.0.0/28 drop; }; }",
          );
          await outsider.call("listen", { port: 7001 });
          await client.peer.call("listen", { port: 7000 });
          await client.peer.call("serveTcp", { port });
          const [from, to] = [wireAddress, client.ipv4];
          let number = 0;
          await eventually(async () => {
            number++;
            const question = { port: 7001, to, toPort: 7000, stream: "question", number };
            await outsider.call("answer", question);
            await eventually(async () => {
              assert.equal(await client.peer.call("heard", { stream: "question" }), number);
            });
            const answer = { port: 7000, to: from, toPort: 7001, stream: "answer", number };
            await client.peer.call("answer", answer);
            await sleep(50);
            assert.ok((await outsider.call("heard", { stream: "answer" })) > 0);
          });
          await connects(outsider, to, port);
          assert.equal(await client.peer.call("lastCaller", {}), from);
        },
      );

      await context.test(
        "a range that another node has is told, and the rest goes on",
        async () => {
          await cluster.createNode("double", {
            addresses: [nodeAddress(9)],
            podCIDRs: ["10.244.2.128/25"],
          });
          await eventually(async () => {
            const { problems } = await first.api.call("status");
            const found = problems.find(({ code }) => code === "SLUICE_POD_CIDR");
            assert.match(
              found?.message ?? "",
              /10\.244\.2\.128\/25 of node double overlaps 10\.244\.2\.0\/24 of node node2/,
            );
          });
          await reaches(client, server);
          await cluster.kubectl(["delete", "node", "double"]);
          await eventually(async () => {
            const { problems } = await first.api.call("status");
            assert.deepEqual(
              problems.filter(({ kind }) => kind === "Node"),
              [],
            );
          });
        },
      );

      await context.test("a node that leaves is forgotten", async () => {
        await agents[2]!.end("SIGTERM");
        await cluster.kubectl(["delete", "node", "node3"]);
        await eventually(() => assert.deepEqual(routes(second), ranges(1)));
        await register(3);
        await eventually(() => assert.deepEqual(routes(second), ranges(1, 3)));
      });

      await context.test(
        "are judged the same without tunnels, as soon as all agents say so",
        async () => {
          for (const agent of agents) await agent.end("SIGKILL");
          const flags = { "pod-routing": "direct" };
          const direct = [first, second, third].map((node) => node.startPods({ flags }));
          for (const agent of direct) await agent.ready();
          await eventually(() => {
            for (const { node } of [first, second, third]) {
              assert.equal(node.run("ip", "-o", "link").includes("sluice.vxlan"), false);
            }
          });
          await reaches(client, server);
          assert.match(
            first.node.run("ip", "route", "get", server.ipv4),
            /via 10\.77\.0\.2 dev eth1/,
          );
          assert.ok(other);
          await isDropped(second, isolatedTwice, other.peer, server.ipv6, port);
          await nodesJudged();
        },
      );
    });
  });
});
