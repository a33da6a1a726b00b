import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { formatCidr } from "../../operator/model/cidr-format.js";
import { READY, SERVING, TERMINATING } from "../../operator/model/records-service.js";
import { KubernetesSource } from "../../operator/source/kubernetes.js";
import { podKinds, serviceKinds } from "../../operator/source/kubernetes-kinds.js";
import type { ObjectEvent, SourceRecord } from "../../operator/source/source.js";
import { adminClient } from "../kube/config-maps.js";
import { clusterNetworkPolicies } from "./cluster-network-policies.js";
import { type Cluster, startCluster } from "../support/cluster/cluster.js";
import { eventually } from "../support/eventually.js";

let cluster: Cluster;
let source: KubernetesSource;
const told: ObjectEvent[] = [];
before(async () => {
  cluster = await startCluster();
  await cluster.apply(clusterNetworkPolicies);
  await cluster.untilServed("/apis/policy.networking.k8s.io/v1alpha2/clusternetworkpolicies");
  await cluster.apply(
    "{apiVersion: v1, kind: Namespace, metadata: {name: web, labels: {team: a}}}",
  );
  await cluster.apply(
    "{apiVersion: v1, kind: ServiceAccount, metadata: {name: default, namespace: web}}",
  );
  source = new KubernetesSource(adminClient(cluster), {
    nodeName: "node1",
    kinds: [...podKinds, ...serviceKinds],
  });
  await source.start((event) => void told.push(event));
  await eventually(() => assert.equal(source.state().isSynced, true));
});
after(async () => {
  await source?.close();
  await cluster?.close();
});
beforeEach(() => void told.splice(0));

type Told<K extends SourceRecord["kind"]> = Omit<Extract<SourceRecord, { kind: K }>, "origin">;

/** The last version of an object that was told. */
async function record<K extends SourceRecord["kind"]>(kind: K, name: string): Promise<Told<K>> {
  let found: SourceRecord | undefined;
  await eventually(() => {
    const upserts = told.flatMap((event) => (event.type === "upsert" ? [event.record] : []));
    found = upserts.findLast((one) => one.kind === kind && one.name === name);
    assert.ok(found, `${kind} ${name} was not told`);
  });
  const { origin, ...rest } = found as Extract<SourceRecord, { kind: K }>;
  assert.equal(origin.source, "api");
  return rest;
}

async function isToldAsDeleted(kind: string, name: string): Promise<void> {
  await eventually(() => {
    assert.ok(
      told.some((event) => event.type === "delete" && event.kind === kind && event.name === name),
    );
  });
}

/** Told last of all: what would have been told before it was not. */
async function untilCaughtUp(kind: "Pod" | "Service", name: string): Promise<void> {
  if (kind === "Pod") await cluster.apply(pod(name));
  else await cluster.apply(service(name));
  await record(kind, name);
}

function toldOf(kind: string, name: string): readonly string[] {
  return told.flatMap((event) => {
    if (event.type === "upsert") {
      return event.record.kind === kind && event.record.name === name ? ["upsert"] : [];
    }
    return event.type === "delete" && event.kind === kind && event.name === name ? ["delete"] : [];
  });
}

function setStatus(kind: string, name: string, status: object): Promise<string> {
  const patch = JSON.stringify({ status });
  return cluster.kubectl([
    ...["patch", kind, name, "-n", "web", "--subresource=status", "--type=merge", "-p", patch],
  ]);
}

const pod = (name: string) => `
apiVersion: v1
kind: Pod
metadata:
  name: ${name}
  namespace: web
  labels: {app: ${name}}
  annotations:
    kubernetes.io/ingress-bandwidth: 10M
    sluice.dev/note: kept
    other.example/note: dropped
spec:
  nodeName: node1
  containers:
  - {name: web, image: web, ports: [{name: http, containerPort: 8080}, {containerPort: 9090}]}
  initContainers:
  - {name: setup, image: setup, ports: [{name: gone, containerPort: 1}]}
  - {name: proxy, image: proxy, restartPolicy: Always, ports: [{name: dns, containerPort: 53, protocol: UDP}]}
`;

const service = (name: string, spec = "") => `
apiVersion: v1
kind: Service
metadata: {name: ${name}, namespace: web}
spec: {${spec}selector: {app: web}, ports: [{name: http, port: 80, targetPort: http}]}
`;

describe("what is told of the API server's own objects", () => {
  it("is of a Namespace its labels", async () => {
    await cluster.kubectl(["label", "namespace", "web", "team=b", "--overwrite"]);
    assert.deepEqual(await record("Namespace", "web"), {
      kind: "Namespace",
      name: "web",
      labels: { "kubernetes.io/metadata.name": "web", team: "b" },
    });
  });

  it("is of a Pod where it is and what it is called by, and nothing when its status alone changes", async () => {
    await cluster.apply(pod("shop"));
    await setStatus("pod", "shop", {
      phase: "Running",
      podIP: "10.244.1.7",
      podIPs: [{ ip: "10.244.1.7" }, { ip: "fd00:244::7" }],
    });
    await eventually(async () => assert.notEqual((await record("Pod", "shop")).ipv4, undefined));
    const { uid, ...rest } = await record("Pod", "shop");
    assert.match(uid, /^[0-9a-f-]{36}$/);
    assert.deepEqual(rest, {
      kind: "Pod",
      namespace: "web",
      name: "shop",
      nodeName: "node1",
      labels: { app: "shop" },
      ipv4: 0x0af4_0107,
      ipv6: { high: 0xfd00_0244_0000_0000n, low: 7n },
      isHostNetwork: false,
      isCompleted: false,
      namedPorts: [
        { name: "http", protocol: "tcp", port: 8080 },
        { name: "dns", protocol: "udp", port: 53 },
      ],
      ingressBitsPerSecond: 10_000_000,
      egressBitsPerSecond: undefined,
      annotations: { "sluice.dev/note": "kept" },
    });
    const before = toldOf("Pod", "shop").length;
    await setStatus("pod", "shop", {
      conditions: [{ type: "Ready", status: "True", reason: "Probed" }],
    });
    await untilCaughtUp("Pod", "after-ready");
    assert.equal(toldOf("Pod", "shop").length, before);
  });

  it("is of a Pod that has ended that it is deleted", async () => {
    for (const [name, phase] of [
      ["done", "Succeeded"],
      ["broken", "Failed"],
    ] as const) {
      await cluster.apply(pod(name));
      await record("Pod", name);
      await setStatus("pod", name, { phase });
      await isToldAsDeleted("Pod", name);
    }
    const pods = source.state().kinds.find(({ kind }) => kind === "Pod");
    assert.equal(pods?.objects, 2);
  });

  it("is of a Service its addresses and ports", async () => {
    await cluster.apply(
      service(
        "front",
        `type: LoadBalancer, clusterIP: 10.96.0.80, ipFamilyPolicy: PreferDualStack, externalIPs: [192.0.2.80],
         loadBalancerSourceRanges: [198.51.100.0/24], externalTrafficPolicy: Local, sessionAffinity: ClientIP, `,
      ),
    );
    await setStatus("service", "front", {
      loadBalancer: {
        ingress: [
          { ip: "203.0.113.80", ipMode: "VIP" },
          { ip: "203.0.113.81", ipMode: "Proxy" },
        ],
      },
    });
    await eventually(async () => {
      assert.equal((await record("Service", "front")).loadBalancerIPs.length, 1);
    });
    const told = await record("Service", "front");
    const {
      ipv6,
      ports,
      healthCheckNodePort,
      externalIPs,
      loadBalancerIPs,
      sourceRanges,
      createdAtMs,
      ...rest
    } = told;
    assert.ok(createdAtMs > Date.UTC(2020, 0, 1));
    assert.equal(ipv6?.high, 0xfd00_0010_0096_0000n);
    assert.ok(healthCheckNodePort >= 30_000);
    const [port] = ports;
    assert.ok(port !== undefined && port.nodePort >= 30_000);
    assert.deepEqual(
      { ...port, nodePort: 0 },
      { name: "http", protocol: "tcp", port: 80, targetPort: "http", nodePort: 0 },
    );
    assert.deepEqual(externalIPs.map(formatCidr), ["192.0.2.80/32"]);
    assert.deepEqual(loadBalancerIPs.map(formatCidr), ["203.0.113.80/32"]);
    assert.deepEqual(sourceRanges.map(formatCidr), ["198.51.100.0/24"]);
    assert.deepEqual(rest, {
      kind: "Service",
      namespace: "web",
      name: "front",
      type: "LoadBalancer",
      isExcluded: false,
      isHeadless: false,
      ipv4: 0x0a60_0050,
      externalTrafficPolicy: "Local",
      internalTrafficPolicy: "Cluster",
      affinitySeconds: 10_800,
      publishNotReadyAddresses: false,
      trafficDistribution: undefined,
      loadBalancerClass: undefined,
      annotations: {},
    });
  });

  it("is of a Service that is given to nobody, or to another proxy, that it is deleted", async () => {
    for (const [name, label] of [
      ["hidden", "service.kubernetes.io/headless="],
      ["foreign", "service.kubernetes.io/service-proxy-name=other"],
    ] as const) {
      await cluster.apply(service(name));
      await record("Service", name);
      await cluster.kubectl(["label", "service", name, "-n", "web", label]);
      await isToldAsDeleted("Service", name);
      await cluster.kubectl(["label", "service", name, "-n", "web", `${label.split("=")[0]}-`]);
      await eventually(() => {
        assert.deepEqual(toldOf("Service", name), ["upsert", "delete", "upsert"]);
      });
    }
  });

  it("is of an EndpointSlice each endpoint, and nothing of one that is headless", async () => {
    await cluster.apply(`
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: front-1
  namespace: web
  labels: {kubernetes.io/service-name: front}
addressType: IPv4
ports: [{name: http, port: 8080}, {name: dns, port: 53, protocol: UDP}]
endpoints:
- {addresses: [10.244.1.7], nodeName: node1, zone: a, hints: {forZones: [{name: a}]}, conditions: {ready: true}}
- {addresses: [10.244.2.7], nodeName: node2, zone: b, hints: {forZones: [{name: b}]}, conditions: {ready: false, serving: true, terminating: true}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: headless-1
  namespace: web
  labels: {kubernetes.io/service-name: hidden, service.kubernetes.io/headless: ""}
addressType: IPv4
endpoints: [{addresses: [10.244.1.9]}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: six-1, namespace: web, labels: {kubernetes.io/service-name: front}}
addressType: IPv6
ports: [{name: http, port: 8080}]
endpoints: [{addresses: ["fd00:244::7"]}]
`);
    const { triggeredAtMs: _, ...slice } = await record("EndpointSlice", "front-1");
    assert.deepEqual(slice, {
      kind: "EndpointSlice",
      namespace: "web",
      name: "front-1",
      serviceName: "front",
      isExcluded: false,
      family: 4,
      ports: [
        { name: "http", protocol: "tcp", port: 8080 },
        { name: "dns", protocol: "udp", port: 53 },
      ],
      addresses: [0x0af4_0107, 0x0af4_0207],
      conditions: [READY | SERVING, SERVING | TERMINATING],
      nodeNames: ["node1", "node2"],
      zoneHints: [["a"], ["b"]],
      nodeHints: undefined,
    });
    const six = await record("EndpointSlice", "six-1");
    assert.deepEqual([...six.addresses], [0xfd00_0244, 0, 0, 7]);
    assert.deepEqual(toldOf("EndpointSlice", "headless-1"), []);
    await cluster.kubectl(["delete", "endpointslice", "front-1", "-n", "web"]);
    await isToldAsDeleted("EndpointSlice", "front-1");
  });

  it("is of a NetworkPolicy whom it selects and what it allows", async () => {
    await cluster.apply(`
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: web}
spec:
  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress, Egress]
  ingress:
  - from:
    - podSelector: {matchLabels: {app: web}}
      namespaceSelector: {matchLabels: {team: a}}
    - ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}
    ports: [{port: 5432}, {port: http, protocol: TCP}, {port: 1000, endPort: 2000, protocol: UDP}]
`);
    const { ingress, ...rest } = await record("NetworkPolicy", "db");
    assert.deepEqual(rest, {
      kind: "NetworkPolicy",
      namespace: "web",
      name: "db",
      generation: 1,
      mode: "Enforce",
      podSelector: { matchLabels: { app: "db" } },
      egress: [],
    });
    const [rule] = ingress ?? [];
    assert.deepEqual(rule?.protocols, [
      { kind: "tcp", destinationPort: { start: 5432, end: 5432 } },
      { kind: "namedPort", name: "http", protocol: "tcp" },
      { kind: "udp", destinationPort: { start: 1000, end: 2000 } },
    ]);
    const [pods, block] = rule.peers;
    assert.deepEqual(pods, {
      kind: "pods",
      namespaceSelector: { matchLabels: { team: "a" } },
      podSelector: { matchLabels: { app: "web" } },
    });
    assert.equal(block?.kind, "cidr");
    assert.deepEqual(
      [formatCidr(block.cidr), ...block.except.map(formatCidr)],
      ["10.0.0.0/8", "10.1.0.0/16"],
    );
    await cluster.kubectl(["delete", "networkpolicy", "db", "-n", "web"]);
    await isToldAsDeleted("NetworkPolicy", "db");
  });

  it("is of a ClusterNetworkPolicy its place, its subject and its rules", async () => {
    await cluster.apply(`
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: base}
spec:
  tier: Baseline
  priority: 10
  subject: {namespaces: {matchLabels: {team: a}}}
  ingress:
  - {name: none, action: Deny, from: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {number: 22}}}]}
`);
    assert.deepEqual(await record("ClusterNetworkPolicy", "base"), {
      kind: "ClusterNetworkPolicy",
      name: "base",
      generation: 1,
      mode: "Enforce",
      tier: "Baseline",
      priority: 10,
      subject: { namespaceSelector: { matchLabels: { team: "a" } }, podSelector: {} },
      ingress: [
        {
          name: "none",
          action: "Deny",
          peers: [{ kind: "pods", namespaceSelector: {}, podSelector: {} }],
          protocols: [{ kind: "tcp", destinationPort: { start: 22, end: 22 } }],
        },
      ],
      egress: [],
    });
    await cluster.kubectl(["delete", "clusternetworkpolicy", "base"]);
    await isToldAsDeleted("ClusterNetworkPolicy", "base");
  });

  it("is nothing wrong", () => {
    const { errors, kinds } = source.state();
    assert.deepEqual(errors, []);
    assert.deepEqual(
      kinds.map(({ kind }) => kind),
      ["Namespace", "Pod", "NetworkPolicy", "ClusterNetworkPolicy", "Service", "EndpointSlice"],
    );
  });
});
