/** Three nodes on one wire, each with an agent that gives pods their network. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ApiClient, createClient } from "../../operator/api/client.js";
import { agentCapabilities, podNetworkCapabilities } from "../../operator/health/capabilities.js";
import { withCapabilities } from "../kubernetes/pods.js";
import { type Agent, startAgent } from "../lifecycle/world.js";
import type { Cluster } from "../support/cluster/cluster.js";
import type { Installed } from "../support/cluster/install.js";
import { openTunnel } from "../support/cluster/tunnel.js";
import type { Lab } from "../support/netns.js";

export type RoutingMode = "direct" | "vxlan";

/** A node as the cluster of the specs has it: its name, addresses and podCIDRs are of this number. */
export interface TruthNode {
  readonly name: string;
  readonly binFolder: string;
  readonly api: ApiClient;
  readonly startAgent: () => Agent;
}

const NUMBERS = [1, 2, 3] as const;

/** Resolves when all agents are ready, and pods of each node can be reached from the others. */
export async function createNodes(
  lab: Lab,
  cluster: Cluster,
  installed: Installed,
  mode: RoutingMode,
): Promise<readonly TruthNode[]> {
  const wire = lab.namespace("wire");
  wire.run("ip", "link", "add", "wire", "type", "bridge");
  wire.run("ip", "link", "set", "wire", "up");
  const nodes = await Promise.all(
    NUMBERS.map(async (number): Promise<TruthNode> => {
      const name = `node-${number}`;
      const ipv4 = `192.168.0.${number}`;
      const ipv6 = `fd00:168::${number}`;
      const podCIDRs = [`10.244.${number}.0/24`, `fd00:244::${number}00/120`];
      const namespace = lab.namespace(name);
      lab.veth(
        { namespace, name: "eth0", addresses: [`${ipv4}/24`, `${ipv6}/64`] },
        { namespace: wire, name },
      );
      wire.run("ip", "link", "set", name, "master", "wire");
      await cluster.createNode(name, { addresses: [ipv4, ipv6], podCIDRs });
      const account = await installed.account(name);
      const tunnel = await openTunnel(cluster, namespace);
      lab.onCleanup(() => tunnel.close());
      const folder = mkdtempSync(join(tmpdir(), "slt-truth-"));
      lab.onCleanup(() => rmSync(folder, { recursive: true, force: true }));
      const socket = join(folder, "agent.sock");
      const binFolder = join(folder, "bin");
      const api = createClient(socket, 10_000);
      const options = {
        wrapper: withCapabilities([...agentCapabilities, ...podNetworkCapabilities]),
        flags: {
          "node-name": name,
          "service-account": account.folder,
          "api-server": tunnel.endpoint,
          "pod-network": "true",
          "pod-routing": mode,
          "cni-bin-dir": binFolder,
          uplinks: "eth0",
          "pin-root": lab.pinFolder(),
          "state-folder": join(folder, "state"),
          socket,
          "metrics-address": "none",
        },
      };
      return { name, binFolder, api, startAgent: () => startAgent(lab, namespace, api, options) };
    }),
  );
  /* One by one: each has programs to verify, which takes a busy machine its time. */
  for (const node of nodes) await startReady(node);
  return nodes;
}

async function startReady({ name, startAgent: start, api }: TruthNode): Promise<void> {
  const agent = start();
  try {
    await agent.ready().catch(() => agent.ready());
  } catch (cause) {
    const status = await api.call("status").catch(String);
    const text = `${name} is not ready: ${JSON.stringify(status)}\n${agent.log()}`;
    throw new Error(text, { cause });
  }
}
