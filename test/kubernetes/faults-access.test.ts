import assert from "node:assert/strict";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { host } from "../lifecycle/world.js";
import { issue } from "../support/cluster/certificates.js";
import { type Cluster, startCluster } from "../support/cluster/cluster.js";
import { type FaultProxy, startFaultProxy } from "../support/cluster/fault-proxy.js";
import { type Installed, installChart } from "../support/cluster/install.js";
import { eventually } from "../support/eventually.js";
import { dropFrom, withNodes } from "./node.js";
import { errorsOf, gapsOf, policyWatches, sourceOf } from "./watching.js";

const foe = host(7);
const other = host(8);
const binding = "clusterrolebinding/sluice";

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
  proxy.useCertificate(cluster.certificates.serving);
  proxy.forget();
  await cluster.kubectl(["delete", "xp", "--all", "--wait=false"]);
});

describe("an agent that is refused by the API server", () => {
  it("because its rights were taken keeps the last state, names the right, and asks less and less", async () => {
    await withNodes(cluster, installed, async ({ node }) => {
      const { startAgent, untilPasses, passes, api } = await node("node1", () => proxy.url);
      await cluster.apply(dropFrom("edge", foe));
      await startAgent().ready();
      const role = await cluster.kubectl(["get", binding, "-o", "json"]);
      await cluster.kubectl(["delete", binding]);
      try {
        proxy.forget();
        // An open watch is not asked for its rights again.
        proxy.dropConnections();
        await eventually(() => assert.ok(proxy.count(policyWatches) >= 4), 30_000);
        for (const [index, gapMs] of gapsOf(proxy, policyWatches).entries()) {
          assert.ok(gapMs >= 500 * 2 ** index, `gap ${index}: ${gapMs} ms`);
        }
        const { errors, isConnected, isSynced } = await sourceOf(api);
        assert.deepEqual([isConnected, isSynced], [false, true]);
        assert.match(
          errors.join("\n"),
          /xdppolicies\.sluice\.dev is forbidden: User "system:serviceaccount:sluice-system:sluice" cannot watch resource "xdppolicies"/,
        );
        const { problems, inSync } = await api.call("status");
        const problem = problems.find(({ code }) => code === "SLUICE_KUBE_FORBIDDEN");
        assert.match(problem?.message ?? "", /cannot watch resource.*what was last read stays/);
        assert.match(problem?.remedy ?? "", /Grant the permission/);
        assert.equal(inSync, true);
        assert.equal(await passes(foe), false);
      } finally {
        await cluster.kubectl(["create", "-f", "-"], { input: withoutVersion(role) });
      }
      await cluster.apply(dropFrom("other", other));
      await untilPasses(other, false);
      assert.equal(await passes(foe), false);
      await eventually(async () => {
        assert.deepEqual(await errorsOf(api), []);
      }, 20_000);
    });
  });

  it("because its token has expired goes on by itself when the file is replaced", async () => {
    await withNodes(cluster, installed, async ({ node }) => {
      const world = await node("node1", () => proxy.url);
      const { startAgent, untilPasses, passes, api, account } = world;
      await cluster.apply(dropFrom("edge", foe));
      await startAgent().ready();
      const fresh = account.token();
      await account.renewToken(-120);
      const expired = account.token();
      proxy.forget();
      // What the agent has read it holds for 10 s.
      await eventually(() => {
        assert.equal(proxy.requests.at(-1)?.authorization, `Bearer ${expired}`);
      }, 15_000);
      assert.equal(proxy.requests[0]?.authorization, `Bearer ${fresh}`);
      proxy.dropConnections();
      await eventually(async () => {
        const { errors, isConnected } = await sourceOf(api);
        assert.equal(isConnected, false);
        assert.match(errors.join("\n"), /answered with 401: Unauthorized/);
      });
      const { problems } = await api.call("status");
      const problem = problems.find(({ code }) => code === "SLUICE_KUBE_UNAUTHORIZED");
      assert.match(problem?.remedy ?? "", /Renew the token/);
      assert.equal(await passes(foe), false);
      await cluster.apply(dropFrom("other", other));
      await account.renewToken();
      await untilPasses(other, false);
      assert.equal(await passes(foe), false);
    });
  });

  it("uses a token that was rotated in time without an interruption", async () => {
    await withNodes(cluster, installed, async ({ node }) => {
      const world = await node("node1", () => proxy.url);
      const { startAgent, untilPasses, api, account } = world;
      await startAgent().ready();
      const before = account.token();
      await account.renewToken();
      assert.notEqual(account.token(), before);
      proxy.forget();
      await eventually(() => {
        assert.equal(proxy.requests.at(-1)?.authorization, `Bearer ${account.token()}`);
      }, 15_000);
      await cluster.apply(dropFrom("edge", foe));
      await untilPasses(foe, false);
      const { kinds, isConnected } = await sourceOf(api);
      assert.equal(isConnected, true);
      assert.deepEqual(
        kinds.map(({ streams }) => streams),
        kinds.map(() => 1),
      );
    });
  });
});

describe("an agent whose CA did not sign the server's certificate", () => {
  it("says so, sends nothing to that server, and connects when its CA is replaced", async () => {
    await withNodes(cluster, installed, async ({ node }) => {
      const world = await node("node1", () => proxy.url);
      const { startAgent, untilPasses, passes, api, account } = world;
      await cluster.apply(dropFrom("edge", foe));
      const stranger = issue(cluster.folder, "stranger", "ca", "/CN=stranger");
      copyFileSync(stranger.certificate, join(account.folder, "ca.crt"));
      proxy.forget();
      const agent = startAgent();
      const problem = await eventuallyProblem(api, "SLUICE_KUBE_UNREACHABLE");
      assert.match(problem.message, /certificate/);
      assert.match(problem.message, /nothing changes until it is read/);
      assert.match(problem.remedy, /the CA that signed its certificate/);
      const { inSync, source } = await api.call("status");
      assert.deepEqual([inSync, source?.isSynced], [false, false]);
      assert.equal(await passes(foe), true);
      assert.equal(proxy.requests.length, 0);
      copyFileSync(cluster.caFile, join(account.folder, "ca.crt"));
      /* The file is read every 10 s, and the next try may come as late as that again. */
      await eventually(() => agent.ready(), 40_000);
      await untilPasses(foe, false);
    });
  });

  it("keeps the state of before, when the server's certificate is another's all of a sudden", async () => {
    await withNodes(cluster, installed, async ({ node }) => {
      const { startAgent, untilPasses, passes, api } = await node("node1", () => proxy.url);
      await cluster.apply(dropFrom("edge", foe));
      await startAgent().ready();
      proxy.useCertificate(
        issue(
          cluster.folder,
          "impostor",
          "server",
          "/CN=kube-apiserver",
          issue(cluster.folder, "stranger", "ca", "/CN=stranger"),
        ),
      );
      proxy.dropConnections();
      await eventuallyProblem(api, "SLUICE_KUBE_UNREACHABLE");
      proxy.forget();
      await cluster.kubectl(["delete", "xp", "edge"]);
      await eventually(async () =>
        assert.match((await sourceOf(api)).errors[0] ?? "", /certificate/),
      );
      assert.equal(await passes(foe), false);
      assert.equal(proxy.requests.length, 0);
      proxy.useCertificate(cluster.certificates.serving);
      await untilPasses(foe, true);
    });
  });
});

function withoutVersion(json: string): string {
  const { metadata, ...object } = JSON.parse(json) as { metadata: Record<string, unknown> };
  const { resourceVersion, uid, ...rest } = metadata;
  assert.ok(resourceVersion !== undefined && uid !== undefined);
  return JSON.stringify({ ...object, metadata: rest });
}

async function eventuallyProblem(
  api: Parameters<typeof sourceOf>[0],
  code: string,
): Promise<{ readonly message: string; readonly remedy: string }> {
  let found: { readonly message: string; readonly remedy: string } | undefined;
  await eventually(async () => {
    const status = await api.call("status");
    found = status.problems.find((problem) => problem.code === code);
    assert.ok(found, JSON.stringify(status.problems));
  });
  assert.ok(found);
  return found;
}
