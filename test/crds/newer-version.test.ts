import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { parse } from "yaml";
import type { KubeObject } from "../../operator/kube/object.js";
import type { Problem } from "../../operator/model/records.js";
import { HeldManifests } from "../../operator/source/held-manifests.js";
import { type Cluster, startCluster } from "../support/cluster/cluster.js";
import type { JsonObject } from "./complete-objects.js";
import { admitCopy, collectionOf, dryRun } from "./dry-run.js";
import { replaceAt } from "./places.js";

const FILE = new URL("../../../crds/xdppolicies.yaml", import.meta.url);

let cluster: Cluster;
before(async () => {
  cluster = await startCluster();
  await cluster.installCrds();
});
after(() => cluster?.close());

interface Version extends JsonObject {
  readonly name: string;
}

interface CrdFile extends JsonObject {
  readonly spec: { readonly versions: readonly [Version]; readonly [field: string]: unknown };
}

const crd = parse(readFileSync(FILE, "utf8")) as CrdFile;
const [present] = crd.spec.versions;
const schema = ["schema", "openAPIV3Schema", "properties", "spec", "properties"];
const ruleSchema = [...schema, "ingress", "items", "properties"];

/** The schema of a version that knows a field more: a condition of rules. */
const withTtl = replaceAt(present, [...ruleSchema, "ttl"], {
  type: "integer",
  description: "Time to live that a packet has.",
  minimum: 0,
  maximum: 255,
}) as Version;

/** Installs the CRD with these versions, and waits until an object is taken. */
async function installVersions(versions: readonly JsonObject[], probe: JsonObject): Promise<void> {
  const { versions: _, ...spec } = crd.spec;
  const object = { ...crd, spec: { ...spec, versions } } as never;
  await cluster.apply(object);
  const deadline = Date.now() + 30_000;
  while (!(await dryRunOrFail(probe)) && Date.now() < deadline) await sleep(100);
  assert.ok(await dryRunOrFail(probe));
}

/** While a version is not served yet, the answer is a 404 in plain text. */
async function dryRunOrFail(object: JsonObject): Promise<boolean> {
  return dryRun(cluster, object).then(
    ({ accepted }) => accepted,
    () => false,
  );
}

function policy(version: string, name: string, rule: JsonObject): JsonObject {
  return {
    apiVersion: `sluice.dev/${version}`,
    kind: "XdpPolicy",
    metadata: { name },
    spec: { priority: 1, ingress: [{ name: "a", action: "Accept", ...rule }] },
  };
}

async function create(object: JsonObject): Promise<void> {
  const path = `${collectionOf(object)}?fieldValidation=Strict`;
  await cluster.request({ method: "POST", path, body: object });
}

/** The object in the version that this agent reads. */
function read(name: string): Promise<JsonObject> {
  return cluster.get(`/apis/sluice.dev/v1alpha1/xdppolicies/${name}`);
}

function errorsOf({ problems }: { readonly problems: readonly Problem[] }) {
  return problems.map(({ severity, code, field, remedy }) => ({ severity, code, field, remedy }));
}

const UPGRADE = "Upgrade this agent: the CRD in the cluster is newer than it; or remove the field";

describe("a CRD that is newer than the agent", () => {
  it("may have a field more: an object with it is refused whole, one without is not", async () => {
    await installVersions([withTtl], policy("v1alpha1", "probe", { ttl: 1 }));
    await create(policy("v1alpha1", "with-ttl", { ttl: 255 }));
    await create(policy("v1alpha1", "plain", {}));

    // Without the condition the rule would accept every packet.
    const refused = admitCopy(await read("with-ttl"));
    assert.equal(refused.admitted, undefined);
    assert.deepEqual(errorsOf(refused), [
      {
        severity: "error",
        code: "SLUICE_UNKNOWN_FIELD",
        field: "spec.ingress[0].ttl",
        remedy: UPGRADE,
      },
    ]);
    assert.ok(admitCopy(await read("plain")).admitted);
  });

  it("leaves the last good version of an object in force, and the problem says which", async () => {
    const objects = new HeldManifests("XdpPolicy", { hasGeneration: true });
    await create(policy("v1alpha1", "changed", {}));
    const event = objects.upsert((await read("changed")) as KubeObject, Date.now());
    assert.equal(event?.type, "upsert");

    const body = JSON.stringify([{ op: "add", path: "/spec/ingress/0/ttl", value: 255 }]);
    await cluster.kubectl(["patch", "xp", "changed", "--type=json", "-p", body]);
    const changed = (await read("changed")) as KubeObject;
    assert.equal(changed.metadata.generation, 2);
    assert.equal(objects.upsert(changed, Date.now()), undefined);
    const [problem] = objects.problems();
    assert.equal(problem?.code, "SLUICE_UNKNOWN_FIELD");
    assert.equal(problem.keptGeneration, 1);
  });

  it("may allow a value more, which is refused in the same way", async () => {
    const actions = ["Accept", "Drop", "Pass", "Limit", "Redirect", "Reject"];
    const wider = replaceAt(present, [...ruleSchema, "action", "enum"], actions);
    await installVersions([wider], policy("v1alpha1", "probe", { action: "Reject" }));
    await create(policy("v1alpha1", "reject", { action: "Reject" }));
    const [problem] = errorsOf(admitCopy(await read("reject")));
    assert.equal(problem?.field, "spec.ingress[0].action");
    assert.match(problem.remedy, /upgrade this agent, if the CRD is newer/);
  });

  it("may have a version more: what is stored in the one is served in the other", async () => {
    const next = { ...withTtl, name: "v1beta1", storage: true };
    const versions = [{ ...withTtl, storage: false }, next];
    await installVersions(versions, policy("v1beta1", "probe", { ttl: 1 }));
    await create(policy("v1beta1", "beta", {}));
    await create(policy("v1beta1", "beta-ttl", { ttl: 255 }));
    assert.ok(admitCopy(await read("beta")).admitted);
    assert.equal(errorsOf(admitCopy(await read("beta-ttl")))[0]?.field, "spec.ingress[0].ttl");

    const old = await cluster.get<JsonObject>("/apis/sluice.dev/v1beta1/xdppolicies/plain");
    assert.equal(old["apiVersion"], "sluice.dev/v1beta1");
    const { status } = await cluster.get<{ readonly status: JsonObject }>(
      "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/xdppolicies.sluice.dev",
    );
    assert.deepEqual(status["storedVersions"], ["v1alpha1", "v1beta1"]);
  });

  it("must have a new field in every version: from one without it the server cuts it out", async () => {
    const next = { ...withTtl, name: "v1beta1", storage: true };
    await installVersions(
      [{ ...present, storage: false }, next],
      policy("v1beta1", "probe", { ttl: 1 }),
    );
    await create(policy("v1beta1", "cut", { ttl: 255 }));
    const deadline = Date.now() + 30_000;
    const isCut = async () => admitCopy(await read("cut")).admitted !== undefined;
    while (!(await isCut()) && Date.now() < deadline) await sleep(100);
    // This is why docs/crds.md forbids it: the agent cannot see that the rule was meant narrower.
    assert.ok(await isCut());
    assert.ok(!JSON.stringify((await read("cut"))["spec"]).includes("ttl"));
  });
});

describe("a CRD that is older than the agent", () => {
  it("refuses a field that it does not know, unless the writer asks it not to look", async () => {
    await installVersions(
      [
        { ...present, storage: true },
        { ...withTtl, name: "v1beta1", storage: false, served: false },
      ],
      policy("v1alpha1", "probe", {}),
    );
    const object = policy("v1alpha1", "early", { ttl: 255 });
    const { refusals } = await dryRun(cluster, object);
    assert.deepEqual(
      refusals.map(({ field }) => field),
      ["spec.ingress[0].ttl"],
    );
    await assert.rejects(
      cluster.kubectl(["create", "-f", "-"], { input: JSON.stringify(object) }),
      /unknown field "spec\.ingress\[0\]\.ttl"/,
    );
  });
});
