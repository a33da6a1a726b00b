import type { V1Pod } from "@kubernetes/client-node";
import type { KubeClient } from "../../kube/client.js";
import { KubeError } from "../../kube/errors.js";
import { cliError } from "../errors.js";

/** The pod of one node's agent. */
export interface AgentPod {
  readonly node: string;
  readonly namespace: string;
  readonly name: string;
  readonly container: string;
  /** Why nothing can run in it; undefined: it runs. */
  readonly problem?: string;
}

const labelSelector = "app.kubernetes.io/name=sluice,app.kubernetes.io/component=agent";
const preferredNamespace = "kube-system";
const pageSize = 500;

/**
 * Finds the agents: in this namespace, else in all. Who may not list pods everywhere is served from kube-system and the
 * namespace of the context.
 *
 * @returns one pod per node, by the nodes' names
 * @throws KubeError; SluiceError SLUICE_NO_AGENTS
 */
export async function findAgentPods(
  kube: KubeClient,
  namespace: string | undefined,
): Promise<readonly AgentPod[]> {
  const pods = namespace === undefined ? await listWhereAllowed(kube) : await list(kube, namespace);
  const byNode = new Map<string, V1Pod>();
  for (const pod of pods) {
    const node = pod.spec?.nodeName;
    if (node === undefined) continue;
    const other = byNode.get(node);
    if (other === undefined || isBetter(pod, other)) byNode.set(node, pod);
  }
  if (byNode.size === 0) {
    const where = namespace === undefined ? "in this cluster" : `in namespace ${namespace}`;
    throw cliError("SLUICE_NO_AGENTS", `no pod with ${labelSelector} is on a node ${where}`);
  }
  return [...byNode.entries()]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([node, pod]) => toAgentPod(node, pod));
}

async function listWhereAllowed(kube: KubeClient): Promise<readonly V1Pod[]> {
  try {
    return await list(kube, undefined);
  } catch (error) {
    if (!isForbidden(error)) throw error;
    for (const namespace of new Set([preferredNamespace, kube.namespace])) {
      try {
        return await list(kube, namespace);
      } catch (next) {
        if (!isForbidden(next)) throw next;
      }
    }
    throw error;
  }
}

export function isForbidden(error: unknown): error is KubeError {
  return error instanceof KubeError && error.code === "SLUICE_KUBE_FORBIDDEN";
}

async function list(kube: KubeClient, namespace: string | undefined): Promise<readonly V1Pod[]> {
  const scope = namespace === undefined ? "" : `/namespaces/${encodeURIComponent(namespace)}`;
  const pods: V1Pod[] = [];
  let next: string | undefined;
  do {
    const query = { labelSelector, limit: pageSize, ...(next !== undefined && { continue: next }) };
    const page: PodPage = await kube.call({ path: `/api/v1${scope}/pods`, query });
    pods.push(...page.items);
    next = page.metadata?.continue;
  } while (next !== undefined && next !== "");
  return pods;
}

interface PodPage {
  readonly items: readonly V1Pod[];
  readonly metadata?: { readonly continue?: string };
}

/** While a DaemonSet rolls, a node may have an ending pod and a new one. */
function isBetter(pod: V1Pod, other: V1Pod): boolean {
  return rank(pod) > rank(other);
}

function rank(pod: V1Pod): number {
  return (
    (problemOf(pod) === undefined ? 2 : 0) +
    (pod.metadata?.namespace === preferredNamespace ? 1 : 0)
  );
}

function toAgentPod(node: string, pod: V1Pod): AgentPod {
  const problem = problemOf(pod);
  return {
    node,
    namespace: pod.metadata?.namespace ?? "",
    name: pod.metadata?.name ?? "",
    container: containerOf(pod),
    ...(problem !== undefined && { problem }),
  };
}

function containerOf({ metadata, spec }: V1Pod): string {
  const names = spec?.containers.map(({ name }) => name) ?? [];
  const marked = metadata?.annotations?.["kubectl.kubernetes.io/default-container"];
  return (
    [marked, "agent", names[0]].find((name) => name !== undefined && names.includes(name)) ?? ""
  );
}

function problemOf({ metadata, status }: V1Pod): string | undefined {
  if (metadata?.deletionTimestamp !== undefined) return "its pod is being deleted";
  const waiting = status?.containerStatuses?.find(({ state }) => state?.waiting !== undefined);
  const reason = waiting?.state?.waiting?.reason ?? status?.reason;
  const phase = status?.phase ?? "Unknown";
  if (phase === "Running" && waiting === undefined) return undefined;
  return `its pod is ${phase}${reason === undefined ? "" : `, ${reason}`}`;
}
