/** Pods that a real kubelet has containerd run, with kubectl as the only hand: attached by the plugin, judged by policies. */

import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { nodeAddress } from "../lifecycle/world.js";
import { withCluster } from "../support/cluster/cluster.js";
import { eventually } from "../support/eventually.js";
import { podManifest, withKubeletNode } from "./kubelet-node.js";
import { connects, createNamespace, isDropped } from "./pods.js";

const port = 8080;
const serve = ["serve", `${port}`];
const patienceMs = 30_000;

const denyAll = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny-all, namespace: web}
spec: {podSelector: {matchLabels: {app: server}}, policyTypes: [Ingress]}
`;
const allowClients = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: allow-clients, namespace: web}
spec:
  podSelector: {matchLabels: {app: server}}
  ingress:
  - from: [{podSelector: {matchLabels: {app: client}}}]
    ports: [{port: ${port}}]
`;
const isolation = ["isolation", "ingress: web/deny-all"] as const;
const allowed = ["NetworkPolicy web/allow-clients", "ingress[0]"] as const;
const both = ["isolation", "ingress: web/allow-clients, web/deny-all"] as const;

test("pods of a kubelet and containerd", async (context) => {
  await withCluster(async (cluster) => {
    await createNamespace(cluster, "web");
    await withKubeletNode(async (node) => {
      const server = podManifest("server", {
        labels: { app: "server" },
        args: serve,
        readyPort: port,
      });
      const client = podManifest("client", { labels: { app: "client" }, args: ["pause"] });
      const other = podManifest("other", { labels: { app: "other" }, args: ["pause"] });

      const usedAddresses = async () => {
        const { podNetwork } = await node.api.call("status");
        return podNetwork?.pools.map(({ used }) => used);
      };

      await context.test("wait while the node has no network for them", async () => {
        await node.apply(server, client, other);
        await eventually(async () => {
          const ready = await node.nodeCondition("Ready");
          assert.equal(ready?.status, "False");
          assert.match(ready.message ?? "", /cni plugin not initialized/);
        }, patienceMs);
        assert.equal((await node.pod("server")).status.podIP, undefined);
      });

      let agent = node.startAgentInMachine();
      await context.test("run as soon as an agent has installed the plugin", async () => {
        await agent.ready();
        const { status } = await node.untilReady("server");
        await node.untilReady("client");
        await node.untilReady("other");
        await eventually(async () => {
          assert.equal((await node.nodeCondition("Ready"))?.status, "True");
        }, patienceMs);
        const [ipv4, ipv6] = (status.podIPs ?? []).map(({ ip }) => ip);
        assert.match(ipv4 ?? "", /^10\.244\.1\.\d+$/);
        assert.match(ipv6 ?? "", /^fd00:244:1::/);
        assert.deepEqual(await usedAddresses(), [3, 3]);
      });

      const [ipv4 = "", ipv6 = ""] =
        (await node.pod("server")).status.podIPs?.map(({ ip }) => ip) ?? [];
      const clientPeer = await node.peerOf("client");
      const otherPeer = await node.peerOf("other");

      await context.test("reach each other, from their first packet on", async () => {
        node.node.run("ip", "address", "add", "fd00:9::1/64", "dev", "eth0", "nodad");
        for (const address of [ipv4, ipv6]) {
          await connects(clientPeer, address, port);
          await connects(node.inner, address, port);
        }
        const once = { restartPolicy: "Never" };
        await node.apply(
          podManifest("ask4", { args: ["ask", ipv4, `${port}`], more: once }),
          podManifest("ask6", { args: ["ask", ipv6, `${port}`], more: once }),
        );
        await node.untilPhase("ask4", "Succeeded");
        await node.untilPhase("ask6", "Succeeded");
      });

      await context.test("give their addresses back when they are completed", async () => {
        await eventually(async () => assert.deepEqual(await usedAddresses(), [3, 3]), patienceMs);
        await node.deleteObjects("pod", "ask4", "ask6");
      });

      await context.test("are isolated by a policy, but not from the kubelet", async () => {
        await node.apply(
          denyAll,
          podManifest("late", { labels: { app: "server" }, args: serve, readyPort: port }),
        );
        await isDropped(node, isolation, clientPeer, ipv4, port);
        await isDropped(node, isolation, clientPeer, ipv6, port);
        const { status } = await node.untilReady("late");
        await isDropped(node, isolation, clientPeer, status.podIP ?? "", port);
        await node.untilReady("server");
      });

      await context.test("are opened by another to those whom it names", async () => {
        await node.apply(allowClients);
        await eventually(async () => assert.ok(await node.podRule(...allowed)));
        await connects(clientPeer, ipv4, port);
        await connects(clientPeer, ipv6, port);
        await isDropped(node, both, otherPeer, ipv4, port);
      });

      await context.test("end without the agent, and go on with the next one", async () => {
        await agent.end("SIGKILL");
        await node.deleteObjects("pod", "late");
        await node.apply(podManifest("next", { args: serve, readyPort: port }));
        await connects(clientPeer, ipv4, port);
        agent = node.startAgentInMachine();
        await agent.ready();
        await isDropped(node, both, otherPeer, ipv4, port);
        await connects(clientPeer, ipv4, port);
      });

      await context.test("of the host's network have its address, and its rights", async () => {
        const more = { hostNetwork: true };
        await node.apply(
          podManifest("host", { args: ["serve", "9090"], more }),
          podManifest("host-ask", {
            args: ["ask", ipv4, `${port}`],
            more: { ...more, restartPolicy: "Never" },
          }),
        );
        assert.equal((await node.untilReady("host")).status.podIP, nodeAddress);
        await connects(clientPeer, nodeAddress, 9090);
        await node.untilPhase("host-ask", "Succeeded");
        await node.deleteObjects("pod", "host", "host-ask");
      });

      await context.test("that are static are pods like others", async () => {
        const manifest = podManifest("static", {
          labels: { app: "server" },
          args: serve,
          readyPort: port,
        });
        const file = join(node.kubelet.staticPods, "static.json");
        writeFileSync(file, JSON.stringify(manifest));
        await eventually(async () => void (await node.pod("static-node1")), patienceMs);
        const { status } = await node.untilReady("static-node1");
        await connects(clientPeer, status.podIP ?? "", port);
        await isDropped(node, both, otherPeer, status.podIP ?? "", port);
        rmSync(file);
        await eventually(() => assert.rejects(node.pod("static-node1"), /404/), patienceMs);
      });

      await context.test("that had to wait for an agent run after all", async () => {
        await node.untilReady("next");
        assert.deepEqual(await usedAddresses(), [4, 4]);
      });

      await context.test("leave nothing behind", async () => {
        await node.deleteObjects("pod", "--all");
        await eventually(async () => assert.deepEqual(await usedAddresses(), [0, 0]), patienceMs);
        assert.equal(node.node.run("ip", "-o", "link").includes("slc"), false);
        await eventually(() => assert.deepEqual(node.podNetworks(), []), patienceMs);
      });
    }, cluster);
  });
});
