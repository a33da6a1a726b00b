import { type ApiClient, createClient } from "../../api/client.js";
import { apiError } from "../../api/errors.js";
import type { SluiceError } from "../../errors.js";
import type { KubeConnection } from "../../kube/connection.js";
import { KubeError } from "../../kube/errors.js";
import { openExec } from "../../kube/exec.js";
import type { ExecExit } from "../../kube/exec-stream.js";
import type { ClusterOptions } from "../agent-command.js";
import { type Agent, type Agents, createAgents } from "../agents.js";
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
    return createAgents(agentsIn(pods, cluster), {
      isCluster: true,
      onFailure,
      kube: cluster.kube,
    });
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

export function agentsIn(pods: readonly AgentPod[], { connection }: Cluster): readonly Agent[] {
  return pods.map((pod) => ({ node: pod.node, client: clientOf(connection, pod) }));
}

function clientOf(connection: KubeConnection, pod: AgentPod): ApiClient | SluiceError {
  const { node, namespace, name, container, problem } = pod;
  const where = `on ${node} (pod ${namespace}/${name})`;
  const remedy = `Look at its pod: kubectl -n ${namespace} describe pod ${name}, kubectl -n ${namespace} logs ${name}`;
  const unreachable = (why: string, cause?: unknown) =>
    apiError("SLUICE_AGENT_UNREACHABLE", `cannot reach the agent ${where}: ${why}`, {
      remedy,
      cause,
    });
  if (problem !== undefined) return unreachable(problem);
  const target = { namespace, pod: name, container, command: [...sluicectlInPod, "connect"] };
  const errorOfExit = (exit: ExecExit) =>
    exit.code === 0 ? undefined : unreachable(reasonOf(exit));
  const connect = async () => {
    try {
      const options = { userAgent, timeoutMs: callTimeoutMs, errorOfExit };
      return await openExec(connection, { ...target, hasInput: true }, options);
    } catch (error) {
      throw error instanceof KubeError && isOfNode(error)
        ? unreachable(error.problem, error)
        : error;
    }
  };
  return createClient({ where, remedy, connect }, callTimeoutMs);
}

/** The API server has answered, and what it says is no matter of the user's rights. */
function isOfNode({ status }: KubeError): boolean {
  return status !== undefined && status !== 401 && status !== 403;
}

/** sluicectl's own words where it said some: `error: cannot reach the agent at …: there is no such socket`. */
function reasonOf({ code, message, stderr }: ExecExit): string {
  const first = stderr.split("\n", 1)[0] ?? "";
  if (code === exitCodes.unreachable)
    return first.replace(/^error: (cannot reach the agent )?/, "");
  const how = code === undefined ? message : `sluicectl connect ended with exit code ${code}`;
  return first === "" ? how : `${how}: ${first}`;
}
