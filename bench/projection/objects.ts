/** Objects as an API server sends them, of realistic size: fields that nobody reads are the most of it. */
import type { ClusterKind } from "../../operator/model/project-cluster.js";

const NAMESPACES = 200;
const NODES = 500;
const REPLICAS = 10;

export interface Population {
  readonly kind: ClusterKind;
  /** What one object is, for people. */
  readonly what: string;
  readonly count: number;
  /** JSON of the object of this index. */
  readonly text: (index: number) => string;
}

/** What a cluster of this many Services has. */
export function populations(services: number): readonly Population[] {
  const each = (kind: ClusterKind, what: string, count: number, make: (at: number) => object) => ({
    kind,
    what,
    count,
    text: (index: number) => JSON.stringify(make(index)),
  });
  return [
    each("Namespace", "Namespace", NAMESPACES, namespace),
    each("Service", "Service", services, service),
    each("EndpointSlice", "EndpointSlice, 10 endpoints", services, (at) => slice(at, REPLICAS)),
    each("EndpointSlice", "EndpointSlice, 100 endpoints", services / 10, (at) => slice(at, 100)),
    each("Pod", "Pod", services * 2, pod),
    each("NetworkPolicy", "NetworkPolicy", services / 10, networkPolicy),
  ];
}

function namespace(index: number): object {
  return {
    ...metadata(`team-${index}`, { team: `team-${index}` }, 4),
    status: { phase: "Active" },
  };
}

function service(index: number): object {
  const cluster = ipv4(0x0a600000 + index);
  return {
    ...metadata(`service-${index}`, { app: app(index) }, 10, index),
    spec: {
      clusterIP: cluster,
      clusterIPs: [cluster],
      internalTrafficPolicy: "Cluster",
      ipFamilies: ["IPv4"],
      ipFamilyPolicy: "SingleStack",
      ports: [{ name: "http", protocol: "TCP", port: 80, targetPort: 8080 }],
      selector: { app: app(index) },
      sessionAffinity: "None",
      type: "ClusterIP",
    },
    status: { loadBalancer: {} },
  };
}

function slice(index: number, endpoints: number): object {
  const name = `service-${index}`;
  const labels = { "kubernetes.io/service-name": name, app: app(index) };
  const time = "2026-11-01T10:00:00Z";
  return {
    ...metadata(`${name}-x7k2p`, labels, 12, index, {
      "endpoints.kubernetes.io/last-change-trigger-time": time,
    }),
    addressType: "IPv4",
    endpoints: Array.from({ length: endpoints }, (_, at) => ({
      addresses: [ipv4(0x0af40000 + index * REPLICAS + at)],
      conditions: { ready: true, serving: true, terminating: false },
      nodeName: node(index * 7 + at),
      targetRef: {
        kind: "Pod",
        name: `${app(index)}-7d9c6b5f8d-${at}`,
        namespace: `team-${index % NAMESPACES}`,
        uid: uid(index * REPLICAS + at),
      },
      zone: `zone-${at % 3}`,
    })),
    ports: [{ name: "http", protocol: "TCP", port: 8080 }],
  };
}

function pod(index: number): object {
  const deployment = Math.floor(index / REPLICAS);
  const labels = { app: app(deployment), "pod-template-hash": hash(deployment), version: "v1" };
  const address = ipv4(0x0af40000 + index);
  const time = "2026-11-01T10:00:00Z";
  return {
    ...metadata(`${app(deployment)}-${hash(deployment)}-${index}`, labels, 24, deployment),
    spec: {
      containers: [
        {
          name: "app",
          image: "registry.example.com/team/app:v1.2.3",
          ports: [{ name: "http", containerPort: 8080, protocol: "TCP" }],
          env: Array.from({ length: 6 }, (_, at) => ({
            name: `SETTING_${at}`,
            value: "some value",
          })),
          resources: { limits: { memory: "128Mi" }, requests: { cpu: "100m", memory: "128Mi" } },
          livenessProbe: { httpGet: { path: "/healthz", port: "http" }, periodSeconds: 10 },
          volumeMounts: [{ name: "token", mountPath: "/var/run/secrets", readOnly: true }],
        },
      ],
      nodeName: node(index),
      serviceAccountName: "default",
      tolerations: [{ key: "node.kubernetes.io/not-ready", operator: "Exists" }],
      volumes: [{ name: "token", projected: { sources: [{ configMap: { name: "ca" } }] } }],
    },
    status: {
      conditions: ["Initialized", "Ready", "ContainersReady", "PodScheduled"].map((type) => ({
        type,
        status: "True",
        lastTransitionTime: time,
      })),
      containerStatuses: [
        { name: "app", ready: true, restartCount: 0, state: { running: { startedAt: time } } },
      ],
      hostIP: "10.0.0.1",
      phase: "Running",
      podIP: address,
      podIPs: [{ ip: address }],
      startTime: time,
    },
  };
}

function networkPolicy(index: number): object {
  const peer = { podSelector: { matchLabels: { app: app(index + 1) } } };
  return {
    ...metadata(`policy-${index}`, {}, 6, index),
    spec: {
      podSelector: { matchLabels: { app: app(index) } },
      policyTypes: ["Ingress"],
      ingress: [{ from: [peer], ports: [{ protocol: "TCP", port: 8080 }] }],
    },
  };
}

/** @param fields how many fields the entry of `managedFields` names */
function metadata(
  name: string,
  labels: object,
  fields: number,
  owner?: number,
  annotations: object = {},
): object {
  const managed = Object.fromEntries(
    Array.from({ length: fields }, (_, at) => [`f:field-${at}`, { ".": {}, "f:name": {} }]),
  );
  const time = "2026-11-01T10:00:00Z";
  return {
    metadata: {
      name,
      ...(owner !== undefined && { namespace: `team-${owner % NAMESPACES}` }),
      uid: uid(owner ?? 0),
      resourceVersion: "123456789",
      creationTimestamp: time,
      labels,
      annotations,
      managedFields: [
        { manager: "controller", operation: "Update", apiVersion: "v1", time, fieldsV1: managed },
      ],
    },
  };
}

function app(index: number): string {
  return `application-${index}`;
}

function node(index: number): string {
  return `node-${index % NODES}.example.internal`;
}

function hash(index: number): string {
  return (index * 2_654_435_761).toString(36).slice(0, 10);
}

function uid(index: number): string {
  return `8a7d6f5e-1234-4abc-9def-${index.toString(16).padStart(12, "0")}`;
}

function ipv4(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join(".");
}
