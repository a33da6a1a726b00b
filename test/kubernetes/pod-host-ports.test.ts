/** hostPort with agents of two nodes: over kill -9 and restart, until the pod is gone. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { startPeer } from "../lifecycle/peer-process.js";
import { withCluster } from "../support/cluster/cluster.js";
import { eventually } from "../support/eventually.js";
import { nodeAddress, nodeAddress6, wireAddress, withPodNodes } from "./pod-nodes.js";
import { createNamespace } from "./pods.js";

const PORT = 8080;
const HOST_PORT = 80;
const CLIENT = { 4: wireAddress, 6: "fd77::100" } as const;
const portMappings = [{ hostPort: HOST_PORT, containerPort: PORT, protocol: "tcp" }];
const config = { runtimeConfig: { portMappings } };

test("ports of a node that are a pod's", async (context) => {
  await withCluster(async (cluster) => {
    await createNamespace(cluster, "web");
    await withPodNodes(cluster, async ({ machine, register, wire, lab }) => {
      const [first, second] = [await machine(1), await machine(2)];
      await register(1);
      await register(2);
      const flags = { uplinks: "eth1" };
      const [agent, other] = [first.startPods({ flags }), second.startPods({ flags })];
      await agent.ready();
      await other.ready();
      wire.run("ip", "address", "add", `${CLIENT[6]}/64`, "dev", "shared", "nodad");
      const outside = startPeer(lab, wire);
      const serve = { before: (peer: typeof outside) => peer.call("serveWho", { port: PORT }) };
      const server = await first.runPod("server", { config, ...serve });
      const away = await second.runPod("away");
      const node = { 4: nodeAddress(1), 6: nodeAddress6(1) };
      const ask = (from: typeof outside, to: string) =>
        from.call("askWho", { protocol: "tcp", to, port: HOST_PORT, timeoutMs: 2000 });
      const isServed = async () => {
        for (const family of [4, 6] as const) {
          assert.equal(await ask(outside, node[family]), CLIENT[family]);
        }
        assert.equal(await ask(away.peer, node[4]), away.ipv4);
      };

      await context.test("are there when the pod is, and show it who asks", () =>
        eventually(isServed),
      );

      await context.test("are refused to another pod, which is told who has them", async () => {
        const { exitCode, result } = await first.shim(
          "ADD",
          { ...server, containerId: "second", netns: lab.namespace("second") },
          config,
        );
        assert.deepEqual([exitCode, result?.code], [1, 106]);
        assert.match(result?.msg ?? "", /hostPort 80\/tcp is in use: container-1\/eth0/);
      });

      await context.test("go on without the agent, and with the next one", async () => {
        await agent.end("SIGKILL");
        await isServed();
        const next = first.startPods({ flags });
        await next.ready();
        await isServed();
      });

      await context.test("are the node's again when the pod is gone", async () => {
        await first.endPod(server);
        await eventually(async () => assert.match(await ask(outside, node[4]), /ECONNREFUSED/));
        assert.match(await ask(outside, node[6]), /ECONNREFUSED/);
        const heir = await first.runPod("heir", { config, ...serve });
        await eventually(isServed);
        await first.endPod(heir);
      });
    });
  });
});
