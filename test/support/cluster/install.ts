import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { AgentAccount } from "./agent-account.js";
import type { Cluster } from "./cluster.js";
import { toolPath } from "./tools.js";

export const chartFolder = fileURLToPath(new URL("../../../../charts/sluice", import.meta.url));

const release = "sluice";
const namespace = "sluice-system";

/** Runs helm against a cluster as the admin; resolves with its stdout. */
export async function helm(cluster: Cluster, ...args: readonly string[]): Promise<string> {
  const env = { ...process.env, HOME: cluster.folder, KUBECONFIG: cluster.adminKubeconfig };
  const { stdout } = await promisify(execFile)(toolPath("helm"), args, { env });
  return stdout;
}

export interface Installed {
  /** The account of the agent on a node, with no more rights than the chart gives. */
  account(nodeName: string): Promise<AgentAccount>;
}

/** Installs the chart as a user does: CRDs, RBAC, admission policy. Nothing runs its DaemonSet here. */
export async function installChart(
  cluster: Cluster,
  ...values: readonly string[]
): Promise<Installed> {
  const sets = values.flatMap((value) => ["--set", value]);
  await helm(
    cluster,
    ...["install", release, chartFolder, "--namespace", namespace, "--create-namespace", ...sets],
  );
  for (const plural of ["xdppolicies", "xdpcidrsets", "nodedatapaths"]) {
    await cluster.untilServed(`/apis/sluice.dev/v1alpha1/${plural}`);
  }
  return {
    account: (nodeName) => cluster.agentAccount(nodeName, { namespace, serviceAccount: "sluice" }),
  };
}
