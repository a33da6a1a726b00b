import { mkdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { type ApiClient, createClient } from "../api/client.js";
import { SluiceError } from "../errors.js";
import type { LabFolder } from "./lab-folder.js";
import type { LabProcess } from "./processes.js";
import type { LabHost } from "./topology.js";
import type { StartProcess } from "./traffic.js";

/** The agent of one node, with the datapath that it leaves behind when it is killed. */
export interface NodeAgent {
  readonly node: LabHost;
  readonly socketPath: string;
  /** Where it installs the CNI plugin. */
  readonly binFolder: string;
  readonly client: ApiClient;
  readonly process: () => LabProcess;
  /** Starts it, or starts it again; resolves when the kernel holds what the folder says. */
  readonly start: () => Promise<void>;
}

const readyTimeoutMs = 30_000;
const callTimeoutMs = 2_000;

/** Labels of a node, as a cluster would give them. */
export function nodeLabels(node: LabHost): Readonly<Record<string, string>> {
  return {
    "kubernetes.io/hostname": node.name,
    ...(node.name === "node3" ? { role: "edge" } : {}),
  };
}

/**
 * Prepares the agent of a node; `start` starts it.
 *
 * @param manifests folder that it watches
 */
export function createAgent(
  node: LabHost,
  manifests: string,
  { path, pinFolder }: LabFolder,
  startProcess: StartProcess,
): NodeAgent {
  const folder = `${path}/${node.name}`;
  const socketPath = `${folder}/agent.sock`;
  const binFolder = `${folder}/bin`;
  const client = createClient(socketPath, callTimeoutMs);
  const labels = Object.entries(nodeLabels(node)).map(([key, value]) => `${key}=${value}`);
  const flags = {
    manifests,
    "node-name": node.name,
    "node-labels": labels.join(","),
    uplinks: "eth0",
    "pin-root": `${pinFolder}/${node.name}`,
    "state-folder": folder,
    "cni-bin-dir": binFolder,
    socket: socketPath,
    "metrics-address": "127.0.0.1:9977",
  };
  let process: LabProcess | undefined;
  return {
    node,
    socketPath,
    binFolder,
    client,
    process() {
      if (process === undefined) throw new Error(`the agent of ${node.name} was never started`);
      return process;
    },
    async start() {
      mkdirSync(binFolder, { recursive: true, mode: 0o700 });
      process = startProcess({
        name: `agent of ${node.name}`,
        namespacePath: node.namespacePath,
        script: "../agent/main.js",
        args: [
          "--pod-network",
          ...Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]),
        ],
      });
      await waitUntilInSync(process, client);
    },
  };
}

/** @throws SluiceError SLUICE_LAB_PROCESS with the last lines of the agent's log */
async function waitUntilInSync(process: LabProcess, client: ApiClient): Promise<void> {
  const deadline = performance.now() + readyTimeoutMs;
  let last = "";
  while (process.isRunning() && performance.now() < deadline) {
    try {
      const status = await client.call("status");
      if (status.inSync && status.podNetwork?.inSync === true && status.pid === process.pid) return;
      last = status.applyError ?? "it is not in sync";
    } catch (error) {
      last = error instanceof Error ? error.message : String(error);
    }
    await sleep(50);
  }
  const why = process.isRunning() ? last : `it ended with ${await process.exited}`;
  throw new SluiceError(
    "SLUICE_LAB_PROCESS",
    `the ${process.name} did not become ready: ${why}\n${process.lastLines(15).join("\n")}\n`,
    { remedy: "Read its last lines above" },
  );
}
