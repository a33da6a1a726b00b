import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type ApiClient, createClient } from "../../operator/api/client.js";
import type { PolicyState, RuleState } from "../../operator/api/engine.js";
import type { Problem } from "../../operator/model/records.js";
import type { Lab, Namespace } from "../support/netns.js";
import { type Peer, startPeer } from "./peer-process.js";

export const agentScript = fileURLToPath(new URL("../../operator/agent/main.js", import.meta.url));
export const nodeAddress = "10.9.0.1";
const lastHost = 19;
/** An outside address by its last byte, 2 … 19. */
export function host(last: number): string {
  return `10.9.0.${last}`;
}
/** One that no policy of these tests drops. */
export const friend = host(2);
/** UDP port that the node listens on. */
export const udpPort = 9000;

const patienceMs = 20_000;

export interface AgentOptions {
  /** Flags without their dashes; they replace those of the node, or take one away. */
  readonly flags?: Readonly<Record<string, string | undefined>>;
  /** The agent's main script, of this build or another. */
  readonly script?: string;
  /** Words in front of the command, such as `setpriv …`. */
  readonly wrapper?: readonly string[];
}

export interface Agent {
  readonly pid: number;
  readonly log: () => string;
  /** How it ended: exit status or signal. */
  readonly exited: Promise<number | NodeJS.Signals | null>;
  /** Resolves when what the folder says is in the kernel; rejects with the log when the agent ends. */
  ready(): Promise<void>;
  /** Ends it and waits for that. */
  end(signal: NodeJS.Signals): Promise<void>;
}

/** A way to the node. */
export interface Wire {
  /** Address of the node. */
  readonly to: string;
  /** Outside address whose datagrams always pass. */
  readonly friend: string;
}

/** A node with one uplink, `eth0`, and an outside with many addresses on the other end of its wire. */
export interface World {
  readonly node: Namespace;
  readonly outside: Namespace;
  /** Sends and receives on the node, and outside. */
  readonly inner: Peer;
  readonly outer: Peer;
  readonly pinRoot: string;
  readonly folder: string;
  readonly api: ApiClient;
  /** Writes a manifest file. */
  readonly write: (name: string, text: string) => void;
  readonly remove: (name: string) => void;
  readonly start: (options?: AgentOptions) => Agent;
  /** Whether a datagram from an outside address reaches the node. */
  readonly passes: (source: string, wire?: Wire) => Promise<boolean>;
  /** Waits until datagrams from an address do, or do not, reach the node. */
  readonly untilPasses: (source: string, expected: boolean) => Promise<void>;
  readonly policy: (name: string) => Promise<PolicyState>;
  readonly rule: (policy: string, rule: string) => Promise<RuleState>;
  /** Problems of the objects of a name. */
  readonly problems: (name: string) => Promise<readonly Problem[]>;
}

export async function createWorld(lab: Lab): Promise<World> {
  const node = lab.namespace("node");
  const outside = lab.namespace("outside");
  lab.veth(
    { namespace: node, name: "eth0", addresses: [`${nodeAddress}/24`] },
    {
      namespace: outside,
      name: "wire",
      addresses: Array.from({ length: lastHost - 1 }, (_, at) => `${host(at + 2)}/24`),
    },
  );
  const pinRoot = lab.pinFolder();
  const folder = mkdtempSync(join(tmpdir(), "slt-lifecycle-"));
  lab.onCleanup(() => rmSync(folder, { recursive: true, force: true }));
  const manifests = join(folder, "manifests");
  mkdirSync(manifests);
  const socketPath = join(folder, "agent.sock");
  const api = createClient(socketPath, 10_000);
  const inner = startPeer(lab, node);
  const outer = startPeer(lab, outside);
  await inner.call("listen", { port: udpPort });
  const flags = {
    manifests,
    "node-name": "node1",
    "node-labels": "role=edge",
    uplinks: "eth0",
    "pin-root": pinRoot,
    "state-folder": join(folder, "state"),
    socket: socketPath,
    "metrics-address": "none",
  };
  let probes = 0;
  const world: World = {
    node,
    outside,
    inner,
    outer,
    pinRoot,
    folder,
    api,
    write: (name, text) => writeFileSync(join(manifests, name), text),
    remove: (name) => rmSync(join(manifests, name)),
    start: (options = {}) =>
      startAgent(lab, node, api, { ...options, flags: { ...flags, ...options.flags } }),
    async passes(source, wire = { to: nodeAddress, friend }) {
      const { to } = wire;
      const number = ++probes;
      const stream = `probe-${source}`;
      const before = await inner.call("heard", { stream });
      const fences = await inner.call("heard", { stream: "fence" });
      await outer.call("send", { from: source, to, port: udpPort, stream, number });
      const fence = { from: wire.friend, to, port: udpPort, stream: "fence", number };
      await outer.call("send", fence);
      await until(
        "a datagram of a friend comes through",
        async () => (await inner.call("heard", { stream: "fence" })) > fences,
      );
      /* What was sent before the fence may have taken another CPU. */
      await sleep(15);
      return (await inner.call("heard", { stream })) > before;
    },
    untilPasses: (source, expected) =>
      until(
        `datagrams from ${source} ${expected ? "pass" : "are dropped"}`,
        async () => (await world.passes(source)) === expected,
      ),
    async policy(name) {
      const found = (await api.call("status")).policies.find((policy) => policy.name === name);
      if (found === undefined) throw new Error(`there is no policy ${name}`);
      return found;
    },
    async rule(policy, rule) {
      const found = (await api.call("rules")).find(
        (row) => row.policy === policy && row.rule === rule,
      );
      if (found === undefined) throw new Error(`there is no rule ${policy}/${rule}`);
      return found;
    },
    problems: async (name) =>
      (await api.call("status")).problems.filter((problem) => problem.name === name),
  };
  return world;
}

/** Starts an agent in the namespace of a node; it ends with the lab at the latest. */
export function startAgent(
  lab: Lab,
  node: Namespace,
  api: ApiClient,
  options: AgentOptions,
): Agent {
  const { flags = {}, script = agentScript, wrapper = [] } = options;
  const words = Object.entries(flags).flatMap(([name, value]) =>
    value === undefined ? [] : [`--${name}`, value],
  );
  const command = [...wrapper, process.execPath, "--enable-source-maps", script, ...words];
  // The kernel kills the agent when this process dies, however it dies.
  const child = spawn(
    "setpriv",
    ["--pdeathsig", "KILL", "nsenter", `--net=${node.path}`, ...command],
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  let log = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => void (log += text));
  }
  const exited = new Promise<number | NodeJS.Signals | null>((resolve) => {
    child.on("close", (status, signal) => resolve(signal ?? status));
  });
  const isRunning = () => child.exitCode === null && child.signalCode === null;
  const end = async (signal: NodeJS.Signals) => {
    if (isRunning()) child.kill(signal);
    await exited;
  };
  lab.onCleanup(() => end("SIGKILL"));
  return {
    pid: child.pid ?? 0,
    log: () => log,
    exited,
    end,
    ready: () =>
      until("the agent is ready", async () => {
        if (!isRunning()) throw new Error(`the agent ended:\n${log}`);
        const status = await api.call("status").catch(() => undefined);
        return status?.inSync === true && status.pid === child.pid;
      }),
  };
}

/** Waits for something that comes by itself; bounded. */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + patienceMs;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`not in ${patienceMs} ms: ${what}`);
    await sleep(20);
  }
}

export interface PolicyText {
  readonly priority?: number;
  /** YAML lines of the spec. */
  readonly spec?: readonly string[];
  /** YAML flow maps of rules. */
  readonly rules?: readonly string[];
}

/** A further wire to the node; its outside end has `friend` and `enemy`. */
export function wire(number: number): Wire & { readonly enemy: string } {
  const address = (last: number) => `10.9.${number}.${last}`;
  return { to: address(1), friend: address(2), enemy: address(3) };
}

/** Makes the wire of that number, which the node knows by a name. */
export function connectWire(
  lab: Lab,
  { node, outside }: World,
  number: number,
  name: string,
  mtu = 1500,
): void {
  const { to, friend: second, enemy } = wire(number);
  lab.veth(
    { namespace: node, name, mtu, addresses: [`${to}/24`] },
    {
      namespace: outside,
      name: `wire${number}`,
      mtu,
      addresses: [`${second}/24`, `${enemy}/24`],
    },
  );
}

/** Renames an interface of the node, which is down meanwhile. */
export function rename({ node }: World, from: string, to: string): void {
  node.run("ip", "link", "set", from, "down");
  node.run("ip", "link", "set", from, "name", to);
  node.run("ip", "link", "set", to, "up");
}

/** YAML of a policy. */
export function policy(
  name: string,
  { priority = 100, spec = [], rules = [] }: PolicyText = {},
): string {
  return [
    "apiVersion: sluice.dev/v1alpha1",
    "kind: XdpPolicy",
    `metadata: {name: ${name}}`,
    "spec:",
    `  priority: ${priority}`,
    ...spec.map((line) => `  ${line}`),
    ...(rules.length === 0 ? [] : ["  ingress:", ...rules.map((rule) => `  - ${rule}`)]),
    "",
  ].join("\n");
}

/** A rule that drops what comes from an address or CIDR. */
export function drop(name: string, cidr: string, more = ""): string {
  const full = cidr.includes("/") ? cidr : `${cidr}/32`;
  return `{name: ${name}, action: Drop, from: [{cidr: ${full}}]${more}}`;
}

/** A rule that drops what comes from a set. */
export function dropSet(name: string, setName: string): string {
  return `{name: ${name}, action: Drop, from: [{cidrSet: ${setName}}]}`;
}

/** JSON of a set. */
export function cidrSet(
  name: string,
  cidrs: readonly string[],
  more: Readonly<Record<string, unknown>> = {},
): string {
  return JSON.stringify({
    apiVersion: "sluice.dev/v1alpha1",
    kind: "XdpCidrSet",
    metadata: { name },
    spec: { cidrs, ...more },
  });
}

/** Codes of all problems of the objects of a name. */
export async function codes(world: World, name: string): Promise<readonly string[]> {
  return (await world.problems(name)).map(({ code }) => code);
}
