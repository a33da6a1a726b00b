/** Pods of a real API server on a node: attached by the real plugin, judged by the policies that kubectl applies. */

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { EventState } from "../../operator/api/engine.js";
import { agentCapabilities } from "../../operator/health/capabilities.js";
import { runSluicectl } from "../agent/run-cli.js";
import { withCluster } from "../support/cluster/cluster.js";
import { eventually } from "../support/eventually.js";
import { clusterNetworkPolicies } from "./cluster-network-policies.js";
import {
  connects,
  createNamespace,
  isDropped,
  type PodNode,
  withCapabilities,
  withPodNode,
} from "./pods.js";

const port = 8080;
const isolation = ["isolation", "ingress: web/deny-all"] as const;

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
    ports: [{port: http}]
`;
const onlyTcp = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: only-tcp, namespace: web}
spec:
  podSelector: {matchExpressions: [{key: app, operator: In, values: [late, other]}]}
  ingress:
  - from: [{podSelector: {matchLabels: {app: client}}}]
    ports: [{protocol: TCP}]
`;
const onlyTcpRule = ["NetworkPolicy web/only-tcp", "ingress[0]"] as const;
const onlyTcpIsolation = ["isolation", "ingress: web/only-tcp"] as const;
const denyByAdmin = `
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: no-clients}
spec:
  tier: Admin
  priority: 10
  subject: {namespaces: {matchLabels: {team: a}}}
  ingress:
  - name: none
    action: Deny
    from: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: client}}}}]
`;

async function apply({ cluster }: PodNode, text: string): Promise<void> {
  await cluster.kubectl(["apply", "-f", "-"], { input: text });
}

async function remove({ cluster }: PodNode, kind: string, name: string): Promise<void> {
  await cluster.kubectl(["delete", kind, "-n", "web", name]);
}

test("the pods of a node", async (context) => {
  await withCluster(async (cluster) => {
    await createNamespace(cluster, "web", { team: "a" });
    await withPodNode(async (node) => {
      const agent = node.startPods();
      await agent.ready();

      await context.test(
        "without the CRD of ClusterNetworkPolicies it is in sync, and says so",
        async () => {
          const { inSync, problems } = await node.api.call("status");
          assert.equal(inSync, true);
          const about = problems.filter(({ message }) => message.includes("ClusterNetworkPolicy"));
          assert.deepEqual(
            about.map(({ severity, code }) => [severity, code]),
            [["warning", "SLUICE_KUBE_NOT_FOUND"]],
          );
        },
      );

      await context.test("the plugin and its configuration are installed", () => {
        const text = readFileSync(join(node.configFolder, "05-sluice.conflist"), "utf8");
        assert.match(text, /"type": "sluice"/);
        assert.ok(existsSync(join(node.binFolder, "sluice")));
      });

      const ports = [{ name: "http", containerPort: port }];
      const server = await node.runPod("server", { labels: { app: "server" }, ports });
      const client = await node.runPod("client", { labels: { app: "client" } });
      const other = await node.runPod("other", { labels: { app: "other" } });
      await server.peer.call("serveTcp", { port });
      await server.peer.call("serveTcp", { port: port + 1 });
      await server.peer.call("listen", { port: 7000 });

      await context.test(
        "reach each other and the node, and the node them, in both families",
        async () => {
          node.node.run("ip", "address", "add", "fd00:9::1/64", "dev", "eth0", "nodad");
          await node.inner.call("serveTcp", { port: 9100 });
          for (const family of ["ipv4", "ipv6"] as const) {
            await connects(client.peer, server[family], port);
            await connects(node.inner, server[family], port);
          }
          await connects(client.peer, "10.9.0.1", 9100);
          const datagram = {
            from: client.ipv4,
            to: server.ipv4,
            port: 7000,
            stream: "udp",
            number: 1,
          };
          await client.peer.call("send", datagram);
          await eventually(async () => {
            assert.equal(await server.peer.call("heard", { stream: "udp" }), 1);
          });
          const { podNetwork } = await node.api.call("status");
          assert.deepEqual([podNetwork?.pods, podNetwork?.closedPods], [3, 0]);
          assert.deepEqual(
            podNetwork?.pools.map(({ cidr, used }) => [cidr, used]),
            [
              ["10.244.1.0/24", 3],
              ["fd00:244:1::/64", 3],
            ],
          );
        },
      );

      await context.test("CHECK finds all as it was made", async () => {
        const { exitCode, result } = await node.shim("CHECK", server, {
          prevResult: {
            cniVersion: "1.1.0",
            ips: [{ address: `${server.ipv4}/32` }, { address: `${server.ipv6}/128` }],
          },
        });
        assert.equal(exitCode, 0, JSON.stringify(result));
      });

      await context.test(
        "a policy isolates, and its verdict has its name; the node itself is let in",
        async () => {
          await apply(node, denyAll);
          await isDropped(node, isolation, client.peer, server.ipv4, port);
          await isDropped(node, isolation, client.peer, server.ipv6, port);
          await connects(node.inner, server.ipv4, port);
        },
      );

      await context.test("what it refuses is told live, by pod and rule", async () => {
        const words = "events --pod web/server --effect drop --port 8080 -n 1 -o json";
        const told = runSluicectl([
          ...words.split(" "),
          "--socket",
          join(node.folder, "agent.sock"),
        ]);
        /* The stream may not be open yet when the first packets come. */
        const knocking = setInterval(() => {
          void client.peer.call("tryTcp", { to: server.ipv6, port, timeoutMs: 100 });
        }, 200);
        const { out, err } = await told.finally(() => clearInterval(knocking));
        const event = JSON.parse(out) as EventState & { readonly summary: string };
        const { policy, rule, effect, audit, pod, direction } = event;
        assert.deepEqual(
          { policy, rule, effect, audit, pod, direction },
          {
            policy: isolation[0],
            rule: isolation[1],
            effect: "drop",
            audit: false,
            pod: "web/server",
            direction: "ingress",
          },
          err,
        );
        assert.ok(event.summary.endsWith(`> [${server.ipv6}]:${port} SYN`), event.summary);
      });

      const allowed = ["NetworkPolicy web/allow-clients", "ingress[0]"] as const;
      const both = ["isolation", "ingress: web/allow-clients, web/deny-all"] as const;
      await context.test(
        "another allows some pods to a named port, and counts what it allows",
        async () => {
          await apply(node, allowClients);
          await eventually(async () => assert.ok(await node.podRule(...allowed)));
          await connects(client.peer, server.ipv4, port);
          await connects(client.peer, server.ipv6, port);
          const rule = await node.podRule(...allowed);
          assert.ok(rule !== undefined && rule.matched.packets >= 2);
          assert.deepEqual(rule.interfaces, ["web/server"]);
          await isDropped(node, both, client.peer, server.ipv4, port + 1);
          await isDropped(node, both, other.peer, server.ipv4, port);
        },
      );

      await context.test("are traced by the programs in force, with the live tables", async () => {
        const trace = (words: string) =>
          runSluicectl(["trace", "--socket", join(node.folder, "agent.sock"), ...words.split(" ")]);
        const count = async () => (await node.podRule(...allowed))?.matched.packets;
        const before = await count();
        for (const family of ["-4", "-6"]) {
          const open = await trace(`web/client web/server:http ${family} --expect allow`);
          assert.equal(open.code, 0, open.out + open.err);
          assert.match(
            open.out,
            /^PASS reason rule by NetworkPolicy web\/allow-clients, ingress\[0\]$/m,
          );
          assert.match(open.out, /^way +on node1, past its stack$/m);
          assert.match(open.out, /^ +source +class \d+: in pods app=client in web$/m);
          const closed = await trace(`web/other web/server:http ${family} --expect deny`);
          assert.equal(closed.code, 0, closed.out + closed.err);
          assert.match(
            closed.out,
            /^DROP reason rule by isolation, ingress: web\/allow-clients, web/m,
          );
        }
        const own = await trace(`10.9.0.1 web/server:9 --expect allow`);
        assert.match(own.out, /^ingress +web\/server on node1: PASS reason not-judged$/m, own.err);
        assert.equal(await count(), before, "a trace was counted");

        const ports = await client.peer.call("openTcp", { name: "traced", to: server.ipv4, port });
        assert.match(String(ports), /\d/);
        const flow = await trace(`web/client web/server:http --flow --expect allow`);
        assert.equal(flow.code, 0, flow.out + flow.err);
        assert.match(flow.out, /^egress +web\/client on node1: PASS reason flow/m);
        assert.match(
          flow.out,
          /^ingress +web\/server on node1: PASS reason flow by NetworkPolicy web\/allow/m,
        );
        const none = await trace(`web/other web/server:http --flow --expect deny`);
        assert.equal(none.code, 0, none.out + none.err);

        const unknown = await trace(`web/client web/servr:http`);
        assert.equal(unknown.code, 1);
        assert.match(unknown.err, /there is no pod web\/servr\n +Did you mean web\/server\?/);
      });

      await context.test(
        "a label lets a pod in, and without it what it has open ends",
        async () => {
          await cluster.kubectl([
            "label",
            "pod",
            "-n",
            "web",
            "other",
            "app=client",
            "--overwrite",
          ]);
          await eventually(() => connects(other.peer, server.ipv4, port));
          await other.peer.call("openTcp", { name: "open", to: server.ipv4, port });
          await cluster.kubectl(["label", "pod", "-n", "web", "other", "app=other", "--overwrite"]);
          await isDropped(node, both, other.peer, server.ipv4, port);
          const before = (await node.podRule(...both))?.matched.packets ?? 0;
          await other.peer.call("tellTcp", { name: "open", text: "late" });
          await eventually(async () => {
            assert.ok(((await node.podRule(...both))?.matched.packets ?? 0) > before);
          });
        },
      );

      await context.test("an Admin tier denies over it, as soon as its kind is there", async () => {
        await apply(node, clusterNetworkPolicies);
        await cluster.untilServed("/apis/policy.networking.k8s.io/v1alpha2/clusternetworkpolicies");
        await apply(node, denyByAdmin);
        const admin = ["ClusterNetworkPolicy no-clients", "none"] as const;
        await eventually(async () => assert.ok(await node.podRule(...admin)), 60_000);
        await isDropped(node, admin, client.peer, server.ipv4, port);
        await remove(node, "clusternetworkpolicy", "no-clients");
        await eventually(async () => assert.equal(await node.podRule(...admin), undefined));
        await connects(client.peer, server.ipv4, port);
      });

      const local = await client.peer.call("openTcp", { name: "lasting", to: server.ipv4, port });
      const lasting = `accepted ${local}`;
      const talks = async (text: string) => {
        await client.peer.call("tellTcp", { name: "lasting", text });
        await server.peer.call("tellTcp", { name: lasting, text });
        for (const [peer, name] of [
          [server.peer, lasting],
          [client.peer, "lasting"],
        ] as const) {
          await eventually(async () => {
            assert.ok((await peer.call("heardTcp", { name })).endsWith(text), `${name}: ${text}`);
          });
        }
      };

      await context.test("go on without their agent, judged as before", async () => {
        await talks("before");
        await agent.end("SIGKILL");
        await talks("without");
        await connects(client.peer, server.ipv4, port);
        const attempt = { to: server.ipv4, port, timeoutMs: 200 };
        assert.equal(await other.peer.call("tryTcp", attempt), "silent");
      });

      await context.test("go on with an agent that finds no API server", async () => {
        await cluster.killApiServer();
        const alone = node.startPods();
        await eventually(async () => {
          const { inSync, podNetwork } = await node.api.call("status");
          assert.deepEqual([inSync, podNetwork?.pods], [false, 3]);
        });
        await talks("alone");
        await connects(client.peer, server.ipv4, port);
        const attempt = { to: server.ipv4, port, timeoutMs: 200 };
        assert.equal(await other.peer.call("tryTcp", attempt), "silent");
        assert.equal((await node.shim("ADD", { ...server, containerId: "new" })).result?.code, 11);
        await alone.end("SIGKILL");
        await cluster.startApiServer();
      });

      const second = node.startPods();
      await context.test("are taken over by the next agent, with what they have open", async () => {
        await second.ready();
        await talks("after");
        const { podNetwork } = await node.api.call("status");
        assert.deepEqual([podNetwork?.pods, podNetwork?.closedPods], [3, 0]);
        await isDropped(node, both, other.peer, server.ipv4, port);
        await talks("at last");
      });

      await context.test("are judged no more when the policies are gone", async () => {
        await remove(node, "networkpolicy", "deny-all");
        await remove(node, "networkpolicy", "allow-clients");
        await eventually(async () => assert.equal(await node.podRule(...both), undefined));
        await connects(other.peer, server.ipv4, port + 1);
      });

      await context.test(
        "are judged from their first packet on, and reached when ADD has answered",
        async () => {
          await apply(node, onlyTcp);
          await eventually(async () => assert.ok(await node.podRule(...onlyTcpRule)));
          const to = "10.244.1.5";
          const stream = { from: client.ipv4, to, port: 7000, stream: "early", perSecond: 500 };
          await client.peer.call("startStream", stream);
          const late = await node.runPod("late", {
            labels: { app: "late" },
            before: async (peer) => {
              await peer.call("listen", { port: 7000 });
              await peer.call("serveTcp", { port });
            },
          });
          assert.equal(late.ipv4, to);
          /* Less than a second: a SYN that is lost is sent again after one. */
          const attempt = { to, port, timeoutMs: 900 };
          assert.equal(await client.peer.call("tryTcp", attempt), "open");
          await client.peer.call("endStream", { stream: "early" });
          assert.equal(await late.peer.call("heard", { stream: "early" }), 0);
          assert.ok(((await node.podRule(...onlyTcpIsolation))?.matched.packets ?? 0) > 0);
          await node.endPod(late);
          await remove(node, "networkpolicy", "only-tcp");
        },
      );

      await context.test("come in bursts", async () => {
        const names = Array.from({ length: 20 }, (_, index) => `burst-${index}`);
        const burst = await Promise.all(names.map((name) => node.runPod(name)));
        assert.equal(new Set(burst.map(({ ipv4 }) => ipv4)).size, names.length);
        const { podNetwork } = await node.api.call("status");
        assert.deepEqual([podNetwork?.pods, podNetwork?.closedPods], [23, 0]);
        await burst[19]!.peer.call("serveTcp", { port });
        await connects(burst[0]!.peer, burst[19]!.ipv4, port);
        await Promise.all(burst.map((pod) => node.endPod(pod)));
      });

      await context.test("leave nothing behind", async () => {
        for (const pod of [server, client, other]) await node.endPod(pod);
        await eventually(async () => {
          const { podNetwork } = await node.api.call("status");
          assert.deepEqual(
            [podNetwork?.pods, podNetwork?.pools.map(({ used }) => used)],
            [0, [0, 0]],
          );
        });
        assert.equal(node.node.run("ip", "-o", "link").includes("slc"), false);
      });

      await context.test("one that the API server does not know is not attached", async () => {
        const netns = server.netns;
        const unknown = { ...server, key: "web/unknown", containerId: "unknown", netns };
        const { exitCode, result } = await node.shim("ADD", unknown);
        assert.deepEqual([exitCode, result?.code], [1, 11], JSON.stringify(result));
      });

      await context.test(
        "an agent without CAP_SYS_ADMIN says that it cannot attach pods",
        async () => {
          await second.end("SIGTERM");
          await node.startPods({ wrapper: withCapabilities(agentCapabilities) }).ready();
          const { exitCode, result } = await node.shim("ADD", server);
          assert.deepEqual([exitCode, result?.code], [1, 102], JSON.stringify(result));
          assert.match(result?.msg ?? "", /CAP_SYS_ADMIN/);
        },
      );
    }, cluster);
  });
});
