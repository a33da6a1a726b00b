import { rmSync } from "node:fs";
import type { AgentAccount } from "../../test/support/cluster/agent-account.js";
import { type Cluster, startCluster } from "../../test/support/cluster/cluster.js";
import { installChart } from "../../test/support/cluster/install.js";
import { atExit } from "../cleanup.js";

export const nodeName = "node1";

export interface BenchCluster {
  readonly cluster: Cluster;
  /** What the chart gives an agent, and the reading of Services, EndpointSlices and Pods. */
  readonly account: AgentAccount;
}

/** An API server with the chart installed and a node; ends with this process. */
export async function startBenchCluster(): Promise<BenchCluster> {
  // No controller makes the service accounts that pods are to have.
  const cluster = await startCluster({
    apiServerFlags: ["--disable-admission-plugins=ServiceAccount"],
  });
  const removeFolder = atExit(() => rmSync(cluster.folder, { recursive: true, force: true }));
  cluster.onClose(removeFolder);
  const installed = await installChart(cluster);
  await cluster.apply(readingMore);
  return { cluster, account: await installed.account(nodeName) };
}

const readingMore = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: bench}
rules:
- {apiGroups: [""], resources: [services, pods], verbs: [get, list, watch]}
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [get, list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: bench}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: bench}
subjects:
- {kind: ServiceAccount, name: sluice, namespace: sluice-system}
`;
