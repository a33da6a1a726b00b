import type { KubeClient } from "../../kube/client.js";
import type { KubeConnection } from "../../kube/connection.js";
import { createKubeClient } from "../../kube/http-client.js";
import { openKubeconfig } from "../../kube/kubeconfig.js";
import { version } from "../../version.js";
import type { ClusterOptions } from "../agent-command.js";
import type { CliIo } from "../io.js";

export const userAgent = `kubectl-sluice/${version}`;

export interface Cluster {
  readonly connection: KubeConnection;
  readonly kube: KubeClient;
}

/** @throws KubeError SLUICE_KUBE_CONFIG */
export async function openCluster({ env }: CliIo, options: ClusterOptions): Promise<Cluster> {
  const { kubeconfig: file, context } = options;
  const connection = await openKubeconfig({
    env,
    ...(file !== undefined && { file }),
    ...(context !== undefined && { context }),
  });
  return { connection, kube: createKubeClient(connection, { userAgent }) };
}
