import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Cluster, startCluster } from "./cluster.js";

let cluster: Cluster;
before(async () => {
  cluster = await startCluster();
});
after(() => cluster?.close());

interface Review {
  readonly status: {
    readonly userInfo: {
      readonly username: string;
      readonly extra: Readonly<Record<string, readonly string[]>>;
    };
  };
}

const selfReview = {
  method: "POST",
  path: "/apis/authentication.k8s.io/v1/selfsubjectreviews",
  body: { apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" },
} as const;

test("kubectl and the API server have the same version", async () => {
  const text = await cluster.kubectl(["version", "-o", "json"]);
  const { clientVersion, serverVersion } = JSON.parse(text) as Record<
    string,
    { readonly gitVersion: string }
  >;
  assert.match(serverVersion?.gitVersion ?? "", /^v1\.\d+\.\d+$/);
  assert.equal(clientVersion?.gitVersion, serverVersion?.gitVersion);
});

test("the CRDs of the repository are accepted and established", async () => {
  await cluster.installCrds();
  const status = '{.metadata.name} {.status.conditions[?(@.type=="Established")].status}{"\\n"}';
  const out = await cluster.kubectl([
    ...["get", "crd", "-o", `jsonpath={range .items[*]}${status}{end}`],
  ]);
  assert.deepEqual(out.trim().split("\n"), [
    "nodedatapaths.sluice.dev True",
    "xdpcidrsets.sluice.dev True",
    "xdppolicies.sluice.dev True",
  ]);
});

test("objects of YAML are created and changed", async () => {
  const yaml = (value: string) => `
apiVersion: v1
kind: Namespace
metadata: {name: apply}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: apply}
data: {key: ${value}}
`;
  await cluster.apply(yaml("one"));
  const [, changed] = await cluster.apply(yaml("two"));
  assert.deepEqual(changed?.["data"], { key: "two" });
  const path = "/api/v1/namespaces/apply/configmaps/settings";
  assert.deepEqual((await cluster.get<{ readonly data: unknown }>(path)).data, { key: "two" });
});

test("a token without rights is denied, until a role is bound", async () => {
  const account = await cluster.agentAccount("rbac", { serviceAccount: "nobody" });
  await assert.rejects(
    cluster.kubectlAs(account.kubeconfig, ["get", "nodes"]),
    /Forbidden.*system:serviceaccount:sluice-system:nobody.*cannot list resource "nodes"/,
  );
  await cluster.kubectl(["create", "clusterrole", "see-nodes", "--verb=list", "--resource=nodes"]);
  await cluster.kubectl([
    ...["create", "clusterrolebinding", "see-nodes", "--clusterrole=see-nodes"],
    "--serviceaccount=sluice-system:nobody",
  ]);
  assert.match(await cluster.kubectlAs(account.kubeconfig, ["get", "nodes", "-o", "name"]), /rbac/);
});

test("a token names the node of its pod", async () => {
  await cluster.createNode("claimed", { labels: { role: "edge" }, addresses: ["192.0.2.7"] });
  const { token } = await cluster.agentAccount("claimed");
  const { status } = await cluster.request<Review>({ ...selfReview, token: token() });
  assert.equal(status.userInfo.username, "system:serviceaccount:sluice-system:sluice-agent");
  assert.deepEqual(status.userInfo.extra["authentication.kubernetes.io/node-name"], ["claimed"]);
});

test("an expired token is refused, and a renewed one works", async () => {
  const account = await cluster.agentAccount("expiry");
  const ask = async () =>
    (await cluster.rest.send({ ...selfReview, token: account.token() })).status;
  await account.renewToken(-120);
  assert.equal(await ask(), 401);
  await account.renewToken(60);
  assert.equal(await ask(), 201);
  await account.renewToken();
  assert.equal(await ask(), 201);
});
