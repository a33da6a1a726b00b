import { cpSync, mkdirSync, symlinkSync } from "node:fs";
import { SluiceError } from "../errors.js";
import { createAgent, type NodeAgent } from "./agents.js";
import { createLabFolder, type LabFolder, labPrefix, removeLab } from "./lab-folder.js";
import { type LabProcess, startProcess } from "./processes.js";
import { attachPod, type LabPod, type PodAddresses, writeClusterObjects } from "./pods.js";
import { createTopology, planTopology, type Topology } from "./topology.js";
import { noAttack, type StartProcess, startTraffic, type Traffic } from "./traffic.js";

export interface LabOptions {
  /** Folder of manifests that the agents watch. */
  readonly manifests: string;
  /** Watch a copy inside the lab's folder, so that the lab can edit it. */
  readonly copy: boolean;
}

/** Three nodes with their agents, an outside client, and an attacker. */
export interface Lab {
  readonly topology: Topology;
  readonly folder: LabFolder;
  /** The folder of policies. */
  readonly manifests: string;
  /** The folder that the agents watch: the policies, and what a cluster would tell besides. */
  readonly objects: string;
  readonly agents: readonly NodeAgent[];
  readonly traffic: () => Traffic;
  /** Makes everything and resolves when all agents are ready and the client asks for pages. */
  readonly start: () => Promise<void>;
  /**
   * Ends and removes everything, at any time, also half way through `start`; later calls wait for
   * the first. Resolves with what could not be removed.
   */
  readonly close: () => Promise<readonly string[]>;
  readonly isClosing: () => boolean;
}

/** Prepares the lab of this process; nothing but its folder exists before `start`. */
export function createLab({ manifests: source, copy }: LabOptions): Lab {
  const topology = planTopology(labPrefix(process.pid));
  const folder = createLabFolder(topology);
  const objects = `${folder.path}/objects`;
  const policies = `${objects}/policies`;
  const manifests = copy ? policies : source;
  const processes: LabProcess[] = [];
  let traffic: Traffic | undefined;
  let closed: Promise<readonly string[]> | undefined;

  const start: StartProcess = (options) => {
    if (closed !== undefined) throw new SluiceError("SLUICE_LAB_CLOSED", "the lab is closing");
    const logPath = `${folder.path}/${options.name.replaceAll(" ", "-")}.log`;
    const started = startProcess({ ...options, logPath, onStart: folder.addProcess });
    processes.push(started);
    return started;
  };
  const agents = topology.nodes.map((node) => createAgent(node, objects, folder, start));

  async function close(): Promise<readonly string[]> {
    traffic?.setAttack(noAttack);
    await Promise.all(processes.map((each) => each.stop()));
    return removeLab(folder.path);
  }

  return {
    topology,
    folder,
    manifests,
    objects,
    agents,
    traffic() {
      if (traffic === undefined) throw new Error("the lab has not been started");
      return traffic;
    },
    async start() {
      mkdirSync(objects);
      if (copy) cpSync(source, policies, { recursive: true });
      else symlinkSync(source, policies);
      const cluster = `${objects}/cluster.json`;
      writeClusterObjects(cluster, topology, new Map());
      createTopology(topology);
      await Promise.all(agents.map((agent) => agent.start()));
      const addresses = await attachPods(topology, agents);
      writeClusterObjects(cluster, topology, addresses);
      traffic = await startTraffic(topology, addresses, start);
    },
    close() {
      closed ??= close();
      return closed;
    },
    isClosing: () => closed !== undefined,
  };
}

async function attachPods({ pods }: Topology, agents: readonly NodeAgent[]) {
  const addresses = new Map<LabPod, PodAddresses>();
  for (const pod of pods) {
    const agent = agents.find(({ node }) => node === pod.node);
    if (agent !== undefined) addresses.set(pod, await attachPod(agent.binFolder, pod));
  }
  return addresses;
}
