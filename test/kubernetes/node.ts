import { type Agent, type AgentOptions, createWorld, type World } from "../lifecycle/world.js";
import type { AgentAccount } from "../support/cluster/agent-account.js";
import { type Cluster, withCluster } from "../support/cluster/cluster.js";
import { type Installed, installChart } from "../support/cluster/install.js";
import { openTunnel, type Tunnel } from "../support/cluster/tunnel.js";
import { type Lab, withNamespaces } from "../support/netns.js";

/** A node of a cluster on which the chart is installed, with an outside on its wire. */
export interface ClusterNode extends World {
  readonly cluster: Cluster;
  readonly account: AgentAccount;
  readonly tunnel: Tunnel;
  /** Starts an agent as the chart's DaemonSet does; flags given replace those of the node. */
  readonly startAgent: (options?: AgentOptions) => Agent;
}

export interface ClusterLab {
  readonly cluster: Cluster;
  readonly installed: Installed;
  /** @param to URL that the node finds its API server at; default the API server itself */
  readonly node: (name: string, to?: () => string) => Promise<ClusterNode>;
}

/** A real API server with the chart installed, and namespaces to be its nodes; all of it goes, however the test ends. */
export async function withClusterLab(body: (lab: ClusterLab) => Promise<void>): Promise<void> {
  await withCluster(async (cluster) => withNodes(cluster, await installChart(cluster), body));
}

/** Namespaces to be nodes of a cluster that tests share; they go, and with them their agents, however the test ends. */
export async function withNodes(
  cluster: Cluster,
  installed: Installed,
  body: (lab: ClusterLab) => Promise<void>,
): Promise<void> {
  await withNamespaces(async (lab) => {
    await body({
      cluster,
      installed,
      node: (name, to) => createClusterNode(cluster, installed, lab, name, to),
    });
  });
}

async function createClusterNode(
  cluster: Cluster,
  installed: Installed,
  lab: Lab,
  name: string,
  to?: () => string,
): Promise<ClusterNode> {
  const world = await createWorld(lab);
  const account = await installed.account(name);
  const tunnel = await openTunnel(cluster, world.node, to === undefined ? {} : { to });
  lab.onCleanup(() => tunnel.close());
  const flags = {
    manifests: undefined,
    "node-labels": undefined,
    "node-name": name,
    "service-account": account.folder,
    "api-server": tunnel.endpoint,
  };
  return {
    ...world,
    cluster,
    account,
    tunnel,
    startAgent: (options = {}) =>
      world.start({ ...options, flags: { ...flags, ...options.flags } }),
  };
}

/** A policy that drops datagrams from an address. */
export function dropFrom(name: string, address: string, more = ""): string {
  return `
apiVersion: sluice.dev/v1alpha1
kind: XdpPolicy
metadata: {name: ${name}}
spec:
  priority: 100
  ${more}
  ingress:
  - {name: drop, action: Drop, from: [{cidr: ${address}/32}]}
`;
}
