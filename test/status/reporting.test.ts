import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Problem } from "../../operator/model/records.js";
import type { NodeStatus } from "../../operator/status/describe-node.js";
import type { PolicyStatus, SetStatus } from "../../operator/status/fold.js";
import { type Cluster, withCluster } from "../support/cluster/cluster.js";
import { type Installed, installChart } from "../support/cluster/install.js";
import { eventually as eventuallySoon } from "../support/eventually.js";
import { startPaperAgent } from "./paper-agent.js";

/** Longer than two reports of a node and two of the leader at their slowest pace. */
const eventually = (check: () => void | Promise<void>) => eventuallySoon(check, 45_000);

const api = "/apis/sluice.dev/v1alpha1";
const lease = "/apis/coordination.k8s.io/v1/namespaces/sluice-system/leases/sluice-leader";

async function withChart(
  body: (cluster: Cluster, installed: Installed) => Promise<void>,
): Promise<void> {
  await withCluster(async (cluster) => body(cluster, await installChart(cluster)));
}

function policy(name: string, spec = "") {
  return `{apiVersion: sluice.dev/v1alpha1, kind: XdpPolicy, metadata: {name: ${name}},
    spec: {priority: 10, ${spec} ingress: [{name: all, action: Drop}]}}`;
}

async function statusOf<Status>(cluster: Cluster, path: string): Promise<Status> {
  const { status } = await cluster.get<{ status?: Status }>(`${api}/${path}`);
  assert.ok(status, `${path} has no status yet`);
  return status;
}

function conditionOf({ conditions }: Pick<PolicyStatus, "conditions">, type: string) {
  return conditions?.find((condition) => condition.type === type);
}

interface EventList {
  readonly items: readonly {
    readonly reason: string;
    readonly message: string;
    readonly involvedObject: { readonly kind: string; readonly name: string };
  }[];
}

async function eventsOf(cluster: Cluster, kind: string, name: string): Promise<readonly string[]> {
  const { items } = await cluster.get<EventList>("/api/v1/namespaces/default/events");
  return items
    .filter(({ involvedObject: about }) => about.kind === kind && about.name === name)
    .map(({ reason }) => reason);
}

const tooMany: Problem = {
  severity: "error",
  code: "SLUICE_TOO_MANY_RULES",
  origin: { source: "api" },
  kind: "XdpPolicy",
  name: "edge",
  message: "does not fit",
  remedy: "Use fewer rules",
};

describe("agents with the rights of the chart", () => {
  it("report their nodes, and the leader says of a policy how many nodes enforce it", async () => {
    await withChart(async (cluster, installed) => {
      await cluster.apply(policy("edge"));
      const a = await startPaperAgent(cluster, installed, "a");
      const b = await startPaperAgent(cluster, installed, "b");
      await eventually(async () => {
        const status = await statusOf<PolicyStatus>(cluster, "xdppolicies/edge");
        assert.equal(status.enforcing, "2/2");
        assert.equal(conditionOf(status, "Enforced")?.reason, "OnAllNodes");
      });
      assert.equal([a, b].filter(({ reporting }) => reporting.isLeading).length, 1);
      const node = await cluster.get<{
        metadata: { ownerReferences: { uid: string }[] };
        status: NodeStatus;
      }>(`${api}/nodedatapaths/a`);
      const owner = await cluster.get<{ metadata: { uid: string } }>("/api/v1/nodes/a");
      assert.equal(node.metadata.ownerReferences[0]?.uid, owner.metadata.uid);
      assert.equal(node.status.policies?.[0]?.state, "Enforcing");
      const table = await cluster.kubectl(["get", "xp"]);
      assert.match(table, /^NAME +PRIORITY +MODE +ENFORCING +AGE\nedge +10 +Enforce +2\/2 +\d+s/);
      assert.match(await cluster.kubectl(["get", "ndp"]), /a +1\/1 +True/);
      await eventually(async () =>
        assert.deepEqual(await eventsOf(cluster, "XdpPolicy", "edge"), ["Enforced"]),
      );
    });
  });

  it("report a policy that a node refuses, and the leader names the node", async () => {
    await withChart(async (cluster, installed) => {
      await cluster.apply(policy("edge"));
      await startPaperAgent(cluster, installed, "a", {
        edge: { inForce: false, problems: [tooMany] },
      });
      await startPaperAgent(cluster, installed, "b");
      await eventually(async () => {
        const status = await statusOf<PolicyStatus>(cluster, "xdppolicies/edge");
        assert.deepEqual(status.nodes, { desired: 2, enforcing: 1, failing: 1 });
        assert.deepEqual(status.failingNodes, [
          {
            name: "a",
            code: "SLUICE_TOO_MANY_RULES",
            message: "does not fit. Use fewer rules",
          },
        ]);
        assert.equal(conditionOf(status, "Degraded")?.status, "True");
      });
      await eventually(async () => {
        assert.deepEqual(await eventsOf(cluster, "XdpPolicy", "edge"), ["Degraded"]);
        assert.deepEqual(await eventsOf(cluster, "Node", "a"), ["PolicyRefused"]);
      });
      assert.deepEqual(await eventsOf(cluster, "Node", "b"), []);
    });
  });

  it("count the entries of a set, and refuse what the schema lets through by name", async () => {
    await withChart(async (cluster, installed) => {
      await cluster.apply(`{apiVersion: sluice.dev/v1alpha1, kind: XdpCidrSet, metadata: {name: bad},
        spec: {cidrs: [192.0.2.0/24, "2001:db8::/32"]}}`);
      await cluster.apply(
        policy("twice").replace(
          "ingress: [",
          "ingress: [{name: x, action: Drop, from: [{cidr: 192.0.2.0/24, except: [198.51.100.0/24]}]}, ",
        ),
      );
      await startPaperAgent(cluster, installed, "a");
      await eventually(async () => {
        const set = await statusOf<SetStatus>(cluster, "xdpcidrsets/bad");
        assert.deepEqual(set.entries, { ipv4: 1, ipv6: 1, total: 2 });
        const status = await statusOf<PolicyStatus>(cluster, "xdppolicies/twice");
        const accepted = conditionOf(status, "Accepted");
        assert.equal(accepted?.reason, "Invalid");
        assert.match(accepted?.message ?? "", /spec\.ingress\[0\]\.from\[0\]\.except/);
      });
    });
  });

  it("go on when the leader is gone: the next one folds what nodes said meanwhile", async () => {
    await withChart(async (cluster, installed) => {
      await cluster.apply(policy("edge"));
      const agents = [
        await startPaperAgent(cluster, installed, "a"),
        await startPaperAgent(cluster, installed, "b"),
      ];
      await eventually(async () => {
        const status = await statusOf<PolicyStatus>(cluster, "xdppolicies/edge");
        assert.equal(status.enforcing, "2/2");
      });
      const before = await statusOf<PolicyStatus>(cluster, "xdppolicies/edge");
      const leader = agents.find(({ reporting }) => reporting.isLeading);
      const other = agents.find((agent) => agent !== leader);
      await leader?.close();
      const { spec } = await cluster.get<{ spec: { holderIdentity: string } }>(lease);
      assert.equal(spec.holderIdentity, "");
      await eventually(() => assert.equal(other?.reporting.isLeading, true));
      await cluster.apply(policy("edge", "mode: Audit,"));
      await eventually(async () => {
        const status = await statusOf<PolicyStatus>(cluster, "xdppolicies/edge");
        assert.equal(status.observedGeneration, 2);
        assert.equal(conditionOf(status, "Enforced")?.status, "False");
        assert.deepEqual(
          conditionOf(status, "Accepted")?.lastTransitionTime,
          conditionOf(before, "Accepted")?.lastTransitionTime,
        );
      });
    });
  });

  it("may write no other node's NodeDatapath", async () => {
    await withChart(async (cluster, installed) => {
      const { kubeconfig } = await installed.account("a");
      await cluster.createNode("b");
      const object = (name: string) =>
        `{apiVersion: sluice.dev/v1alpha1, kind: NodeDatapath, metadata: {name: ${name}}}`;
      const apply = (name: string) =>
        cluster.kubectlAs(kubeconfig, ["apply", "--server-side", "-f", "-"], {
          input: object(name),
        });
      await eventually(async () => {
        await assert.rejects(apply("b"), /own node only, not b/);
      });
      await apply("a");
    });
  });
});
