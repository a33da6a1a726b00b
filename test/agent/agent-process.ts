import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type ApiClient, createClient } from "../../operator/api/client.js";
import type { Lab, Namespace } from "../support/netns.js";

const agentScript = fileURLToPath(new URL("../../operator/agent/main.js", import.meta.url));
const cliScript = fileURLToPath(new URL("../../operator/cli/main.js", import.meta.url));

const patienceMs = 20_000;

/** How the programs of a build are started: the words before their options. */
export interface Build {
  readonly agent: readonly string[];
  /** The environment has SLUICE_SOCKET. */
  readonly sluicectl: readonly string[];
}

const ownBuild: Build = {
  agent: [process.execPath, "--enable-source-maps", agentScript],
  sluicectl: [process.execPath, cliScript],
};

/** A node with one uplink, `eth0`, and an outside client on the other end of its wire. */
export interface TestNode {
  readonly node: Namespace;
  readonly client: Namespace;
  readonly pinRoot: string;
  readonly folder: string;
  readonly socketPath: string;
  readonly api: ApiClient;
  /** Writes a manifest file. */
  write(name: string, text: string): void;
  /** Starts an agent; options given replace those of the node. */
  start(options?: Readonly<Record<string, string>>): AgentProcess;
  /** Runs sluicectl as a program on the node. */
  ctl(...words: readonly string[]): { readonly code: number; readonly out: string };
}

export interface AgentProcess {
  readonly pid: number;
  readonly log: () => string;
  /** How it ended: exit status or signal. */
  readonly exited: Promise<number | NodeJS.Signals | null>;
  /**
   * Resolves when what the folder says is in the kernel; rejects with the log when the agent ends.
   */
  ready(): Promise<void>;
  signal(signal: NodeJS.Signals): void;
}

export const nodeAddress = "10.9.0.1";
export const clientAddress = "10.9.0.2";

/** @param buildFor the programs to run, given the node's folder; those of this build when absent */
export function createTestNode(
  lab: Lab,
  buildFor: (folder: string) => Build = () => ownBuild,
): TestNode {
  const node = lab.namespace("node");
  const client = lab.namespace("client");
  lab.veth(
    { namespace: node, name: "eth0", addresses: [`${nodeAddress}/24`, "fd09::1/64"] },
    { namespace: client, name: "wire", addresses: [`${clientAddress}/24`, "fd09::2/64"] },
  );
  const pinRoot = lab.pinFolder();
  const folder = mkdtempSync(join(tmpdir(), "sluice-agent-"));
  lab.onCleanup(() => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(join(folder, "manifests"));
  const build = buildFor(folder);
  const socketPath = join(folder, "state", "agent.sock");
  const api = createClient(socketPath, 5000);
  const defaults = {
    manifests: join(folder, "manifests"),
    "node-name": "node1",
    "node-labels": "role=edge",
    uplinks: "eth0",
    "pin-root": pinRoot,
    "state-folder": join(folder, "state"),
    socket: socketPath,
    "metrics-address": "127.0.0.1:9977",
  };
  return {
    node,
    client,
    pinRoot,
    folder,
    socketPath,
    api,
    write: (name, text) => writeFileSync(join(folder, "manifests", name), text),
    start(options = {}) {
      const words = Object.entries({ ...defaults, ...options }).flatMap(([name, value]) => [
        `--${name}`,
        value,
      ]);
      return startAgent(lab, node, [...build.agent, ...words], api);
    },
    ctl(...words) {
      const command = [`--net=${node.path}`, ...build.sluicectl, ...words];
      try {
        const env = { ...process.env, SLUICE_SOCKET: socketPath };
        const out = execFileSync("nsenter", command, {
          encoding: "utf8",
          stdio: ["ignore", "pipe", "pipe"],
          env,
          timeout: patienceMs,
        });
        return { code: 0, out };
      } catch (error) {
        const { status, stdout, stderr } = error as {
          status: number;
          stdout: string;
          stderr: string;
        };
        return { code: status, out: `${stdout}${stderr}` };
      }
    },
  };
}

function startAgent(
  lab: Lab,
  node: Namespace,
  words: readonly string[],
  api: ApiClient,
): AgentProcess {
  // The kernel kills the agent when this process dies, however it dies.
  const command = ["--pdeathsig", "KILL", "nsenter", `--net=${node.path}`, ...words];
  const child = spawn("setpriv", command, {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let log = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => void (log += text));
  }
  const exited = new Promise<number | NodeJS.Signals | null>((resolve) => {
    child.on("close", (status, signal) => resolve(signal ?? status));
  });
  lab.onCleanup(async () => {
    if (isRunning(child)) child.kill("SIGKILL");
    await exited;
  });
  return {
    pid: child.pid ?? 0,
    log: () => log,
    exited,
    signal: (signal) => void child.kill(signal),
    async ready() {
      await until(`the agent is ready`, async () => {
        if (!isRunning(child)) throw new Error(`the agent ended:\n${log}`);
        const status = await api.call("status").catch(() => undefined);
        return status?.inSync === true && status.pid === child.pid;
      });
    },
  };
}

function isRunning(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null;
}

/** Waits for something that comes by itself; bounded. */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + patienceMs;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`not in ${patienceMs} ms: ${what}`);
    await sleep(30);
  }
}

const echoScript = `
  const socket = require("node:dgram").createSocket("udp4");
  socket.on("message", (text, from) => socket.send(text, from.port, from.address));
  socket.bind(9000, () => console.log("up"));
`;

/** A UDP server on port 9000 of the node, which sends back what it gets. */
export async function startEcho(lab: Lab, node: Namespace): Promise<void> {
  const command = ["--pdeathsig", "KILL", "nsenter", `--net=${node.path}`, process.execPath];
  const child = spawn("setpriv", [...command, "-e", echoScript], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  lab.onCleanup(() => void child.kill("SIGKILL"));
  await new Promise((resolve) => child.stdout.once("data", resolve));
}

const askScript = `
  const [address, tries, waitMs] = process.argv.slice(1);
  const socket = require("node:dgram").createSocket("udp4");
  let left = Number(tries);
  socket.on("message", () => process.exit(0));
  const ask = () => {
    if (left-- === 0) process.exit(1);
    socket.send("?", 9000, address);
    setTimeout(ask, Number(waitMs));
  };
  ask();
`;

/**
 * Whether the node answers UDP from the client. Nothing is lost on a veth, so one answer is enough.
 */
export function echoes({ client }: TestNode, tries = 3, waitMs = 150): boolean {
  try {
    client.run(process.execPath, "-e", askScript, nodeAddress, String(tries), String(waitMs));
    return true;
  } catch {
    return false;
  }
}

/** Number of the XDP program on the node's uplink, by iproute2; undefined without one. */
export function xdpProgram({ node }: TestNode): string | undefined {
  return /prog\/xdp id (\d+)/.exec(node.run("ip", "-details", "link", "show", "eth0"))?.[1];
}
