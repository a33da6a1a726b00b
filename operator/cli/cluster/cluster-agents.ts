import { type ApiClient, createClient } from "../../api/client.js";
import { apiError } from "../../api/errors.js";
import type { SluiceError } from "../../errors.js";
import type { KubeConnection } from "../../kube/connection.js";
import { openExec } from "../../kube/exec.js";
import type { ExecExit } from "../../kube/exec-stream.js";
import type { ClusterOptions } from "../agent-command.js";
import { type Agents, createAgents } from "../agents.js";
import { exitCodes, usageError } from "../errors.js";
import type { CliIo } from "../io.js";
import { type AgentPod, findAgentPods } from "./agent-pods.js";
import { type Cluster, openCluster, userAgent } from "./open-cluster.js";

/** sluicectl in the agent's image, which has no shell. */
export const sluicectlInPod = ["node", "/opt/sluice/dist/operator/cli/main.js"] as const;

/** For one answer, the start of `sluicectl connect` included. */
const callTimeoutMs = 15_000;

/**
 * The agents of a cluster, reached through the API server alone.
 *
 * @param onFailure told of agents that cannot be asked, when others can
 * @throws KubeError; SluiceError SLUICE_NO_AGENTS, SLUICE_USAGE for a node without an agent
 */
export async function openClusterAgents(
  io: CliIo,
  options: ClusterOptions,
  onFailure: (text: string) => void,
): Promise<Agents> {
  const cluster = await openCluster(io, options);
  try {
    const pods = await findSelectedPods(cluster, options);
    const all = pods.map((pod) => ({ node: pod.node, client: clientOf(cluster.connection, pod) }));
    return createAgents(all, { isCluster: true, onFailure, kube: cluster.kube });
  } catch (error) {
    cluster.kube.close();
    throw error;
  }
}

/** Pods of the nodes that `--node` names; of all without it. */
export async function findSelectedPods(
  { kube }: Cluster,
  { namespace, node: wanted }: ClusterOptions,
): Promise<readonly AgentPod[]> {
  const pods = await findAgentPods(kube, namespace);
  if (wanted === undefined) return pods;
  for (const name of wanted) {
    if (pods.some(({ node }) => node === name)) continue;
    const names = pods.map(({ node }) => node);
    throw usageError(
      `no agent is on node ${name}`,
      `Agents are on ${names.slice(0, 10).join(", ")}${names.length > 10 ? `, and ${names.length - 10} more` : ""}`,
    );
  }
  return pods.filter(({ node }) => wanted.includes(node));
}

function clientOf(connection: KubeConnection, pod: AgentPod): ApiClient | SluiceError {
  const { node, namespace, name, container, problem } = pod;
  const where = `on ${node} (pod ${namespace}/${name})`;
  const remedy = `Look at its pod: kubectl -n ${namespace} describe pod ${name}, kubectl -n ${namespace} logs ${name}`;
  if (problem !== undefined) {
    const text = `cannot reach the agent ${where}: ${problem}`;
    return apiError("SLUICE_AGENT_UNREACHABLE", text, { remedy });
  }
  const errorOfExit = (exit: ExecExit) => {
    if (exit.code === 0) return undefined;
    const text = `cannot reach the agent ${where}: ${reasonOf(exit)}`;
    return apiError("SLUICE_AGENT_UNREACHABLE", text, { remedy });
  };
  return createClient(
    {
      where,
      remedy,
      connect: () =>
        openExec(
          connection,
          {
            namespace,
            pod: name,
            container,
            command: [...sluicectlInPod, "connect"],
            hasInput: true,
          },
          { userAgent, timeoutMs: callTimeoutMs, errorOfExit },
        ),
    },
    callTimeoutMs,
  );
}

/** sluicectl's own words where it said some: `error: cannot reach the agent at …: there is no such socket`. */
function reasonOf({ code, message, stderr }: ExecExit): string {
  const first = stderr.split("\n", 1)[0] ?? "";
  if (code === exitCodes.unreachable)
    return first.replace(/^error: (cannot reach the agent )?/, "");
  const how = code === undefined ? message : `sluicectl connect ended with exit code ${code}`;
  return first === "" ? how : `${how}: ${first}`;
}
