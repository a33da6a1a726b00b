import type { Values } from "./helm.js";

/** Values as different users set them; between them each value is set to something other than its default. */
export const valueSets: Readonly<Record<string, Values>> = {
  defaults: {},
  "an edge cluster": {
    image: {
      repository: "images.example/sluice",
      digest: `sha256:${"ab".repeat(32)}`,
      pullPolicy: "Always",
      pullSecrets: [{ name: "pull" }],
    },
    apiServers: ["192.0.2.10:6443", "[2001:db8::10]:6443"],
    uplinks: ["eth*", "bond0"],
    mode: "generic",
    unparsable: "Pass",
    failSafe: [
      { name: "ssh", action: "Accept", protocols: [{ tcp: { destinationPort: { number: 22 } } }] },
      { name: "office", action: "Accept", from: [{ cidr: "192.0.2.0/24" }] },
    ],
    confirmProbes: ["192.0.2.1:443"],
    eventsPerSecond: 1_000_000,
    addressLines: 131_072,
    metadata: true,
    logLevel: "debug",
  },
  "a cluster with the Prometheus operator": {
    metrics: { listen: "NodeAddress", port: 19_977 },
    podMonitor: { enabled: true, labels: { release: "prometheus" }, interval: "15s" },
    prometheusRule: { enabled: true, labels: { release: "prometheus" } },
    grafanaDashboard: { enabled: true, labels: { dashboards: "yes" } },
  },
  "a cluster with a pod network": {
    podNetwork: {
      enabled: true,
      binFolder: "/usr/libexec/cni",
      configFolder: "/etc/cni/conf.d",
      netnsFolder: "/var/run/netns",
      routing: "direct",
      vxlan: { port: 8472, vni: 16_777_215 },
      mtu: 8950,
      masquerade: { enabled: true, exceptions: ["192.0.2.0/24", "2001:db8::/32"] },
    },
  },
  "a cluster with hard rules": {
    image: { tag: "0.1.0-test" },
    metrics: { listen: "AllAddresses" },
    flowSchema: { enabled: false },
    crds: { install: false },
    serviceAccount: { create: false, name: "its-own", annotations: {} },
    bpffs: { mount: false },
    resources: { requests: { cpu: 1, memory: "1Gi" }, limits: { memory: "1Gi" } },
    securityContext: { seLinuxOptions: { type: "spc_t" } },
    updateStrategy: { type: "OnDelete", rollingUpdate: null },
    priorityClassName: "",
    nodeSelector: { "kubernetes.io/os": "linux", edge: "yes" },
    affinity: {
      nodeAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: {
          nodeSelectorTerms: [{ matchExpressions: [{ key: "virtual", operator: "DoesNotExist" }] }],
        },
      },
    },
    tolerations: [],
    podLabels: { team: "network" },
    podAnnotations: { note: "kept" },
    extraArgs: ["--log-level=trace"],
    extraEnv: [{ name: "SLUICE_METADATA", value: "true" }],
    nameOverride: "guard",
  },
  "the way out": { cleanup: true, failSafe: [], fullnameOverride: "edge-firewall" },
};
