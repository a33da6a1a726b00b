import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { ObservedFolder } from "../../test/support/observed-folder.js";

const clusterKinds = ["Namespace", "Pod", "NetworkPolicy", "ClusterNetworkPolicy"] as const;

const POD = `apiVersion: v1
kind: Pod
metadata: {name: a, namespace: web, labels: {app: shop}}
spec: {nodeName: node1}
status: {podIPs: [{ip: 10.244.1.2}, {ip: "fd00::2"}]}
`;
const POLICY = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: web}
spec: {podSelector: {}}
`;
const NAMESPACE = "{apiVersion: v1, kind: Namespace, metadata: {name: web}}\n";

let source: ObservedFolder;

beforeEach(() => {
  source = new ObservedFolder();
});

afterEach(async () => {
  await source.remove();
});

describe("Kubernetes' own kinds in a folder", () => {
  it("are told like those of an API server when they are asked for, what is referred to first", async () => {
    source.write("all.yaml", [POLICY, POD, NAMESPACE].join("---\n"));
    await source.start({ clusterKinds });
    const { objects, problems } = source;
    assert.deepEqual(problems, []);
    assert.deepEqual([...objects.keys()], ["Namespace/web", "Pod/web/a", "NetworkPolicy/web/deny"]);
    const pod = objects.get("Pod/web/a");
    assert.ok(pod?.kind === "Pod");
    assert.equal(pod.ipv4, 0x0af40102);
    assert.deepEqual(pod.labels, { app: "shop" });
    const policy = objects.get("NetworkPolicy/web/deny");
    assert.ok(policy?.kind === "NetworkPolicy");
    // The API server's defaults (N5).
    assert.deepEqual([policy.ingress, policy.egress], [[], undefined]);
    assert.equal(policy.generation, 1);
    assert.deepEqual(policy.origin, { source: source.at("all.yaml"), line: 1 });
  });

  it("change, and go, each by its namespace and name", async () => {
    const other = POD.replace("namespace: web", "namespace: other");
    source.write("pods.yaml", `${POD}---\n${other}`);
    source.write("policy.yaml", POLICY);
    await source.start({ clusterKinds });
    source.write("pods.yaml", POD.replace("shop", "till"));
    source.write("policy.yaml", POLICY.replace("spec: {", "spec: {policyTypes: [Egress], "));
    await source.until("the other pod to go", () => !source.objects.has("Pod/other/a"));
    await source.until("the policy's second generation", () => {
      const policy = source.objects.get("NetworkPolicy/web/deny");
      return (
        policy?.kind === "NetworkPolicy" && policy.generation === 2 && policy.egress !== undefined
      );
    });
    const pod = source.objects.get("Pod/web/a");
    assert.ok(pod?.kind === "Pod");
    assert.deepEqual(pod.labels, { app: "till" });
  });

  it("are left alone with a warning when they are not asked for", async () => {
    source.write("pod.yaml", POD);
    await source.start();
    assert.deepEqual([...source.objects], []);
    assert.deepEqual(source.codes(), ["SLUICE_FOREIGN_KIND"]);
  });

  it("stay as they were while a change cannot be used, and the line is named", async () => {
    source.write("policy.yaml", POLICY);
    await source.start({ clusterKinds });
    source.write("policy.yaml", POLICY.replace("podSelector: {}", "policyTypes: [Inwards]"));
    await source.until("a problem", () => source.problems.length > 0);
    const [problem] = source.problems;
    assert.deepEqual(
      { ...problem, message: undefined, remedy: undefined, origin: undefined },
      {
        severity: "error",
        code: "SLUICE_SCHEMA",
        kind: "NetworkPolicy",
        name: "web/deny",
        field: "spec.policyTypes[0]",
        line: 4,
        keptGeneration: 1,
        message: undefined,
        remedy: undefined,
        origin: undefined,
      },
    );
    assert.ok(source.objects.has("NetworkPolicy/web/deny"));
  });

  it("of another version are refused, of another group left alone", async () => {
    source.write("a.yaml", POLICY.replace("networking.k8s.io/v1", "networking.k8s.io/v2"));
    source.write("b.yaml", POLICY.replace("networking.k8s.io/v1", "crd.example.org/v1"));
    source.write("c.yaml", POD.replace("  kind: Pod", "").replace("apiVersion: v1\n", ""));
    await source.start({ clusterKinds });
    assert.deepEqual([...source.objects], []);
    assert.deepEqual(source.codes(), [
      "SLUICE_UNKNOWN_VERSION",
      "SLUICE_FOREIGN_KIND",
      "SLUICE_NOT_AN_OBJECT",
    ]);
  });

  it("are one object each: a second of the same name is told", async () => {
    source.write("a.yaml", POD);
    source.write("b.yaml", POD);
    await source.start({ clusterKinds });
    assert.deepEqual(source.codes(), ["SLUICE_DUPLICATE_OBJECT"]);
    assert.equal(source.problems[0]?.name, "web/a");
  });
});
