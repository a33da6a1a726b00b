import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type Cluster, startCluster } from "../support/cluster/cluster.js";
import type { KubeObject } from "../support/cluster/apply.js";
import { eventually } from "../support/eventually.js";
import { release, render } from "./helm.js";
import { monitoringCrds } from "./monitoring-crds.js";
import { valueSets } from "./value-sets.js";

let cluster: Cluster;
before(async () => {
  cluster = await startCluster();
  await cluster.apply(monitoringCrds as readonly KubeObject[]);
  await cluster.apply({
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name: release.namespace },
  });
  for (const plural of ["podmonitors", "prometheusrules"]) {
    await eventually(() => cluster.get(`/apis/monitoring.coreos.com/v1/${plural}`));
  }
});
after(() => cluster?.close());

const dryRun = ["apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-"];

describe("every object of the chart is accepted by the API server", () => {
  for (const [name, values] of Object.entries(valueSets)) {
    it(`for ${name}`, async () => {
      const { objects } = await render(values);
      const input = objects.map((object) => JSON.stringify(object)).join("\n---\n");
      const out = await cluster.kubectl([...dryRun, "--output=name"], { input });
      assert.equal(out.trim().split("\n").length, objects.length);
    });
  }
});

it("a field that the kind does not have would be found", async () => {
  const monitored = await render(valueSets["a cluster with the Prometheus operator"]);
  const podMonitor = monitored.one("PodMonitor") as KubeObject & { readonly spec: object };
  const wrong = { ...podMonitor, spec: { ...podMonitor.spec, endpoints: [] } };
  await assert.rejects(
    cluster.kubectl(dryRun, { input: JSON.stringify(wrong) }),
    /endpoints.*(not declared|unknown)|unknown field/,
  );
});

interface DaemonSet extends KubeObject {
  readonly spec: { readonly template: { readonly metadata: object; readonly spec: object } };
}

describe("pod security", () => {
  const inNamespace = async (level: string): Promise<string> => {
    const namespace = `level-${level}`;
    await cluster.apply([
      {
        apiVersion: "v1",
        kind: "Namespace",
        metadata: { name: namespace, labels: { "pod-security.kubernetes.io/enforce": level } },
      },
      { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "sluice", namespace } },
    ]);
    const rendered = await render({ priorityClassName: "" });
    const { metadata, spec } = (rendered.one("DaemonSet") as DaemonSet).spec.template;
    const pod = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { ...metadata, name: "p", namespace },
      spec,
    };
    const { status, text } = await cluster.rest.send({
      method: "POST",
      path: `/api/v1/namespaces/${namespace}/pods?dryRun=All&fieldValidation=Strict`,
      body: pod,
    });
    return `${status} ${text}`;
  };

  it("of level privileged lets the agent's pod run", async () => {
    assert.match(await inNamespace("privileged"), /^201 /);
  });

  it("of level baseline does not, for what the node's network and kernel need", async () => {
    const answer = await inNamespace("baseline");
    assert.match(answer, /^403 /);
    for (const why of ["host namespaces", "hostPath volumes", "hostPort", "capabilities"]) {
      assert.ok(answer.includes(why), `${why}: ${answer}`);
    }
  });
});
