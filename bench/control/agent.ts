import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { netnsPath } from "../../datapath/index.js";
import { type ApiClient, createClient } from "../../operator/api/client.js";
import { SluiceError } from "../../operator/errors.js";
import { atExit, makeNamespace, makePinFolder, makeScratchFolder } from "../cleanup.js";
import { policyText } from "./manifests.js";

/** What a real agent takes for 1 M addresses. */
export interface AgentFigures {
  /** Start of the process to rules in force. */
  readonly startMs: number;
  /** MiB of its own memory, and with the mapped tables and files. */
  readonly ownMiB: number;
  readonly residentMiB: number;
  /** The most that was resident at any time. */
  readonly peakMiB: number;
  /** A rule's file saved to the rule in force, of each edit. */
  readonly editMs: readonly number[];
}

const script = fileURLToPath(new URL("../../operator/agent/main.js", import.meta.url));
const timeoutMs = 60_000;
const pollMs = 5;
/** A collection of garbage comes by itself when the agent is idle. */
const idleMs = 3000;
const edits = 5;

/** Runs `sluice-agent` on a folder in a namespace with one uplink. */
export async function measureAgent(files: ReadonlyMap<string, string>): Promise<AgentFigures> {
  const namespace = makeNamespace("agent");
  execFileSync("ip", ["-n", namespace, "link", "add", "eth0", "type", "veth", "peer", "eth1"]);
  for (const name of ["eth0", "eth1"])
    execFileSync("ip", ["-n", namespace, "link", "set", name, "up"]);
  const pins = makePinFolder();
  const scratch = makeScratchFolder();
  const manifests = makeScratchFolder();
  for (const [name, text] of files) writeFileSync(`${manifests.path}/${name}`, text);
  const flags = {
    manifests: manifests.path,
    "node-name": "bench",
    uplinks: "eth0",
    "pin-root": pins.path,
    "state-folder": `${scratch.path}/state`,
    socket: `${scratch.path}/agent.sock`,
    "metrics-address": "none",
    "log-level": "warn",
  };
  const args = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]);
  const begun = performance.now();
  const child = spawn(
    "nsenter",
    [`--net=${netnsPath(namespace)}`, process.execPath, script, ...args],
    {
      stdio: ["ignore", "inherit", "inherit"],
    },
  );
  const kill = atExit(() => child.kill("SIGKILL"));
  const client = createClient(flags.socket);
  const ruleCount = (await waitFor(child, () => rulesInForce(client)), await rulesInForce(client))!;
  const startMs = performance.now() - begun;
  const editMs: number[] = [];
  for (let edit = 1; edit <= edits; edit++) {
    /* Renamed into place: an editor that writes in place would be waited for. */
    writeFileSync(`${scratch.path}/policy.yaml`, policyText(3 + edit));
    const saved = performance.now();
    renameSync(`${scratch.path}/policy.yaml`, `${manifests.path}/policy.yaml`);
    await waitFor(child, async () => (await rulesInForce(client)) === ruleCount + edit);
    editMs.push(performance.now() - saved);
  }
  await sleep(idleMs);
  const memory = readMemory(child.pid!);
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  await ended;
  kill();
  return { startMs, ...memory, editMs };
}

/** How many rules the kernel holds once it holds all that the folder says; undefined before. */
async function rulesInForce(client: ApiClient): Promise<number | undefined> {
  try {
    const { inSync, policies } = await client.call("status");
    if (!inSync || !policies.some(({ inForce }) => inForce)) return undefined;
    return (await client.call("rules")).length;
  } catch {
    /* Not listening yet. */
    return undefined;
  }
}

async function waitFor(child: ChildProcess, test: () => Promise<unknown>): Promise<void> {
  for (const end = performance.now() + timeoutMs; performance.now() < end; await sleep(pollMs)) {
    if (child.exitCode !== null) break;
    const result = await test();
    if (result !== undefined && result !== false) return;
  }
  throw new SluiceError("SLUICE_BENCH", "the agent did not put the folder in force", {
    remedy: "Read what it said above",
  });
}

function readMemory(pid: number): Pick<AgentFigures, "ownMiB" | "residentMiB" | "peakMiB"> {
  const text = readFileSync(`/proc/${pid}/status`, "utf8");
  const mebibytes = (name: string) =>
    Number(new RegExp(`^${name}:\\s*(\\d+) kB`, "m").exec(text)?.[1]) / 1024;
  return {
    ownMiB: mebibytes("RssAnon"),
    residentMiB: mebibytes("VmRSS"),
    peakMiB: mebibytes("VmHWM"),
  };
}
