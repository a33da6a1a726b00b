/** Pods that a real kubelet has a real container runtime run, attached by the plugin. */

import assert from "node:assert/strict";
import { copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { agentCapabilities, podNetworkCapabilities } from "../../operator/health/capabilities.js";
import { withCluster } from "../support/cluster/cluster.js";
import { eventually } from "../support/eventually.js";
import { createCgroup } from "../support/runtime/cgroups.js";
import { startContainerd } from "../support/runtime/containerd.js";
import { startMachine } from "../support/runtime/machine.js";
import { startRealKubelet } from "../support/runtime/real-kubelet.js";
import { withNamespaces } from "../support/netns.js";
import { createNamespace, withCapabilities, withPodNode } from "./pods.js";

test("try", async () => {
  await withCluster(async (cluster) => {
    await createNamespace(cluster, "web");
    await withPodNode(async (node) => {
      await withNamespaces(async (lab) => {
        const folder = join(node.folder, "machine");
        mkdirSync(folder);
        const cgroup = createCgroup(lab);
        const machine = await startMachine(lab, node.node, folder);
        const { binFolder, configFolder } = node;
        mkdirSync(binFolder, { recursive: true });
        copyFileSync("/usr/lib/cni/loopback", join(binFolder, "loopback"));
        const containerd = await startContainerd(machine, { folder, binFolder, configFolder });
        const kubelet = startRealKubelet(machine, cluster, {
          folder,
          nodeName: "node1",
          nodeAddress: "10.9.0.1",
          apiServer: node.tunnel.endpoint,
          cgroup,
        });
        try {
          const agent = node.startPods({
            wrapper: [
              ...machine.withMounts,
              ...withCapabilities([...agentCapabilities, ...podNetworkCapabilities]),
            ],
          });
          await agent.ready();
          await cluster.kubectl(["apply", "-f", "-"], {
            input: `
apiVersion: v1
kind: Pod
metadata: {name: server, namespace: web, labels: {app: server}}
spec:
  nodeName: node1
  automountServiceAccountToken: false
  dnsPolicy: Default
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: sluice.test/container:1
    imagePullPolicy: Never
    args: [serve, "8080"]
    readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
`,
          });
          await eventually(async () => {
            const text = await cluster.kubectl(["get", "pod", "-n", "web", "-o", "wide", "--no-headers"]);
            assert.match(text, /1\/1 *Running/);
          }, 20_000);
        } finally {
          console.log(containerd.process.log().slice(-6000));
          console.log(kubelet.process.log().slice(-20000));
          console.log(await cluster.kubectl(["get", "node", "-o", "yaml"]));
          console.log(await cluster.kubectl(["get", "pod", "-n", "web", "-o", "yaml"]));
        }
      });
    }, cluster);
  });
});
