import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parse } from "yaml";
import { Interner } from "./interner.js";
import { projectClusterObject } from "./project-cluster.js";

const ORIGIN = { source: "api" };

function project(yaml: string, interner = new Interner()) {
  return projectClusterObject("Pod", parse(yaml), ORIGIN, interner);
}

/** A sound pod's record; the texts are flow mappings of YAML without braces. */
function pod(metadata: string, spec = "", status = "") {
  const { draft, problems } = project(
    `{metadata: {name: a, ${metadata}}, spec: {${spec}}, status: {${status}}}`,
  );
  assert.ok(draft !== undefined, JSON.stringify(problems));
  return { ...draft, problems };
}

const fieldsOf = (yaml: string) => {
  const { draft, problems } = project(yaml);
  assert.equal(draft, undefined);
  return problems.map(({ field }) => String(field));
};

describe("a Pod", () => {
  it("gives what policies and addresses are decided by", () => {
    const { draft, problems } = project(`
metadata:
  name: web-0
  namespace: shop
  uid: 8a7d
  labels: {app: web}
  annotations: {kubernetes.io/ingress-bandwidth: 10M, sluice.dev/x: y, other: z}
  managedFields: [{manager: kubelet}]
spec:
  nodeName: node1
  hostNetwork: false
  initContainers:
  - {name: once, ports: [{name: init, containerPort: 1}]}
  - {name: proxy, restartPolicy: Always, ports: [{name: proxy, containerPort: 15001}]}
  containers:
  - name: web
    ports: [{name: http, containerPort: 8080}, {containerPort: 9090}, {name: dns, containerPort: 53, protocol: UDP}]
status:
  phase: Running
  podIP: 10.244.1.5
  podIPs: [{ip: 10.244.1.5}, {ip: "fd00:1::5"}]`);
    assert.deepEqual(problems, []);
    assert.deepEqual(draft, {
      kind: "Pod",
      namespace: "shop",
      name: "web-0",
      uid: "8a7d",
      nodeName: "node1",
      labels: { app: "web" },
      ipv4: 0x0af40105,
      ipv6: { high: 0xfd00_0001_0000_0000n, low: 5n },
      isHostNetwork: false,
      isCompleted: false,
      namedPorts: [
        { name: "http", protocol: "tcp", port: 8080 },
        { name: "dns", protocol: "udp", port: 53 },
        { name: "proxy", protocol: "tcp", port: 15001 },
      ],
      ingressBitsPerSecond: 10e6,
      egressBitsPerSecond: undefined,
      annotations: { "sluice.dev/x": "y" },
    });
  });

  it("has its defaults when it is new", () => {
    const { problems, ...draft } = pod("");
    assert.deepEqual(problems, []);
    assert.deepEqual(draft, {
      kind: "Pod",
      namespace: "default",
      name: "a",
      uid: "",
      nodeName: undefined,
      labels: {},
      ipv4: undefined,
      ipv6: undefined,
      isHostNetwork: false,
      isCompleted: false,
      namedPorts: [],
      ingressBitsPerSecond: undefined,
      egressBitsPerSecond: undefined,
      annotations: {},
    });
  });

  it("knows the uid of a static pod from its mirror", () => {
    const staticUid = (mirror: string, hash: string) =>
      pod(
        `annotations: {kubernetes.io/config.source: file, kubernetes.io/config.mirror: ${mirror}, kubernetes.io/config.hash: ${hash}}`,
      ).staticUid;
    assert.equal(staticUid("'5e1f'", "'5e1f'"), "5e1f");
    assert.equal(staticUid("'5e1f'", "'5e20'"), undefined);
    assert.equal(pod("annotations: {kubernetes.io/config.hash: '5e1f'}").staticUid, undefined);
  });

  it("holds no address once it is completed, and keeps it while it terminates (N24)", () => {
    const addresses = "podIPs: [{ip: 10.0.0.1}]";
    for (const phase of ["Succeeded", "Failed"]) {
      const { ipv4, isCompleted } = pod("", "", `phase: ${phase}, ${addresses}`);
      assert.deepEqual({ ipv4, isCompleted }, { ipv4: undefined, isCompleted: true });
    }
    const terminating = pod("deletionTimestamp: x", "", `phase: Running, ${addresses}`);
    assert.equal(terminating.ipv4, 0x0a000001);
  });

  it("has an address by the older field alone", () => {
    assert.equal(pod("", "", "podIP: 10.0.0.1").ipv4, 0x0a000001);
    assert.equal(pod("", "", "podIP: '', podIPs: []").ipv4, undefined);
  });

  it("is limited by what is a bandwidth only, and the rest is told", () => {
    for (const text of ["much", "10", "2P", "-1M", ""]) {
      const read = pod(`annotations: {kubernetes.io/egress-bandwidth: "${text}"}`);
      assert.equal(read.egressBitsPerSecond, undefined, text);
      assert.deepEqual(
        read.problems.map(({ severity, field }) => [severity, field]),
        [["warning", 'metadata.annotations["kubernetes.io/egress-bandwidth"]']],
      );
    }
  });

  it("shares labels, ports and names with its like", () => {
    const interner = new Interner();
    const replica = (name: string) =>
      project(
        `{metadata: {name: ${name}, labels: {app: web, hash: abc}},
          spec: {containers: [{ports: [{name: http, containerPort: 80}]}]}}`,
        interner,
      ).draft!;
    const [a, b] = [replica("a"), replica("b")];
    assert.equal(a.labels, b.labels);
    assert.equal(a.namedPorts, b.namedPorts);
  });

  it("is refused with each field that is wrong", () => {
    assert.deepEqual(
      fieldsOf(`{metadata: {name: a, labels: {a: 1}}, spec: {nodeName: [], hostNetwork: "yes",
        containers: [3, {ports: {}}, {ports: [{name: x, containerPort: 70000}, {name: y, containerPort: 1, protocol: ICMP}]}]},
        status: {podIPs: [{ip: pod}, {ip: 10.0.0.1}, {ip: 10.0.0.2}]}}`).toSorted(),
      [
        "metadata.labels.a",
        "spec.containers[0]",
        "spec.containers[1].ports",
        "spec.containers[2].ports[0].containerPort",
        "spec.containers[2].ports[1].protocol",
        "spec.hostNetwork",
        "spec.nodeName",
        "status.podIPs[0].ip",
        "status.podIPs[2].ip",
      ],
    );
    assert.deepEqual(fieldsOf("{metadata: {}}"), ["metadata.name"]);
    assert.deepEqual(fieldsOf("[]"), ["undefined", "metadata.name"]);
  });
});

describe("a Namespace", () => {
  it("has the label of its name, also where a manifest leaves it out (N16)", () => {
    const labels = (yaml: string) =>
      projectClusterObject("Namespace", parse(yaml), ORIGIN, new Interner()).draft?.labels;
    const name = { "kubernetes.io/metadata.name": "shop" };
    assert.deepEqual(labels("{metadata: {name: shop}}"), name);
    assert.deepEqual(labels("{metadata: {name: shop, labels: {team: a}}}"), { team: "a", ...name });
    assert.deepEqual(
      labels("{metadata: {name: shop, labels: {kubernetes.io/metadata.name: x}}}"),
      name,
    );
    assert.equal(labels("{metadata: {name: shop, labels: [a]}}"), undefined);
  });
});
