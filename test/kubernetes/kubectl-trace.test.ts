/** kubectl sluice trace: one walk over the programs of two nodes, asked through a real API server. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { it } from "node:test";
import { fileURLToPath } from "node:url";
import { runSluicectl } from "../agent/run-cli.js";
import { withCluster } from "../support/cluster/cluster.js";
import { installChart } from "../support/cluster/install.js";
import { eventually } from "../support/eventually.js";
import { startKubelet } from "../support/kubelet.js";
import { withNamespaces } from "../support/netns.js";
import { withNodes } from "./node.js";
import { createNamespace, createPodNode } from "./pods.js";

const cliScript = fileURLToPath(new URL("../../operator/cli/main.js", import.meta.url));

const policies = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: out, namespace: web}
spec:
  podSelector: {matchLabels: {app: client}}
  policyTypes: [Egress]
  egress:
  - to: [{podSelector: {matchLabels: {app: server}}}]
    ports: [{port: http}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: in, namespace: web}
spec:
  podSelector: {matchLabels: {app: server}}
  ingress:
  - from: [{podSelector: {matchLabels: {app: client}}}]
`;

it("a packet between pods of two nodes is judged by the programs of both", async () => {
  await withCluster(async (cluster) => {
    const sockets = new Map<string, string>();
    const kubelet = await startKubelet({
      ...cluster.certificates.serving,
      command({ pod, command }) {
        const socket = sockets.get(pod);
        const [, , ...words] = command;
        if (socket === undefined) return undefined;
        const env = { PATH: process.env["PATH"], SLUICE_SOCKET: socket };
        return { program: process.execPath, args: [cliScript, ...words], env };
      },
    });
    cluster.onClose(() => kubelet.close());
    const installed = await installChart(cluster, "podNetwork.enabled=true");
    await createNamespace(cluster, "web");
    await withNodes(cluster, installed, async ({ node }) => {
      await withNamespaces(async (lab) => {
        const machine = async (number: number) => {
          const name = `node${number}`;
          await cluster.createNode(name, {
            addresses: ["127.0.0.1"],
            kubeletPort: kubelet.port,
            podCIDRs: [`10.244.${number}.0/24`, `fd00:244:${number}::/64`],
          });
          const made = createPodNode(lab, await node(name), name);
          const { namespace, podName } = made.account;
          sockets.set(podName, join(made.folder, "agent.sock"));
          await cluster.request({
            method: "PATCH",
            path: `/api/v1/namespaces/${namespace}/pods/${podName}/status`,
            contentType: "application/merge-patch+json",
            body: { status: { phase: "Running" } },
          });
          await made.startPods().ready();
          return made;
        };
        const [first, second] = [await machine(1), await machine(2)];
        const ports = [{ name: "http", containerPort: 8080 }];
        const client = await first.runPod("client", { labels: { app: "client" } });
        const server = await second.runPod("server", { labels: { app: "server" }, ports });
        await second.runPod("other", { labels: { app: "other" } });
        await cluster.kubectl(["apply", "-f", "-"], { input: policies });
        const trace = (words: string) =>
          runSluicectl(["trace", ...words.split(" ")], {
            mode: "cluster",
            env: { KUBECONFIG: cluster.adminKubeconfig },
          });

        /* Until both agents have the policies, and the addresses of the other's pods. */
        await eventually(async () => {
          const { out, err, code } = await trace("web/client web/server:http --expect allow");
          assert.equal(code, 0, out + err);
          assert.match(
            out,
            /^egress +web\/client on node1: PASS reason rule by NetworkPolicy web\/out/m,
          );
          assert.match(out, /^way +from node1 to node2/m);
          assert.match(
            out,
            /^ingress +web\/server on node2: PASS reason rule by NetworkPolicy web\/in/m,
          );
        });
        const both = await trace(`web/client [${server.ipv6}]:8080 -6 --expect allow`);
        assert.equal(both.code, 0, both.out + both.err);
        assert.match(
          both.out,
          new RegExp(`\\[${client.ipv6}\\]:32768 > \\[${server.ipv6}\\]:8080`),
        );
        const leaving = await trace("web/client web/server:9 --expect deny");
        assert.equal(leaving.code, 0, leaving.out + leaving.err);
        assert.match(
          leaving.out,
          /^egress +web\/client on node1: DROP .* isolation, egress: web\/out$/m,
        );
        assert.match(leaving.out, /^ingress +web\/server on node2: PASS /m);
        assert.doesNotMatch(leaving.out, /^way /m);
        const entering = await trace("web/other web/server:9 --expect deny");
        assert.match(
          entering.out,
          /^ingress .*: DROP reason rule by isolation, ingress: web\/in$/m,
        );
      });
    });
  });
});
