import { netnsPath } from "../../datapath/index.js";
import { createAgentCommand } from "../../operator/agent/options.js";
import { openTunnel } from "../../test/support/cluster/tunnel.js";
import { callPlugin, sluicePlugin } from "../cni/plugins.js";
import { makeNamespace } from "../cleanup.js";
import { type PodAgent, startPodAgent } from "./agent.js";
import { createPods, inParallel, type PodCluster, tellAddresses } from "./cluster.js";
import {
  type BenchNode,
  makeNodes,
  makeRoutedPod,
  type Place,
  type Routing,
  routeBetween,
  uplink,
} from "./nodes.js";
import { labelsOf } from "./policies.js";
import { serve, type ServingPlace } from "./traffic.js";

/** A client, a server on its node and one on the other. */
export interface Trio {
  readonly client: Place;
  readonly near: ServingPlace;
  readonly far: ServingPlace;
}

/** Two nodes of Sluice's, and beside them two that the kernel routes between, with pods on the same veths. */
export interface PodWorld {
  readonly podCluster: PodCluster;
  readonly nodes: readonly [BenchNode, BenchNode];
  readonly agents: readonly [PodAgent, PodAgent];
  readonly sluice: Trio;
  readonly routed: Trio;
}

export async function makePodWorld(podCluster: PodCluster, routing: Routing): Promise<PodWorld> {
  const { cluster, installed } = podCluster;
  const nodes = makeNodes(`${routing}-s`);
  for (const { name, address, podCidrs } of nodes) {
    await cluster.createNode(name, { addresses: [address], podCIDRs: podCidrs });
  }
  const start = async ({ name, namespace }: BenchNode) => {
    const tunnel = await openTunnel(cluster, { path: netnsPath(namespace) });
    return startPodAgent({
      nodeName: name,
      account: await installed.account(name),
      apiServer: tunnel.endpoint,
      namespace,
      uplink,
      flags: routingFlags(routing),
    });
  };
  const agents = [await start(nodes[0]), await start(nodes[1])] as const;
  if (!hasRouting) routeBetween(nodes, routing);
  const attach = (at: 0 | 1, name: string, side: keyof typeof labelsOf) =>
    attachPods(podCluster, nodes[at], agents[at], [name], labelsOf[side]);
  const [client, near, far] = [
    ...(await attach(0, "client", "client")),
    ...(await attach(0, "near", "server")),
    ...(await attach(1, "far", "server")),
  ] as readonly Place[] as [Place, Place, Place];

  const others = makeNodes(`${routing}-r`);
  routeBetween(others, routing);
  const routedPod = (at: 0 | 1, name: string, last: number) =>
    makeRoutedPod(others[at], name, last, routing);
  return {
    podCluster,
    nodes,
    agents,
    sluice: { client, near: await serve(near), far: await serve(far) },
    routed: {
      client: routedPod(0, "client", 2),
      near: await serve(routedPod(0, "near", 3)),
      far: await serve(routedPod(1, "far", 2)),
    },
  };
}

/** Has pods run on a node, as kubelet and runtime do. */
export async function attachPods(
  { cluster }: PodCluster,
  node: BenchNode,
  { binFolder }: PodAgent,
  names: readonly string[],
  labels: Readonly<Record<string, string>> = {},
): Promise<readonly Place[]> {
  const known = await createPods(cluster, node.name, names, () => labels);
  const plugin = sluicePlugin(binFolder);
  return inParallel(known, async (pod) => {
    const namespace = makeNamespace(`${node.label}-${pod.name}`);
    const { ips } = await callPlugin(plugin, "ADD", { ...pod, namespace, containerId: pod.name });
    await tellAddresses(cluster, pod.name, ips);
    return { namespace, address: ips[0]! };
  });
}

const hasRouting = createAgentCommand().options.some(({ long }) => long === "--pod-routing");

function routingFlags(routing: Routing): Readonly<Record<string, string>> {
  return hasRouting ? { "pod-routing": routing } : {};
}
