import assert from "node:assert/strict";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { stringify } from "yaml";
import { type KubeObject, parseObjects } from "../support/cluster/apply.js";
import { type Cluster, withCluster } from "../support/cluster/cluster.js";
import { chartFolder } from "../support/cluster/install.js";
import { helm, release, type Values } from "./helm.js";

const { name, namespace } = release;
const inNamespace = ["-n", namespace];

interface Crd extends KubeObject {
  readonly spec: {
    readonly versions: readonly [{ readonly additionalPrinterColumns?: readonly object[] }];
  };
}

/** A copy of the chart as an earlier release may have been: its XdpPolicy prints no columns. */
function earlierChart(cluster: Cluster): string {
  const folder = join(cluster.folder, "earlier");
  cpSync(chartFolder, folder, { recursive: true, dereference: true });
  const file = join(folder, "files/crds/xdppolicies.yaml");
  const [crd] = parseObjects(readFileSync(file, "utf8")) as readonly Crd[];
  const [{ additionalPrinterColumns: _, ...version }] = crd!.spec.versions;
  writeFileSync(file, stringify({ ...crd, spec: { ...crd!.spec, versions: [version] } }));
  return folder;
}

async function columnsOfXdpPolicy(cluster: Cluster): Promise<number> {
  const { spec } = await cluster.get<Crd>(
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/xdppolicies.sluice.dev",
  );
  const columns = spec.versions[0].additionalPrinterColumns ?? [];
  // Without columns of its own, the API server adds the age.
  return columns.length <= 1 ? 0 : columns.length;
}

async function agentConfig(cluster: Cluster): Promise<string> {
  const { data } = await cluster.get<{ readonly data: Record<string, string> }>(
    `/api/v1/namespaces/${namespace}/configmaps/${name}`,
  );
  return data["agent.yaml"] ?? "";
}

/** Which of these objects the API server has. */
async function present(
  cluster: Cluster,
  objects: readonly KubeObject[],
): Promise<readonly string[]> {
  const input = objects.map((object) => JSON.stringify(object)).join("\n---\n");
  const out = await cluster.kubectl(["get", "--ignore-not-found", "-o", "name", "-f", "-"], {
    input,
  });
  return out.split("\n").filter((line) => line !== "");
}

async function manifest(cluster: Cluster): Promise<readonly KubeObject[]> {
  return parseObjects(await helm(cluster, ["get", "manifest", name, ...inNamespace]));
}

const policy = {
  apiVersion: "sluice.dev/v1alpha1",
  kind: "XdpPolicy",
  metadata: { name: "edge" },
  spec: { priority: 100, ingress: [{ name: "all", action: "Drop" }] },
};
const policyPath = "/apis/sluice.dev/v1alpha1/xdppolicies/edge";
const specOf = async (cluster: Cluster) =>
  (await cluster.get<{ readonly spec: object }>(policyPath)).spec;

test("the chart is installed, upgraded, rolled back and uninstalled", async () => {
  await withCluster(async (cluster) => {
    const upgrade = (values: Values, chart = chartFolder) =>
      helm(cluster, ["upgrade", name, chart, ...inNamespace, "--values", "-"], values);

    const earlier = earlierChart(cluster);
    const notes = await helm(
      cluster,
      [
        "install",
        name,
        earlierChart(cluster),
        ...inNamespace,
        "--create-namespace",
        "--values",
        "-",
      ],
      { logLevel: "warn" },
    );
    assert.match(notes, /No apiServers are set/);
    assert.match(notes, /What is in the kernel stays/);
    const installed = await manifest(cluster);
    assert.equal((await present(cluster, installed)).length, installed.length);
    assert.equal(await columnsOfXdpPolicy(cluster), 0);
    await cluster.apply(policy);
    const spec = await specOf(cluster);

    // An upgrade brings new values, and a new CRD without touching the objects of its kind.
    const upgraded = await upgrade({ logLevel: "debug", apiServers: ["192.0.2.10:6443"] });
    assert.doesNotMatch(upgraded, /No apiServers are set/);
    assert.ok((await columnsOfXdpPolicy(cluster)) > 0);
    assert.match(await agentConfig(cluster), /^logLevel: debug$/m);
    assert.deepEqual(await specOf(cluster), spec);

    // A roll-back brings back both.
    await helm(cluster, ["rollback", name, "1", ...inNamespace]);
    assert.equal(await columnsOfXdpPolicy(cluster), 0);
    assert.match(await agentConfig(cluster), /^logLevel: warn$/m);
    assert.deepEqual(await specOf(cluster), spec);

    // CRDs that the chart shall not install any more are not taken away.
    await upgrade({ crds: { install: false } });
    assert.deepEqual(await specOf(cluster), spec);
    await upgrade({ crds: { install: true } }, earlier);
    assert.equal(await columnsOfXdpPolicy(cluster), 0);
    assert.deepEqual(await specOf(cluster), spec);

    // A release is kept in a Secret, which holds no more than a mebibyte.
    const { items } = await cluster.get<{
      readonly items: readonly { readonly data: { readonly release: string } }[];
    }>(`/api/v1/namespaces/${namespace}/secrets?labelSelector=owner%3Dhelm`);
    assert.equal(items.length, 5);
    for (const { data } of items) assert.ok(data.release.length < 256 * 1024);

    const all = await manifest(cluster);
    const isCrd = ({ kind }: KubeObject) => kind === "CustomResourceDefinition";
    const uninstalled = await helm(cluster, ["uninstall", name, ...inNamespace]);
    assert.match(uninstalled, /kept due to the resource policy/);
    assert.equal((await present(cluster, all.filter(isCrd))).length, 3);
    assert.deepEqual(
      await present(
        cluster,
        all.filter((object) => !isCrd(object)),
      ),
      [],
    );
    assert.deepEqual(await specOf(cluster), spec);

    // The next install of the same name takes the CRDs that stayed, and renews them.
    await helm(cluster, ["install", name, chartFolder, ...inNamespace]);
    assert.ok((await columnsOfXdpPolicy(cluster)) > 0);
    assert.deepEqual(await specOf(cluster), spec);
  });
});

test("a failed upgrade leaves the CRDs and policies, and can be repeated", async () => {
  await withCluster(async (cluster) => {
    await helm(cluster, ["install", name, chartFolder, ...inNamespace, "--create-namespace"]);
    await cluster.apply(policy);
    // There is no Prometheus operator.
    const values = { metrics: { listen: "NodeAddress" }, podMonitor: { enabled: true } };
    const upgrade = ["upgrade", name, chartFolder, ...inNamespace, "--values", "-"];
    await assert.rejects(helm(cluster, upgrade, values), /no matches for kind "PodMonitor"/);
    await specOf(cluster);
    await helm(cluster, upgrade, {});
    await specOf(cluster);
  });
});
