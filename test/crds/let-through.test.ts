import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type Cluster, startCluster } from "../support/cluster/cluster.js";
import type { JsonObject } from "./complete-objects.js";
import { admitCopy, collectionOf, dryRun } from "./dry-run.js";
import { isLetThrough, letThrough } from "./let-through.js";

let cluster: Cluster;
before(async () => {
  cluster = await startCluster();
  await cluster.installCrds();
});
after(() => cluster?.close());

let count = 0;

function objectOf(kind: "XdpPolicy" | "XdpCidrSet", spec: JsonObject): JsonObject {
  const metadata = { name: `object-${++count}` };
  return { apiVersion: "sluice.dev/v1alpha1", kind, metadata, spec };
}

/** Creates the object, and resolves with what the agents read of it. */
function create(object: JsonObject): Promise<JsonObject> {
  return cluster.request<JsonObject>({
    method: "POST",
    path: `${collectionOf(object)}?fieldValidation=Strict`,
    body: object,
  });
}

describe("invalid objects that the schema lets through are refused by the agent:", () => {
  for (const { title, code, spec, message } of letThrough) {
    it(title, async () => {
      const stored = await create(objectOf("XdpPolicy", spec));
      const { admitted, problems } = admitCopy(stored);
      assert.equal(admitted, undefined);
      const [problem] = problems;
      assert.equal(problem?.code, code);
      assert.match(problem.message, message);
      assert.match(problem.remedy, /\w/);
      assert.ok(isLetThrough(problem, stored));
    });
  }

  it("but what is null the API server takes out, and the default stands there", async () => {
    const spec = { priority: 1, mode: null, confirmWithin: null, ingress: null };
    const stored = await create(objectOf("XdpPolicy", spec));
    const { admitted, problems } = admitCopy(stored);
    assert.deepEqual(problems, []);
    assert.ok(admitted?.draft.kind === "XdpPolicy");
    assert.equal(admitted.draft.mode, "Enforce");
    assert.equal(admitted.draft.confirmWithinMs, undefined);
  });
});

describe("objects that mean nothing are accepted by both, and the agent warns:", () => {
  const rule = (fields: JsonObject) => ({
    priority: 1,
    ingress: [{ name: "a", action: "Drop", ...fields }],
  });
  const past = "2020-01-01T00:00:00Z";
  const cases: readonly [string, "XdpPolicy" | "XdpCidrSet", JsonObject, string][] = [
    ["a rule that has ended", "XdpPolicy", rule({ expiresAt: past }), "SLUICE_EXPIRED"],
    [
      "a member of a set that has ended",
      "XdpCidrSet",
      { expiring: [{ cidr: "192.0.2.1", expiresAt: past }] },
      "SLUICE_EXPIRED",
    ],
    [
      "a rule whose fields are of different families",
      "XdpPolicy",
      rule({ from: [{ cidr: "10.0.0.0/8" }], protocols: [{ icmpv6: {} }] }),
      "SLUICE_MIXED_FAMILIES",
    ],
    [
      "a burst smaller than one frame",
      "XdpPolicy",
      rule({ action: "Limit", rateLimit: { bytesPerSecond: 1000 } }),
      "SLUICE_SMALL_BURST",
    ],
  ];
  for (const [title, kind, spec, code] of cases) {
    it(title, async () => {
      const { admitted, problems } = admitCopy(await create(objectOf(kind, spec)));
      assert.ok(admitted);
      assert.deepEqual(
        problems.map(({ severity, code: found }) => [severity, found]),
        [["warning", code]],
      );
    });
  }

  it("and a set that is not there matches nothing, without a warning", async () => {
    const stored = await create(objectOf("XdpPolicy", rule({ from: [{ cidrSet: "absent" }] })));
    const { admitted, problems } = admitCopy(stored);
    assert.ok(admitted);
    assert.deepEqual(problems, []);
  });
});

describe("an object too big", () => {
  const list = <T>(length: number, make: (index: number) => T) =>
    Array.from({ length }, (_, i) => make(i));
  const v4 = (i: number) => `${1 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}.0/24`;
  const v6 = (i: number) => `2001:db8:1000:2000:3000:4000:5000:${(i + 0x1000).toString(16)}/128`;
  const ending = (i: number) => ({ cidr: v6(i), expiresAt: "2100-01-01T00:00:00Z" });

  it("is none with 50,000 members of IPv4", async () => {
    const stored = await create(objectOf("XdpCidrSet", { cidrs: list(50_000, v4) }));
    assert.ok(admitCopy(stored).admitted);
  });

  it("has one member too many, and both say how many fit", async () => {
    const object = objectOf("XdpCidrSet", { cidrs: list(50_001, v4) });
    const { refusals } = await dryRun(cluster, object);
    assert.deepEqual(refusals, [
      { field: "spec.cidrs", message: "Too many: 50001: must have at most 50000 items" },
    ]);
    const { admitted, problems } = admitCopy(object);
    assert.equal(admitted, undefined);
    assert.deepEqual(
      problems.map(({ field, message }) => [field, message]),
      [["spec.cidrs", "has 50001 entries, more than the 50000 that one list may hold"]],
    );
    assert.match(problems[0]?.remedy ?? "", /Split the list over several objects/);
  });

  it("is more than etcd takes: the schema is kept, and the server says 500", async () => {
    const object = objectOf("XdpCidrSet", { cidrs: list(50_000, v6) });
    assert.ok(JSON.stringify(object).length > 2 ** 21);
    assert.equal((await dryRun(cluster, object)).accepted, true);
    await assert.rejects(create(object), /500 .*larger than max/s);
    const smaller = objectOf("XdpCidrSet", { cidrs: list(40_000, v6) });
    assert.ok(JSON.stringify(smaller).length > 1.5 * 2 ** 20);
    await assert.rejects(create(smaller), /500 .*etcdserver: request is too large/s);
    await create(objectOf("XdpCidrSet", { cidrs: list(30_000, v6) }));
  });

  it("is more than the API server reads: it says 413 and the limit", async () => {
    const object = objectOf("XdpCidrSet", { expiring: list(50_000, ending) });
    const { status, message } = await dryRun(cluster, object);
    assert.equal(status, 413);
    assert.equal(message, "Request entity too large: limit is 3145728");
  });

  it("is a set that kubectl apply would keep a copy of: server-side apply keeps none", async () => {
    const input = JSON.stringify(objectOf("XdpCidrSet", { cidrs: list(20_000, v4) }));
    await assert.rejects(
      cluster.kubectl(["apply", "-f", "-"], { input }),
      /metadata\.annotations: Too long: may not be more than 262144 bytes/,
    );
    await cluster.kubectl(["apply", "--server-side", "-f", "-"], { input });
  });
});
