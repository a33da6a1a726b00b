import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { KubeError } from "../../operator/kube/errors.js";
import { createKubeClient } from "../../operator/kube/http-client.js";
import { type KubeObject, keyOf } from "../../operator/kube/object.js";
import { protobufType } from "../../operator/kube/protobuf-stream.js";
import type { Message } from "../../operator/kube/protobuf.js";
import { Reflector } from "../../operator/kube/reflector.js";
import { openServiceAccount } from "../../operator/kube/service-account.js";
import { admit } from "../../operator/model/admit.js";
import { Interner } from "../../operator/model/interner.js";
import { projectClusterObject } from "../../operator/model/project-cluster.js";
import { EndpointSlice, Node, Pod, Service } from "../../operator/source/cluster-messages.js";
import { type Cluster, withCluster } from "../support/cluster/cluster.js";
import { eventually } from "../support/eventually.js";
import { adminClient } from "./config-maps.js";

const kinds = {
  Service: { path: "/api/v1/services", message: Service },
  EndpointSlice: { path: "/apis/discovery.k8s.io/v1/endpointslices", message: EndpointSlice },
  Pod: { path: "/api/v1/pods", message: Pod },
  Node: { path: "/api/v1/nodes", message: Node },
} as const;
type Kind = keyof typeof kinds;
const origin = { source: "test" };

/** Each with every field that a projection reads. */
const objects = `
apiVersion: v1
kind: Service
metadata:
  name: all
  namespace: default
  labels: {service.kubernetes.io/service-proxy-name: other, empty: ""}
  annotations: {sluice.dev/a: "ü \\"]}\\"", service.kubernetes.io/topology-mode: Auto}
spec:
  type: LoadBalancer
  selector: {app: a}
  ports:
  - {name: http, protocol: TCP, port: 80, targetPort: web, nodePort: 30080}
  - {name: dns, protocol: UDP, port: 53, targetPort: 5353}
  externalIPs: [192.0.2.1, "2001:db8::1"]
  ipFamilyPolicy: RequireDualStack
  sessionAffinity: ClientIP
  sessionAffinityConfig: {clientIP: {timeoutSeconds: 600}}
  loadBalancerSourceRanges: [198.51.100.0/24]
  externalTrafficPolicy: Local
  internalTrafficPolicy: Local
  healthCheckNodePort: 30081
  publishNotReadyAddresses: true
  loadBalancerClass: example.com/class
  trafficDistribution: PreferClose
---
apiVersion: v1
kind: Service
metadata: {name: headless, namespace: default}
spec: {clusterIP: None, ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: all
  namespace: default
  labels: {kubernetes.io/service-name: all}
  annotations: {endpoints.kubernetes.io/last-change-trigger-time: "2026-01-02T03:04:05Z"}
addressType: IPv4
ports: [{name: http, protocol: SCTP, port: 8080}, {name: ""}]
endpoints:
- {addresses: [192.0.2.7], conditions: {ready: false, serving: true, terminating: true}, nodeName: node1}
- addresses: [192.0.2.8]
  hints: {forZones: [{name: a}, {name: b}], forNodes: [{name: node2}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: six, namespace: default}
addressType: IPv6
ports: []
endpoints: [{addresses: ["2001:db8::7"]}]
---
apiVersion: v1
kind: Pod
metadata:
  name: all
  namespace: default
  labels: {app: a}
  annotations: {kubernetes.io/ingress-bandwidth: 10M, sluice.dev/b: b}
spec:
  nodeName: node1
  hostNetwork: true
  initContainers:
  - {name: sidecar, image: i, restartPolicy: Always, ports: [{name: side, containerPort: 9000, protocol: UDP}]}
  containers:
  - {name: c, image: i, ports: [{name: web, containerPort: 8080}, {containerPort: 8081}]}
---
apiVersion: v1
kind: Pod
metadata: {name: done, namespace: default}
spec: {containers: [{name: c, image: i}]}
`;

const statuses: readonly (readonly [path: string, status: object])[] = [
  [
    "/api/v1/namespaces/default/services/all",
    { loadBalancer: { ingress: [{ ip: "203.0.113.9", ipMode: "VIP" }, { hostname: "h" }] } },
  ],
  [
    "/api/v1/namespaces/default/pods/all",
    {
      phase: "Running",
      podIP: "192.0.2.7",
      podIPs: [{ ip: "192.0.2.7" }, { ip: "2001:db8::7" }],
    },
  ],
  ["/api/v1/namespaces/default/pods/done", { phase: "Succeeded", podIP: "192.0.2.9" }],
];

async function create(cluster: Cluster): Promise<void> {
  await cluster.createNode("node1", {
    labels: { role: "edge", empty: "" },
    addresses: ["192.0.2.1", "2001:db8::1"],
    podCIDRs: ["10.1.0.0/24", "2001:db8:1::/64"],
  });
  const taint = "ToBeDeletedByClusterAutoscaler=1:NoSchedule";
  await cluster.kubectl(["taint", "node", "node1", taint]);
  const finalizers = '{"metadata":{"finalizers":["example.com/a"]}}';
  await cluster.createNode("leaving");
  await cluster.kubectl(["patch", "node", "leaving", "--type=merge", "-p", finalizers]);
  await cluster.kubectl(["delete", "node", "leaving", "--wait=false"]);
  await cluster.apply(objects);
  for (const [path, status] of statuses) {
    await cluster.request({
      method: "PATCH",
      path: `${path}/status`,
      contentType: "application/merge-patch+json",
      body: { status },
    });
  }
}

function project(kind: Kind, object: KubeObject, interner: Interner) {
  if (kind !== "Node") return projectClusterObject(kind, object, origin, interner);
  const value = { ...object, apiVersion: "v1", kind };
  const { admitted, problems } = admit({ value, origin }, 0);
  return { draft: admitted?.draft, problems };
}

/** Records of a kind by key, as they are according to what a reflector tells; it ends with the cluster. */
function records(cluster: Cluster, kind: Kind, message?: Message) {
  const held = new Map<string, unknown>();
  const interner = new Interner();
  const client = adminClient(cluster);
  const reflector = new Reflector({
    client,
    target: { path: kinds[kind].path, ...(message !== undefined && { message }) },
    sink: {
      upsert(object) {
        const { uid, resourceVersion } = object.metadata;
        held.set(keyOf(object), { ...project(kind, object, interner), uid, resourceVersion });
      },
      remove: (key) => void held.delete(key),
      retain() {},
      stateChanged() {},
    },
  });
  reflector.start();
  cluster.onClose(() => reflector.close());
  return { held, reflector };
}

const withAllKinds = (body: (cluster: Cluster) => Promise<void>) =>
  withCluster(body, { apiServerFlags: ["--disable-admission-plugins=ServiceAccount"] });

describe("a watch in protobuf", () => {
  it("tells the same as one in JSON: list, changes and removals", async () => {
    await withAllKinds(async (cluster) => {
      await create(cluster);
      const watched = (Object.keys(kinds) as Kind[]).map((kind) => ({
        json: records(cluster, kind),
        protobuf: records(cluster, kind, kinds[kind].message),
      }));
      const sameWith = (key: string, isThere: boolean) =>
        eventually(() => {
          for (const { json, protobuf } of watched) {
            assert.ok(json.reflector.state().isSynced && protobuf.reflector.state().isSynced);
            assert.deepEqual(protobuf.held, json.held);
          }
          const having = watched.filter(({ json }) => json.held.has(key));
          assert.equal(having.length, isThere ? 3 : 0);
        });
      await sameWith("default/all", true);
      const all = ["default/all", "node1", "leaving"].flatMap((key) =>
        watched.flatMap(({ protobuf }) => protobuf.held.get(key) ?? []),
      );
      assert.equal(all.length, 5);
      for (const record of all as { draft?: object; problems: readonly unknown[] }[]) {
        assert.notEqual(record.draft, undefined);
        assert.deepEqual(record.problems, []);
      }
      await cluster.kubectl(["label", "services,endpointslices,pods,nodes", "--all", "new=label"]);
      await sameWith("default/all", true);
      const background = ["--wait=false", "--grace-period=0", "--force"];
      await cluster.kubectl(["delete", "services,endpointslices,pods", "all", ...background]);
      await sameWith("default/all", false);
    });
  });

  it("is asked for, and its refusals are readable", async () => {
    await withAllKinds(async (cluster) => {
      const account = await cluster.agentAccount("node1");
      const connection = await openServiceAccount(account.folder, { servers: [cluster.url] });
      const client = createKubeClient(connection, { userAgent: "test" });
      cluster.onClose(() => client.close());
      const accept = `${protobufType};stream=watch, application/json;q=0.5`;
      await assert.rejects(
        client.stream({ path: "/api/v1/pods", query: { watch: 1 }, accept }),
        (error: unknown) =>
          error instanceof KubeError &&
          error.status === 403 &&
          error.reason === "Forbidden" &&
          /cannot watch resource "pods"/.test(error.problem),
      );
      const admin = adminClient(cluster);
      cluster.onClose(() => admin.close());
      const { response } = await admin.stream({
        path: "/api/v1/pods",
        query: { watch: 1 },
        accept,
      });
      assert.match(
        response.headers["content-type"] ?? "",
        /^application\/vnd\.kubernetes\.protobuf/,
      );
      response.destroy();
    });
  });
});
