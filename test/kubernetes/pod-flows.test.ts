/** A thousand connections between pods, and bandwidths, through whatever becomes of the agent. */

import assert from "node:assert/strict";
import { readdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { withCluster } from "../support/cluster/cluster.js";
import { eventually } from "../support/eventually.js";
import { openLastingFlows, throughput } from "./pod-flows.js";
import { createNamespace, isDropped, withPodNode } from "./pods.js";

const ECHO = 7000;
const HTTP = 8080;
const SINK = 9000;
const CONNECTIONS = 1000;
const MEGABIT = 1_000_000;
const otherLayout = "0123456789ab";

/** Nobody may do anything, but clients ask servers. */
const policies = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny-all, namespace: web}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: from-clients, namespace: web}
spec:
  podSelector: {matchLabels: {app: server}}
  policyTypes: [Ingress]
  ingress: [{from: [{podSelector: {matchLabels: {app: client}}}], ports: [{port: 7000}, {port: 8080}]}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: to-servers, namespace: web}
spec:
  podSelector: {matchLabels: {app: client}}
  policyTypes: [Egress]
  egress: [{to: [{podSelector: {matchLabels: {app: server}}}], ports: [{port: 7000}, {port: 8080}]}]
`;
/** Of its own, so that what it is refused is counted apart. */
const alsoDeny = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny-other, namespace: web}
spec: {podSelector: {matchLabels: {app: other}}, policyTypes: [Egress]}
`;
const nothing = ["isolation", "egress: web/deny-all, web/deny-other"] as const;

test("flows of pods, whatever becomes of the agent", async (context) => {
  await withCluster(async (cluster) => {
    await createNamespace(cluster, "web");
    await createNamespace(cluster, "open");
    await withPodNode(async (node) => {
      const { pinRoot, api } = node;
      let agent = node.startPods();
      await agent.ready();
      await cluster.kubectl(["apply", "-f", "-"], { input: `${policies}---${alsoDeny}` });
      const server = await node.runPod("server", { labels: { app: "server" } });
      const client = await node.runPod("client", { labels: { app: "client" } });
      const other = await node.runPod("other", { labels: { app: "other" } });
      await eventually(async () => assert.ok(await node.podRule(...nothing)));
      const flows = await openLastingFlows({ client, server }, [node], {
        count: CONNECTIONS,
        echoPort: ECHO,
        httpPort: HTTP,
      });
      assert.equal(await flows.refused(), 0);

      const restart = async (signal: NodeJS.Signals, between = () => {}) => {
        await agent.end(signal);
        between();
        agent = node.startPods();
        await agent.ready();
        await isDropped(node, nothing, other.peer, server.ipv4, ECHO);
      };

      for (const signal of ["SIGTERM", "SIGKILL"] as const) {
        await context.test(`${signal}: nothing is reset, lost or refused`, async () => {
          await flows.during(() => restart(signal));
          assert.equal(await flows.refused(), 0);
          const { entries, carried, evicted } = (await api.call("status")).podNetwork!.flows;
          assert.ok(entries >= CONNECTIONS, String(entries));
          assert.deepEqual([carried, evicted], [0, 0]);
        });
      }

      await context.test("an upgrade to another table layout takes the flows along", async () => {
        const { layout } = await api.call("status");
        await flows.during(() =>
          restart("SIGTERM", () => renameSync(join(pinRoot, layout), join(pinRoot, otherLayout))),
        );
        /* A connection that is being opened while links are updated may have to send a packet again. */
        const refused = await flows.refused();
        assert.ok(refused <= 3, String(refused));
        const { carried } = (await api.call("status")).podNetwork!.flows;
        assert.ok(carried >= CONNECTIONS, String(carried));
        assert.deepEqual(
          readdirSync(pinRoot).filter((name) => /^[0-9a-f]{12}$/.test(name)),
          [layout],
        );
      });

      await context.test(
        "an agent killed in the middle of such an upgrade is made up for",
        async () => {
          const { layout } = await api.call("status");
          await flows.during(async () => {
            await agent.end("SIGTERM");
            renameSync(join(pinRoot, layout), join(pinRoot, otherLayout));
            agent = node.startPods();
            /* Its tables are there, and its programs on no link yet. */
            await eventually(() => {
              assert.ok(readdirSync(join(pinRoot, layout, "pods")).includes("pod_interfaces"));
            });
            await restart("SIGKILL");
          });
          assert.ok((await flows.refused()) <= 6);
          assert.ok((await api.call("status")).podNetwork!.flows.entries >= CONNECTIONS);
          assert.equal(readdirSync(pinRoot).includes(otherLayout), false);
        },
      );

      await context.test(
        "a bandwidth is kept, each way, also by an agent that comes later",
        async () => {
          const rate = 20 * MEGABIT;
          const limited = (bandwidth: object) => ({
            namespace: "open",
            config: { runtimeConfig: { bandwidth } },
          });
          const up = await node.runPod(
            "up",
            limited({ egressRate: rate, egressBurst: 2 ** 32 - 1 }),
          );
          const down = await node.runPod("down", limited({ ingressRate: rate }));
          const free = await node.runPod("free", { namespace: "open" });
          for (const { peer } of [up, down, free]) await peer.call("sinkTcp", { port: SINK });
          await restart("SIGKILL");
          const [sent, received] = await Promise.all([
            throughput(up, free, SINK),
            throughput(free, down, SINK),
          ]);
          for (const measured of [sent, received]) {
            assert.ok(measured > 0.8 * rate && measured < 1.2 * rate, String(measured));
          }
          const others = [
            await throughput(free, up, SINK, 500),
            await throughput(down, free, SINK, 500),
          ];
          for (const measured of others) assert.ok(measured > 3 * rate, String(measured));
          const { reasons } = (await api.call("status")).podNetwork!;
          assert.ok((reasons.limit?.packets ?? 0) > 0);
        },
      );
    }, cluster);
  });
});
