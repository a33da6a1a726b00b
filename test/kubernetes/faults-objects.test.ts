import assert from "node:assert/strict";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { runSluicectl } from "../agent/run-cli.js";
import { cidrSet, host } from "../lifecycle/world.js";
import { type Cluster, startCluster } from "../support/cluster/cluster.js";
import { type FaultProxy, startFaultProxy } from "../support/cluster/fault-proxy.js";
import { type Installed, installChart } from "../support/cluster/install.js";
import { eventually as eventuallySoon } from "../support/eventually.js";
import { dropFrom, withNodes } from "./node.js";
import { conditionOf, eventsOf, nodeDatapath, policyStatus } from "./reported.js";

const foe = host(7);
const other = host(8);
/** Longer than two reports of a node and two of the leader at their slowest pace. */
const eventually = (check: () => void | Promise<void>) => eventuallySoon(check, 45_000);

let cluster: Cluster;
let installed: Installed;
let proxy: FaultProxy;
before(async () => {
  cluster = await startCluster();
  installed = await installChart(cluster);
  proxy = await startFaultProxy(cluster);
});
after(() => cluster?.close());
afterEach(async () => {
  proxy.heal();
  await cluster.kubectl(["delete", "xp,xcs", "--all", "--wait=false"]);
});

/** The schema cannot see that what is excepted lies elsewhere. */
const lettingThrough = (name: string, address: string) =>
  dropFrom(name, address).replace("/32}]", "/32, except: [192.0.2.0/24]}]");

describe("a policy that the schema lets through, but that cannot be meant", () => {
  it("is refused whole, told of everywhere, and in force when it is mended", async () => {
    await withNodes(cluster, installed, async ({ node }) => {
      const { startAgent, untilPasses, passes, folder, policy } = await node("node1");
      const apply = (input: string) => cluster.kubectl(["apply", "-f", "-"], { input });
      await apply(dropFrom("edge", foe));
      await startAgent().ready();
      assert.equal(await passes(foe), false);
      await apply(lettingThrough("edge", other));
      await apply(dropFrom("later", host(9)));
      await untilPasses(host(9), false);
      assert.deepEqual([await passes(foe), await passes(other)], [false, true]);
      assert.equal((await policy("edge")).generation, 1);

      const socket = join(folder, "agent.sock");
      const { out } = await runSluicectl(["status", "--socket", socket]);
      assert.match(out, /XdpPolicy edge/);
      assert.match(out, /spec\.ingress\[0\]\.from\[0\]\.except\[0\]/);
      assert.match(out, /lies outside its cidr/);
      await eventually(async () => {
        const status = await policyStatus(cluster, "edge");
        const accepted = conditionOf(status, "Accepted");
        assert.deepEqual([accepted?.status, accepted?.reason], ["False", "Invalid"]);
        assert.match(accepted?.message ?? "", /spec\.ingress\[0\]\.from\[0\]\.except\[0\]/);
        assert.equal(conditionOf(status, "Degraded")?.status, "True");
        assert.equal(status.observedGeneration, 2);
        assert.equal((await policyStatus(cluster, "later")).enforcing, "1/1");
        assert.match((await eventsOf(cluster, "XdpPolicy", "edge")).join(), /Refused/);
      });

      await apply(dropFrom("edge", other));
      await untilPasses(other, false);
      await untilPasses(foe, true);
      await eventually(async () => {
        const status = await policyStatus(cluster, "edge");
        assert.equal(conditionOf(status, "Accepted")?.status, "True");
        assert.equal(conditionOf(status, "Degraded")?.status, "False");
        assert.deepEqual([status.observedGeneration, status.enforcing], [3, "1/1"]);
        assert.match((await eventsOf(cluster, "XdpPolicy", "edge")).join(), /Accepted/);
      });
      const { out: mended } = await runSluicectl(["status", "--socket", socket]);
      assert.doesNotMatch(mended, /lies outside/);
    });
  });
});

describe("an object too large for the API server", () => {
  it("is refused to who writes it; what was there before stays, and other objects go on", async () => {
    await withNodes(cluster, installed, async ({ node }) => {
      const { startAgent, untilPasses, passes, problems } = await node("node1");
      await cluster.apply(cidrSet("foes", [`${foe}/32`]));
      await cluster.apply(dropFrom("edge", foe).replace(/cidr: [^}]+/, "cidrSet: foes"));
      await startAgent().ready();
      assert.equal(await passes(foe), false);
      /* Each is as long as it may be, and all are more than etcd takes. */
      const long = Array.from({ length: 50_000 }, (_, at) => {
        const [high, low] = [at >> 8, at & 0xff].map((part) => (0x1000 + part).toString(16));
        return `2001:db8:${high}:${low}:1111:1111:1111:1111/128`;
      });
      const input = cidrSet("foes", [...long, `${other}/32`].slice(1));
      assert.ok(input.length > 1.5 * 1024 ** 2);
      await assert.rejects(
        cluster.kubectl(["apply", "--server-side", "--force-conflicts", "-f", "-"], { input }),
        /too large|larger than max/,
      );
      await assert.rejects(cluster.kubectl(["apply", "-f", "-"], { input }), /too large|Too long/);
      await cluster.apply(dropFrom("later", host(9)));
      await untilPasses(host(9), false);
      assert.deepEqual([await passes(foe), await passes(other)], [false, true]);
      assert.deepEqual(await problems("foes"), []);
    });
  });
});

describe("a status that somebody else has written", () => {
  it("of a policy is ours again soon, without a fight over it", async () => {
    await withNodes(cluster, installed, async ({ node }) => {
      const { startAgent } = await node("node1", () => proxy.url);
      await cluster.apply(dropFrom("edge", foe));
      await startAgent().ready();
      await eventually(async () => {
        assert.equal((await policyStatus(cluster, "edge")).enforcing, "1/1");
      });
      const { conditions = [] } = await policyStatus(cluster, "edge");
      const foreign = {
        type: "Reviewed",
        status: "True",
        reason: "ByHand",
        message: "",
        lastTransitionTime: "2026-01-01T00:00:00Z",
      };
      proxy.forget();
      await overwrite("XdpPolicy", "edge", {
        observedGeneration: 1,
        enforcing: "7/9",
        conditions: [
          ...conditions.map((condition) => ({ ...condition, status: "False", reason: "Wrong" })),
          foreign,
        ],
      });
      await eventually(async () => {
        const status = await policyStatus(cluster, "edge");
        assert.equal(status.enforcing, "1/1");
        assert.equal(conditionOf(status, "Enforced")?.reason, "OnAllNodes");
        assert.equal(conditionOf(status, "Reviewed")?.reason, "ByHand");
      });
      await sleep(10_000);
      const writes = { method: "PATCH", path: /xdppolicies\/edge\/status/ };
      assert.ok(proxy.count(writes) <= 3, `${proxy.count(writes)} writes`);
      assert.equal((await policyStatus(cluster, "edge")).enforcing, "1/1");
    });
  });

  it("of a node is ours again with its next change, without a fight over it", async () => {
    await withNodes(cluster, installed, async ({ node }) => {
      const { startAgent, untilPasses } = await node("node1", () => proxy.url);
      await startAgent().ready();
      await eventually(async () => {
        assert.equal((await nodeDatapath(cluster, "node1")).attached, "1/1");
      });
      proxy.forget();
      await overwrite("NodeDatapath", "node1", { attached: "0/9", agentVersion: "another" });
      await cluster.apply(dropFrom("edge", foe));
      await untilPasses(foe, false);
      await eventually(async () => {
        const { attached, agentVersion, policies } = await nodeDatapath(cluster, "node1");
        assert.equal(attached, "1/1");
        assert.notEqual(agentVersion, "another");
        assert.equal(policies?.[0]?.name, "edge");
      });
      await sleep(12_000);
      const writes = { method: "PATCH", path: /nodedatapaths\/node1\/status/ };
      assert.ok(proxy.count(writes) <= 3, `${proxy.count(writes)} writes`);
    });
  });
});

describe("three hundred policies in one burst", () => {
  it("are all in force, after no more writes to the kernel than their number asks for", async () => {
    await withNodes(cluster, installed, async ({ node }) => {
      const { startAgent, untilPasses, api } = await node("node1", () => proxy.url);
      await startAgent().ready();
      const before = (await api.call("status")).generation;
      proxy.fail({ kind: "freeze" });
      const sources = Array.from({ length: 300 }, (_, at) =>
        at === 299 ? foe : `198.51.100.${at % 250}`,
      );
      await Promise.all(
        sources.map((source, at) => cluster.apply(dropFrom(`burst-${at}`, source))),
      );
      proxy.heal();
      await untilPasses(foe, false);
      await eventually(async () => {
        const { policies, problems } = await api.call("status");
        assert.equal(policies.filter(({ inForce }) => inForce).length, 300);
        /* That they share a priority is told in a few words: what all nodes report must stay small. */
        assert.ok(problems.every(({ severity }) => severity === "warning"));
        assert.ok(problems.every(({ message }) => message.length < 200));
      });
      const { generation } = await api.call("status");
      assert.ok(generation - before <= 10, `${generation - before} generations`);
      await cluster.request({ method: "DELETE", path: "/apis/sluice.dev/v1alpha1/xdppolicies" });
      await untilPasses(foe, true);
    });
  });
});

/** Writes a status as another controller would that thinks it is its own. */
async function overwrite(kind: string, name: string, status: object): Promise<void> {
  const object = { apiVersion: "sluice.dev/v1alpha1", kind, metadata: { name }, status };
  const flags = ["--server-side", "--force-conflicts", "--subresource=status"];
  await cluster.kubectl(["apply", ...flags, "--field-manager=another", "-f", "-"], {
    input: JSON.stringify(object),
  });
}
