import { spawn, spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { netnsPath } from "../../datapath/index.js";
import { type ApiClient, createClient } from "../../operator/api/client.js";
import { SluiceError } from "../../operator/errors.js";
import type { AgentAccount } from "../../test/support/cluster/agent-account.js";
import { atExit, makePinFolder, makeScratchFolder } from "../cleanup.js";
import { addressLines } from "../cluster/agent.js";
import { type Memory, readMemory } from "../cluster/memory.js";
import { agentEnvironment, agentNodeFlags } from "../cluster/rounds.js";

const script = fileURLToPath(new URL("../../operator/agent/main.js", import.meta.url));
const patienceMs = 60_000;

export interface PodAgentOptions {
  readonly nodeName: string;
  readonly account: AgentAccount;
  /** HOST:PORT as the node reaches it. */
  readonly apiServer: string;
  /** Name of the node's network namespace; undefined: that of this process. */
  readonly namespace?: string;
  readonly uplink: string;
  /** More flags, without their dashes. */
  readonly flags?: Readonly<Record<string, string>>;
}

/** An agent that gives pods their network, as the chart runs it. */
export interface PodAgent {
  readonly pid: number;
  readonly api: ApiClient;
  /** Holds the plugin. */
  readonly binFolder: string;
  memory(): Memory;
  /** MiB that the kernel counts for its tables. */
  tablesMiB(): number;
  end(): void;
}

/** Starts it; it ends with this process at the latest. Resolves when it is in sync. */
export async function startPodAgent(options: PodAgentOptions): Promise<PodAgent> {
  const { nodeName, account, apiServer, namespace, uplink } = options;
  const scratch = makeScratchFolder();
  const pinRoot = makePinFolder().path;
  const socket = `${scratch.path}/agent.sock`;
  const binFolder = `${scratch.path}/bin`;
  const flags = {
    "service-account": account.folder,
    "api-server": apiServer,
    "node-name": nodeName,
    uplinks: uplink,
    "pin-root": pinRoot,
    "state-folder": `${scratch.path}/state`,
    socket,
    "metrics-address": "none",
    "log-level": "error",
    "address-lines": String(addressLines),
    "pod-network": "true",
    "cni-bin-dir": binFolder,
    ...options.flags,
  };
  const args = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
  const inside = namespace === undefined ? [] : ["nsenter", `--net=${netnsPath(namespace)}`];
  const command = [...inside, ...agentEnvironment, process.execPath, ...agentNodeFlags, script];
  const child = spawn("setpriv", ["--pdeathsig", "KILL", ...command, ...args], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  const stop = atExit(() => child.kill("SIGKILL"));
  const api = createClient(socket, patienceMs);
  for (const end = performance.now() + patienceMs; ; await sleep(20)) {
    const status = await api.call("status").catch(() => undefined);
    if (status?.inSync === true) break;
    if (child.exitCode === null && performance.now() < end) continue;
    throw new SluiceError("SLUICE_BENCH", `the agent of ${nodeName} did not come in sync`, {
      remedy: "Read what it said above",
    });
  }
  const pid = child.pid ?? 0;
  const read = (name: string) => readFileSync(`/proc/${pid}/${name}`, "utf8");
  return {
    pid,
    api,
    binFolder,
    memory: () => readMemory(read("status"), read("smaps")),
    tablesMiB: () => tablesMiB(pinRoot, pid),
    end: stop,
  };
}

/** Of all maps that are pinned, or that the process holds open, each counted once. */
function tablesMiB(pinRoot: string, pid: number): number {
  const bytes = new Map<number, number>();
  for (const entry of readdirSync(pinRoot, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const { status, stdout } = spawnSync("bpftool", ["--json", "map", "show", "pinned", path]);
    // A program or a link is no map.
    if (status !== 0) continue;
    const map = JSON.parse(String(stdout)) as {
      readonly id: number;
      readonly bytes_memlock: number;
    };
    bytes.set(map.id, map.bytes_memlock);
  }
  const folder = `/proc/${pid}/fdinfo`;
  for (const fd of readdirSync(folder)) {
    const text = readFileSync(`${folder}/${fd}`, "utf8");
    const id = /^map_id:\s*(\d+)/m.exec(text)?.[1];
    const size = /^memlock:\s*(\d+)/m.exec(text)?.[1];
    if (id !== undefined && size !== undefined) bytes.set(Number(id), Number(size));
  }
  return [...bytes.values()].reduce((sum, size) => sum + size, 0) / 2 ** 20;
}
