/** Objects as controllers and kubelets create them; the API server adds its defaults and `managedFields`. */

export const NAMESPACES = 200;
const NODES = 500;
const ENDPOINTS = 10;

/** How many objects of each kind there are. */
export interface Size {
  readonly services: number;
  readonly slices: number;
  readonly pods: number;
}

export function sizeOf(services: number): Size {
  return { services, slices: services, pods: services * 2 };
}

export function endpointsOf({ slices }: Size): number {
  return slices * ENDPOINTS;
}

export function namespaceOf(index: number): string {
  return `team-${index % NAMESPACES}`;
}

export function sliceName(index: number): string {
  return `service-${index}-x7k2p`;
}

/** In the API server's range, behind those that it gives out first. */
export function clusterIpOf(index: number): string {
  return ipv4(0x0a640000 + index);
}

export function service(index: number) {
  return {
    metadata: {
      name: `service-${index}`,
      labels: { ...app(index), "app.kubernetes.io/managed-by": "Helm" },
      annotations: {
        "meta.helm.sh/release-name": `release-${index}`,
        "meta.helm.sh/release-namespace": namespaceOf(index),
      },
    },
    spec: {
      selector: app(index),
      ports: [{ name: "http", protocol: "TCP", port: 80, targetPort: "http" }],
    },
  };
}

export function slice(index: number): object {
  return {
    metadata: {
      name: sliceName(index),
      labels: {
        ...app(index),
        "kubernetes.io/service-name": `service-${index}`,
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
      },
      annotations: { "endpoints.kubernetes.io/last-change-trigger-time": "2026-11-01T10:00:00Z" },
      ownerReferences: [owner("v1", "Service", `service-${index}`, index)],
    },
    addressType: "IPv4",
    endpoints: Array.from({ length: ENDPOINTS }, (_, at) => ({
      addresses: [ipv4(0x0a800000 + index * ENDPOINTS + at)],
      conditions: { ready: true, serving: true, terminating: false },
      nodeName: nodeOf(index * 7 + at),
      targetRef: {
        kind: "Pod",
        name: `application-${index}-7d9c6b5f8d-${at}`,
        namespace: namespaceOf(index),
        uid: uid(index * ENDPOINTS + at),
      },
      zone: `zone-${at % 3}`,
    })),
    ports: [{ name: "http", protocol: "TCP", port: 8080 }],
  };
}

/** Two of each application. */
export function podName(index: number): string {
  return `application-${index >> 1}-7d9c6b5f8d-${index}`;
}

export function pod(index: number): object {
  const set = index >> 1;
  const own = `kube-api-access-${index}`;
  return {
    metadata: {
      name: podName(index),
      generateName: `application-${set}-7d9c6b5f8d-`,
      labels: { ...app(set), "pod-template-hash": "7d9c6b5f8d", version: "v1" },
      annotations: { "checksum/config": uid(set), "prometheus.io/scrape": "true" },
      ownerReferences: [owner("apps/v1", "ReplicaSet", `application-${set}-7d9c6b5f8d`, set)],
    },
    spec: {
      nodeName: nodeOf(index),
      serviceAccountName: "default",
      containers: [
        {
          name: "app",
          image: "registry.example.com/team/application:v1.2.3",
          ports: [
            { name: "http", containerPort: 8080, protocol: "TCP" },
            { name: "metrics", containerPort: 9090, protocol: "TCP" },
          ],
          env: [
            ...Array.from({ length: 6 }, (_, at) => ({ name: `SETTING_${at}`, value: "a value" })),
            { name: "POD_IP", valueFrom: { fieldRef: { fieldPath: "status.podIP" } } },
          ],
          resources: { limits: { memory: "128Mi" }, requests: { cpu: "100m", memory: "128Mi" } },
          livenessProbe: { httpGet: { path: "/healthz", port: "http" } },
          readinessProbe: { httpGet: { path: "/readyz", port: "http" } },
          volumeMounts: [
            {
              name: own,
              mountPath: "/var/run/secrets/kubernetes.io/serviceaccount",
              readOnly: true,
            },
          ],
        },
      ],
      volumes: [{ name: own, projected: { sources: accessSources } }],
    },
  };
}

const accessSources = [
  { serviceAccountToken: { path: "token", expirationSeconds: 3607 } },
  { configMap: { name: "kube-root-ca.crt", items: [{ key: "ca.crt", path: "ca.crt" }] } },
  {
    downwardAPI: {
      items: [{ path: "namespace", fieldRef: { fieldPath: "metadata.namespace" } }],
    },
  },
];

/** What the kubelet writes when the pod runs. */
export function podStatus(index: number): object {
  const time = "2026-11-01T10:00:00Z";
  const address = ipv4(0x0a800000 + index);
  const host = ipv4(0xc0a80000 + (index % NODES));
  const types = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady"];
  return {
    phase: "Running",
    conditions: [...types, "PodScheduled"].map((type) => ({
      type,
      status: "True",
      lastTransitionTime: time,
    })),
    containerStatuses: [
      {
        name: "app",
        image: "registry.example.com/team/application:v1.2.3",
        imageID: `registry.example.com/team/application@sha256:${"5e".repeat(32)}`,
        containerID: `containerd://${uid(index).replaceAll("-", "").repeat(2)}`,
        ready: true,
        started: true,
        restartCount: 0,
        state: { running: { startedAt: time } },
      },
    ],
    hostIP: host,
    hostIPs: [{ ip: host }],
    podIP: address,
    podIPs: [{ ip: address }],
    qosClass: "Burstable",
    startTime: time,
  };
}

function app(index: number) {
  return {
    "app.kubernetes.io/name": `application-${index}`,
    "app.kubernetes.io/instance": `release-${index}`,
  };
}

function owner(apiVersion: string, kind: string, name: string, index: number): object {
  return { apiVersion, kind, name, uid: uid(index), controller: true, blockOwnerDeletion: true };
}

function nodeOf(index: number): string {
  return `node-${index % NODES}.example.internal`;
}

function uid(index: number): string {
  return `8a7d6f5e-1234-4abc-9def-${index.toString(16).padStart(12, "0")}`;
}

function ipv4(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join(".");
}
