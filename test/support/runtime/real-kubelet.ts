import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { issue } from "../cluster/certificates.js";
import type { Cluster } from "../cluster/cluster.js";
import { writeKubeconfig } from "../cluster/kubectl.js";
import type { ServerProcess } from "../cluster/process.js";
import { toolPath } from "../cluster/tools.js";
import { containerdEndpoint } from "./containerd.js";
import type { Machine } from "./machine.js";

export interface RealKubeletOptions {
  readonly folder: string;
  readonly nodeName: string;
  readonly nodeAddress: string;
  /** HOST:PORT of the API server, as the node reaches it. */
  readonly apiServer: string;
  /** Path that all its containers are under. */
  readonly cgroup: string;
}

export interface RealKubelet {
  readonly process: ServerProcess;
  /** Manifests of static pods. */
  readonly staticPods: string;
}

/** Starts the kubelet of Kubernetes as a node's system does; its Node is there already, with its podCIDRs. */
export function startRealKubelet(
  machine: Machine,
  cluster: Cluster,
  { folder, nodeName, nodeAddress, apiServer, cgroup }: RealKubeletOptions,
): RealKubelet {
  const { ca } = cluster.certificates;
  const subject = `/O=system:nodes/CN=system:node:${nodeName}`;
  const client = issue(cluster.folder, `kubelet-${nodeName}`, "client", subject, ca);
  const serving = issue(cluster.folder, `serving-${nodeName}`, "server", `/CN=${nodeName}`, ca);
  const kubeconfig = join(folder, "kubelet.kubeconfig");
  writeKubeconfig(kubeconfig, `https://${apiServer}`, ca.certificate, {
    "client-certificate": client.certificate,
    "client-key": client.key,
  });
  const staticPods = join(folder, "static-pods");
  mkdirSync(staticPods);
  const resolvConf = join(folder, "resolv.conf");
  writeFileSync(resolvConf, "nameserver 192.0.2.53\n");
  const config = join(folder, "kubelet.json");
  const settings = {
    apiVersion: "kubelet.config.k8s.io/v1beta1",
    kind: "KubeletConfiguration",
    containerRuntimeEndpoint: containerdEndpoint,
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: false },
      x509: { clientCAFile: ca.certificate },
    },
    authorization: { mode: "AlwaysAllow" },
    tlsCertFile: serving.certificate,
    tlsPrivateKeyFile: serving.key,
    staticPodPath: staticPods,
    fileCheckFrequency: "1s",
    nodeStatusUpdateFrequency: "1s",
    volumePluginDir: join(folder, "volume-plugins"),
    resolvConf,
    cgroupDriver: "cgroupfs",
    cgroupRoot: cgroup,
    failCgroupV1: false,
    failSwapOn: false,
    enforceNodeAllocatable: [],
    localStorageCapacityIsolation: false,
    makeIPTablesUtilChains: false,
    healthzPort: 0,
    // The machine's disk and memory are the test's least concern.
    imageGCHighThresholdPercent: 100,
    evictionHard: {
      "memory.available": "0%",
      "nodefs.available": "0%",
      "nodefs.inodesFree": "0%",
      "imagefs.available": "0%",
      "imagefs.inodesFree": "0%",
    },
    // It goes on where the kernel's switches and log are not its own.
    featureGates: { KubeletInUserNamespace: true },
  };
  writeFileSync(config, JSON.stringify(settings));
  const process = machine.start(
    toolPath("kubelet"),
    `--config=${config}`,
    `--kubeconfig=${kubeconfig}`,
    `--hostname-override=${nodeName}`,
    `--node-ip=${nodeAddress}`,
  );
  return { process, staticPods };
}
