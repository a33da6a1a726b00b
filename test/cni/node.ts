import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { netnsPath } from "../../datapath/netns.js";
import { installPlugin } from "../../operator/cni/install.js";
import type { Lab, Namespace } from "../support/netns.js";
import type { ServerSettings } from "./server-process.js";

const script = fileURLToPath(new URL("server-process.js", import.meta.url));

/** What a server knows of its attachments. */
export interface ServerState {
  readonly attachments: number;
  /** Addresses in use, per podCIDR. */
  readonly used: readonly number[];
  /** Pods whose policy is in force. */
  readonly attached: number;
}

/** A CNI server in a process of its own, in the network namespace of a node. */
export interface CniProcess {
  state(): Promise<ServerState>;
  /** As when the Node object changes. */
  setPodCidrs(podCidrs: readonly string[]): Promise<void>;
  /** As kill -9; resolves when it is gone. */
  kill(): Promise<void>;
}

/** A node with the plugin installed; its server is started by the test. */
export interface CniNode {
  readonly namespace: Namespace;
  readonly folder: string;
  readonly binFolder: string;
  readonly stateFolder: string;
  readonly queueFolder: string;
  readonly settings: ServerSettings;
  start(other?: Partial<ServerSettings>): Promise<CniProcess>;
  /** Files in the state folder that tell of an attachment. */
  stateFiles(): readonly string[];
  /** Interfaces of pods on the node. */
  podLinks(): readonly string[];
}

/** What a call of the shim gave. */
export interface ShimAnswer {
  readonly exitCode: number;
  readonly stderr: string;
  /** Undefined: nothing was printed. */
  readonly result: ShimResult | undefined;
}

export interface ShimResult {
  readonly cniVersion?: string;
  readonly code?: number;
  readonly msg?: string;
  readonly supportedVersions?: readonly string[];
  readonly ips?: readonly { readonly address: string; readonly interface?: number }[];
  readonly interfaces?: readonly { readonly name: string; readonly mac?: string }[];
}

/** Makes a node whose parts all go with the test. */
export function createNode(lab: Lab, settings: Partial<ServerSettings> = {}): CniNode {
  const folder = mkdtempSync(join(tmpdir(), "sluice-cni-"));
  lab.onCleanup(() => rmSync(folder, { recursive: true, force: true }));
  const namespace = lab.namespace("node");
  const binFolder = join(folder, "bin");
  const stateFolder = join(folder, "state");
  const socketPath = join(folder, "run", "cni.sock");
  mkdirSync(binFolder);
  installPlugin(binFolder, socketPath);
  const full: ServerSettings = {
    socketPath,
    stateFolder,
    podCidrs: ["10.244.1.0/24", "fd00:244:1::/64"],
    policyMs: 0,
    refusedPod: "refused",
    ...settings,
  };
  return {
    namespace,
    folder,
    binFolder,
    stateFolder,
    queueFolder: join(folder, "run", "cni-queue"),
    settings: full,
    start: (other) => startServer(lab, namespace, { ...full, ...other }),
    stateFiles: () => readdirSync(stateFolder).filter((name) => /\.(json|pending)$/.test(name)),
    podLinks: () => namespace.run("ip", "-o", "link").match(/\bslc[0-9a-f]{11}\b/g) ?? [],
  };
}

async function startServer(
  lab: Lab,
  namespace: Namespace,
  settings: ServerSettings,
): Promise<CniProcess> {
  const command = ["--pdeathsig", "KILL", "nsenter", `--net=${namespace.path}`, process.execPath];
  const args = [...command, "--enable-source-maps", script, JSON.stringify(settings)];
  const child = spawn("setpriv", args, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const exited = once(child, "exit");
  const kill = async () => {
    child.kill("SIGKILL");
    await exited;
  };
  lab.onCleanup(kill);
  await Promise.race([
    once(child, "message"),
    exited.then(() => Promise.reject(new Error("the CNI server ended"))),
  ]);
  const ask = async (podCidrs?: readonly string[]) => {
    const answer = once(child, "message");
    child.send(podCidrs === undefined ? {} : { podCidrs });
    const [state] = (await answer) as [ServerState];
    return state;
  };
  return {
    kill,
    state: () => ask(),
    setPodCidrs: async (podCidrs) => void (await ask(podCidrs)),
  };
}

/** A call as a container runtime makes it. */
export interface ShimCall {
  readonly command: string;
  readonly containerId?: string;
  /** Name of a namespace of `ip netns`. */
  readonly netns?: string;
  readonly args?: string;
  readonly config?: object;
  /** Ends the shim before it has an answer. */
  readonly killAfterMs?: number;
}

/** Runs the shim once. */
export function runShim(node: Pick<CniNode, "binFolder">, call: ShimCall): Promise<ShimAnswer> {
  const { command, containerId, netns, args, config = {}, killAfterMs } = call;
  const env = {
    CNI_COMMAND: command,
    CNI_IFNAME: "eth0",
    CNI_PATH: node.binFolder,
    ...(containerId === undefined ? {} : { CNI_CONTAINERID: containerId }),
    ...(netns === undefined ? {} : { CNI_NETNS: netnsPath(netns) }),
    ...(args === undefined ? {} : { CNI_ARGS: args }),
  };
  return new Promise((resolve) => {
    const options = { env, timeout: killAfterMs ?? 0, killSignal: "SIGKILL" as const };
    const child = execFile(join(node.binFolder, "sluice"), options, (error, stdout, stderr) => {
      const result = stdout === "" ? undefined : (JSON.parse(stdout) as ShimResult);
      const code = error === null ? 0 : typeof error.code === "number" ? error.code : -1;
      // Whoever ends the shim closes its output first, and may be later than its end.
      const exitCode = killAfterMs !== undefined && stdout === "" ? -1 : code;
      resolve({ exitCode, stderr, result });
    });
    child.stdin?.on("error", () => {});
    child.stdin?.end(
      JSON.stringify({ cniVersion: "1.1.0", name: "net", type: "sluice", ...config }),
    );
  });
}
