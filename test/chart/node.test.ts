import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { before, test } from "node:test";
import { parseCapabilities } from "../../datapath/capabilities.js";
import { createWorld, friend, host, until } from "../lifecycle/world.js";
import { dropFrom } from "../kubernetes/node.js";
import { makeRoot, runStage, temporaryFolder } from "../stage/staged-tree.js";
import { chartFolder, helm, installChart } from "../support/cluster/install.js";
import { withCluster } from "../support/cluster/cluster.js";
import { openTunnel } from "../support/cluster/tunnel.js";
import { eventually } from "../support/eventually.js";
import { type Namespace, withNamespaces } from "../support/netns.js";
import { release } from "./helm.js";
import { type Container, type PodSpec, startNode } from "./node-runtime.js";

const foe = host(7);

let image = "";
before(() => {
  const tree = temporaryFolder();
  runStage(tree);
  image = makeRoot(tree);
});

interface Probed extends Container {
  readonly ports: readonly [{ readonly name: string; readonly containerPort: number }];
  readonly readinessProbe: {
    readonly httpGet: { readonly path: string; readonly host: string };
  };
}

/** What the kubelet's readiness probe is answered. */
function probe(node: Namespace, { ports, readinessProbe }: Probed): string {
  const { host: address, path } = readinessProbe.httpGet;
  const url = `http://${address}:${ports[0].containerPort}${path}`;
  const script = `fetch("${url}").then(async (r) => console.log(r.status, await r.text()))`;
  return node.run(process.execPath, "-e", script);
}

test("the pods of the chart drop packets on a fresh node and report it, and their clean-up leaves nothing", async () => {
  await withCluster(async (cluster) => {
    await withNamespaces(async (lab) => {
      const world = await createWorld(lab);
      const { endpoint } = await openTunnel(cluster, world.node);
      const installed = await installChart(cluster, `apiServers={${endpoint}}`, "uplinks={eth0}");
      const account = await installed.account("node1");
      const objects = `/api/v1/namespaces/${release.namespace}`;
      const node = await startNode(lab, world.node, {
        image,
        fields: { "spec.nodeName": "node1" },
        serviceAccount: account.folder,
        configMap: async (name) => {
          const path = `${objects}/configmaps/${name}`;
          return (await cluster.get<{ readonly data: Record<string, string> }>(path)).data;
        },
      });
      const podOfDaemonSet = async () => {
        const { spec } = await cluster.get<{
          readonly spec: { readonly template: { readonly spec: PodSpec } };
        }>(`/apis/apps/v1/namespaces/${release.namespace}/daemonsets/${release.name}`);
        return spec.template.spec;
      };
      await cluster.apply(dropFrom("edge", foe));
      assert.equal(await world.passes(foe), true);

      const pod = await podOfDaemonSet();
      for (const container of pod.initContainers ?? []) await node.run(pod, container);
      const [container] = pod.containers as readonly [Probed];
      const agent = await node.start(pod, container);
      await world.untilPasses(foe, false).catch((cause: unknown) => {
        throw new Error(agent.log(), { cause });
      });
      assert.equal(await world.passes(friend), true);
      await eventually(() => assert.match(probe(world.node, container), /^200 /));
      await until("the policy's status counts the node", async () => {
        const row = await cluster.kubectl(["get", "xp", "edge", "--no-headers"]);
        return row.split(/\s+/).includes("1/1");
      });
      assert.deepEqual(readdirSync(node.path("/sys/fs/bpf")).includes("sluice"), true);
      assert.doesNotMatch(agent.log(), /"level":"(error|fatal)"/);
      const names = container.securityContext.capabilities?.add?.map((name) => `CAP_${name}`) ?? [];
      const status = readFileSync(`/proc/${agent.pid}/status`, "utf8");
      assert.deepEqual([...parseCapabilities(status)].sort(), [...names].sort());
      assert.throws(() => writeFileSync(`/proc/${agent.pid}/root/opt/sluice/x`, ""), /EROFS/);

      // A rollout ends the agent, and packets are judged on.
      agent.signal("SIGTERM");
      assert.equal(await agent.exited, 0);
      assert.equal(await world.passes(foe), false);

      const { name, namespace } = release;
      const upgrade = ["upgrade", name, chartFolder, "-n", namespace, "--reuse-values"];
      await helm(cluster, ...upgrade, "--set", "cleanup=true");
      const last = await podOfDaemonSet();
      for (const container of last.initContainers ?? []) await node.run(last, container);
      assert.equal(await world.passes(foe), true);
      assert.equal(existsSync(node.path("/sys/fs/bpf/sluice")), false);
      assert.equal(existsSync(node.path("/run/sluice")), false);

      const idle = await node.start(last, last.containers[0]!);
      await eventually(() => {
        assert.equal(idle.log(), "");
        assert.match(readFileSync(`/proc/${idle.pid}/cmdline`, "utf8"), /^node\0--eval/);
        const status = readFileSync(`/proc/${idle.pid}/status`, "utf8");
        assert.match(status, /^CapBnd:\s0+$/m);
        assert.match(status, /^Uid:\s65534\s/m);
      });
      idle.signal("SIGTERM");
      assert.ok([0, "SIGTERM"].includes((await idle.exited) ?? ""));
    });
  });
});
