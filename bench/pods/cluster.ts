import { rmSync } from "node:fs";
import { type Cluster, startCluster } from "../../test/support/cluster/cluster.js";
import { type Installed, installChart } from "../../test/support/cluster/install.js";
import { atExit } from "../cleanup.js";

/** Of the pods and policies. */
export const podNamespace = "bench";

const requestsAtOnce = 32;

export interface PodCluster {
  readonly cluster: Cluster;
  readonly installed: Installed;
}

/** A pod of the API server. */
export interface KnownPod {
  readonly name: string;
  readonly uid: string;
}

/** An API server with the chart installed for a pod network, and a namespace; ends with this process. */
export async function startPodCluster(): Promise<PodCluster> {
  // No controller makes the service accounts that pods are to have.
  const cluster = await startCluster({
    apiServerFlags: ["--disable-admission-plugins=ServiceAccount"],
  });
  cluster.onClose(atExit(() => rmSync(cluster.folder, { recursive: true, force: true })));
  const installed = await installChart(cluster, "podNetwork.enabled=true");
  await cluster.apply({ apiVersion: "v1", kind: "Namespace", metadata: { name: podNamespace } });
  return { cluster, installed };
}

/** Creates pods of a node. */
export async function createPods(
  cluster: Cluster,
  nodeName: string,
  names: readonly string[],
  labelsOf: (index: number) => Readonly<Record<string, string>> = () => ({}),
): Promise<readonly KnownPod[]> {
  const path = `/api/v1/namespaces/${podNamespace}/pods`;
  return inParallel(names, async (name, index) => {
    const { metadata } = await cluster.request<{ readonly metadata: { readonly uid: string } }>({
      method: "POST",
      path,
      body: {
        metadata: { name, labels: labelsOf(index) },
        spec: { nodeName, containers: [{ name: "main", image: "none" }] },
      },
    });
    return { name, uid: metadata.uid };
  });
}

/** As a kubelet tells it. */
export async function tellAddresses(
  cluster: Cluster,
  name: string,
  ips: readonly string[],
): Promise<void> {
  await cluster.request({
    method: "PATCH",
    path: `/api/v1/namespaces/${podNamespace}/pods/${name}/status`,
    contentType: "application/merge-patch+json",
    body: { status: { phase: "Running", podIP: ips[0], podIPs: ips.map((ip) => ({ ip })) } },
  });
}

/** Some at once, results in order. */
export async function inParallel<T, R>(
  items: readonly T[],
  work: (item: T, index: number) => Promise<R>,
  atOnce = requestsAtOnce,
): Promise<readonly R[]> {
  const results: R[] = [];
  let next = 0;
  const worker = async () => {
    for (let at = next++; at < items.length; at = next++) results[at] = await work(items[at]!, at);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, worker));
  return results;
}
