import type { Cluster } from "../support/cluster/cluster.js";
import { installChart } from "../support/cluster/install.js";
import { type Lab, type Namespace, withNamespaces } from "../support/netns.js";
import { withNodes } from "./node.js";
import { createPodNode, type PodNode } from "./pods.js";

/** Nodes of one cluster on one wire, `eth1`: `node1` has 10.77.0.1, fd77::1, 10.244.1.0/24 and fd00:244:1::/64. */
export interface PodNodes {
  readonly cluster: Cluster;
  /** Makes the machine, and its Node without an address and without podCIDRs. */
  readonly machine: (number: number) => Promise<PodNode>;
  /** Gives the Node both; makes it when there is none. */
  readonly register: (number: number) => Promise<void>;
  /** What all of them are connected by; it has an address of its own. */
  readonly wire: Namespace;
  readonly lab: Lab;
}

export const wireAddress = "10.77.0.100";
export const nodeAddress = (number: number) => `10.77.0.${number}`;
export const nodeAddress6 = (number: number) => `fd77::${number}`;

/** A real API server with the chart installed for a pod network, and machines to be its nodes. */
export async function withPodNodes(
  cluster: Cluster,
  body: (nodes: PodNodes) => Promise<void>,
): Promise<void> {
  const installed = await installChart(cluster, "podNetwork.enabled=true");
  await withNodes(cluster, installed, async ({ node }) => {
    await withNamespaces(async (lab) => {
      const wire = lab.namespace("wire");
      wire.run("ip", "link", "add", "shared", "type", "bridge");
      wire.run("ip", "address", "add", `${wireAddress}/24`, "dev", "shared");
      wire.run("ip", "link", "set", "shared", "up");
      await body({
        cluster,
        wire,
        lab,
        async machine(number) {
          const name = `node${number}`;
          const made = await node(name);
          lab.veth(
            {
              namespace: made.node,
              name: "eth1",
              addresses: [`${nodeAddress(number)}/24`, `${nodeAddress6(number)}/64`],
            },
            { namespace: wire, name: `port${number}` },
          );
          wire.run("ip", "link", "set", `port${number}`, "master", "shared");
          return createPodNode(lab, made, name);
        },
        register: (number) => register(cluster, number),
      });
    });
  });
}

async function register(cluster: Cluster, number: number): Promise<void> {
  const name = `node${number}`;
  const addresses = [nodeAddress(number), nodeAddress6(number)];
  const podCIDRs = [`10.244.${number}.0/24`, `fd00:244:${number}::/64`];
  const path = `/api/v1/nodes/${name}`;
  const { status } = await cluster.rest.send({ path });
  if (status === 404) {
    await cluster.createNode(name, { addresses, podCIDRs });
    return;
  }
  const contentType = "application/merge-patch+json";
  const patch = (to: string, body: object) =>
    cluster.request({ method: "PATCH", path: to, contentType, body });
  await patch(`${path}/status`, {
    status: { addresses: addresses.map((address) => ({ type: "InternalIP", address })) },
  });
  await patch(path, { spec: { podCIDR: podCIDRs[0], podCIDRs } });
}
