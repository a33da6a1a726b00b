import { type DropDelays, DropMeter, type DropPolicy } from "../cluster/drop.js";
import type { Memory } from "../cluster/memory.js";
import { settleMs } from "../cluster/rounds.js";
import { setTimeout as sleep } from "node:timers/promises";
import { createPods, inParallel, podNamespace, tellAddresses } from "./cluster.js";
import { allowIn } from "./policies.js";
import { attachPods, type PodWorld } from "./world.js";

export interface PodMemory extends Memory {
  /** MiB of all tables in the kernel. */
  readonly kernelMiB: number;
}

export interface ChangeFigures {
  readonly delays: DropDelays;
  readonly memory: PodMemory;
}

export interface Crowd {
  /** Pods of the cluster, of which some are on the first node. */
  readonly pods: number;
  readonly local: number;
  readonly changes: number;
}

const policy: DropPolicy = {
  apiVersion: "networking.k8s.io/v1",
  kind: "NetworkPolicy",
  namespace: podNamespace,
  name: "allow-in",
  path: allowIn.path,
  spec: (action) => allowIn.spec(action === "Pass"),
};

export function readPodMemory({ agents: [agent] }: PodWorld): PodMemory {
  return { ...agent.memory(), kernelMiB: agent.tablesMiB() };
}

/** Changes one of many policies under a stream of datagrams between two pods, among many pods. */
export async function measureChange(
  world: PodWorld,
  { pods, local, changes }: Crowd,
  progress: (text: string) => void,
): Promise<ChangeFigures> {
  const { podCluster, nodes, agents, sluice } = world;
  const { cluster } = podCluster;
  progress(`${pods} pods, ${local} of them here`);
  const names = (label: string, count: number) =>
    Array.from({ length: count }, (_, index) => `${label}-${index}`);
  // The three that carry traffic are here or there, too.
  await attachPods(podCluster, nodes[0], agents[0], names("local", local - 2));
  const remote = names("remote", pods - local - 1);
  await createPods(cluster, "elsewhere", remote, (index) => ({ app: `app-${index % 100}` }));
  await inParallel(remote, (name, index) => {
    return tellAddresses(cluster, name, [`10.250.${index >> 8}.${index & 255}`]);
  });
  await sleep(settleMs);
  const memory = readPodMemory(world);
  const meter = new DropMeter(cluster, policy, sluice.client, sluice.near);
  const delays = await meter.measure("PATCH", changes, progress);
  meter.end();
  return { delays, memory };
}
