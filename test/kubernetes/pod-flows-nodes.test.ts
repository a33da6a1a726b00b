/** A thousand connections between pods of two nodes, through whatever becomes of the agents of both. */

import assert from "node:assert/strict";
import { readdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { withCluster } from "../support/cluster/cluster.js";
import { eventually } from "../support/eventually.js";
import { openLastingFlows } from "./pod-flows.js";
import { withPodNodes } from "./pod-nodes.js";
import { connects, createNamespace, type PodNode } from "./pods.js";

const ECHO = 7000;
const HTTP = 8080;
const CONNECTIONS = 1000;
const otherLayout = "0123456789ab";

/** Answers pass for being answers: nobody may open anything to a client, or as a server. */
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
  ingress: [{from: [{podSelector: {matchLabels: {app: client}}}]}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: to-servers, namespace: web}
spec:
  podSelector: {matchLabels: {app: client}}
  policyTypes: [Egress]
  egress: [{to: [{podSelector: {matchLabels: {app: server}}}]}]
`;

test("flows between nodes, whatever becomes of their agents", async (context) => {
  await withCluster(async (cluster) => {
    await createNamespace(cluster, "web");
    await withPodNodes(cluster, async ({ machine, register }) => {
      const nodes = [await machine(1), await machine(2)] as const;
      await register(1);
      await register(2);
      let agents = nodes.map((node) => node.startPods());
      for (const agent of agents) await agent.ready();
      await cluster.kubectl(["apply", "-f", "-"], { input: policies });
      const client = await nodes[0].runPod("client", { labels: { app: "client" } });
      const server = await nodes[1].runPod("server", { labels: { app: "server" } });
      await server.peer.call("serveTcp", { port: ECHO + 1 });
      await eventually(() => connects(client.peer, server.ipv4, ECHO + 1));
      const flows = await openLastingFlows({ client, server }, nodes, {
        count: CONNECTIONS,
        echoPort: ECHO,
        httpPort: HTTP,
      });
      const before = await flows.refused();

      const restart = async (signal: NodeJS.Signals, between: (node: PodNode) => void) => {
        for (const agent of agents) await agent.end(signal);
        for (const node of nodes) between(node);
        agents = [];
        for (const node of nodes) {
          const agent = node.startPods();
          agents.push(agent);
          await agent.ready();
        }
      };

      await context.test("kill -9 of both: nothing is reset, lost or refused", async () => {
        await flows.during(() => restart("SIGKILL", () => {}));
        assert.equal(await flows.refused(), before);
      });

      await context.test("both come to another table layout with their flows", async () => {
        await flows.during(() =>
          restart("SIGTERM", ({ pinRoot }) => {
            const layout = readdirSync(pinRoot).find((name) => /^[0-9a-f]{12}$/.test(name)) ?? "";
            renameSync(join(pinRoot, layout), join(pinRoot, otherLayout));
          }),
        );
        /* A connection that is being opened while links are updated may have to send a packet again. */
        const refused = (await flows.refused()) - before;
        assert.ok(refused <= 6, String(refused));
        for (const { api, pinRoot } of nodes) {
          const { carried } = (await api.call("status")).podNetwork!.flows;
          assert.ok(carried >= CONNECTIONS, String(carried));
          assert.equal(readdirSync(pinRoot).includes(otherLayout), false);
        }
      });
    });
  });
});
