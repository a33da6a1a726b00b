import assert from "node:assert/strict";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { it } from "node:test";
import { fileURLToPath } from "node:url";
import { host } from "../lifecycle/world.js";
import { startKubelet } from "../support/kubelet.js";
import { dropFrom, withClusterLab } from "./node.js";

const cliScript = fileURLToPath(new URL("../../operator/cli/main.js", import.meta.url));
const pluginScript = fileURLToPath(new URL("../../operator/cli/kubectl-main.js", import.meta.url));

it("kubectl sluice asks the agents of a cluster through the API server, and blocks on all nodes", async () => {
  await withClusterLab(async ({ cluster, node }) => {
    const foe = host(7);
    const names = ["node1", "node2"] as const;
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
    const nodes = [];
    for (const name of names) {
      await cluster.createNode(name, { addresses: ["127.0.0.1"], kubeletPort: kubelet.port });
      const made = await node(name);
      const { namespace, podName } = made.account;
      sockets.set(podName, join(made.folder, "agent.sock"));
      await cluster.request({
        method: "PATCH",
        path: `/api/v1/namespaces/${namespace}/pods/${podName}/status`,
        contentType: "application/merge-patch+json",
        body: { status: { phase: "Running" } },
      });
      await made.startAgent().ready();
      nodes.push(made);
    }

    /* As a plugin: a program of that name in the PATH of kubectl. */
    const plugins = join(cluster.folder, "plugins");
    mkdirSync(plugins);
    const plugin = join(plugins, "kubectl-sluice");
    writeFileSync(plugin, `#!/bin/sh\nexec ${process.execPath} ${pluginScript} "$@"\n`);
    chmodSync(plugin, 0o755);
    const env = { PATH: `${plugins}:${process.env["PATH"]}` };
    /** Its remarks for people. */
    let notes = "";
    const onStderr = (text: string) => void (notes += text);
    const sluice = (...words: readonly string[]) => {
      notes = "";
      return cluster.kubectl(["sluice", ...words], { env, onStderr });
    };

    await cluster.apply(dropFrom("edge", foe));
    for (const { untilPasses } of nodes) await untilPasses(foe, false);
    const status = await sluice("status");
    for (const name of names) assert.match(status, new RegExp(`^${name} +in sync`, "m"));
    const rules = await sluice("rules");
    assert.match(rules, /edge +drop/);
    const trace = await sluice(
      ...`trace udp ${foe}:4000 10.9.0.1:9000 --interface eth0 --node node2`.split(" "),
    );
    assert.match(trace, /edge\/drop/);

    const attacker = host(9);
    const blocked = await sluice("block", attacker, "--all-nodes", "--for", "1h");
    assert.match(blocked, new RegExp(`^blocked ${attacker} until `));
    assert.equal(notes, "in force on 2/2 nodes\n");
    for (const { passes } of nodes) assert.equal(await passes(attacker), false);
    await sluice("unblock", attacker, "--all-nodes");
    assert.equal(notes, "in force on 2/2 nodes\n");
    for (const { passes } of nodes) assert.equal(await passes(attacker), true);
  });
});
