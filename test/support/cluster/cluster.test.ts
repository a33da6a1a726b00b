import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Cluster, startCluster } from "./cluster.js";

let cluster: Cluster;
before(async () => {
  cluster = await startCluster();
});
after(() => cluster?.close());

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
  const conditions = await cluster.kubectl([
    "get",
    "crd",
    "-o",
    'jsonpath={range .items[*]}{.metadata.name} {.status.conditions[?(@.type=="Established")].status}{"\\n"}{end}',
  ]);
  assert.deepEqual(conditions.trim().split("\n"), [
    "nodedatapaths.sluice.dev True",
    "xdpcidrsets.sluice.dev True",
    "xdppolicies.sluice.dev True",
  ]);
});
