import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { PodRoutingState } from "../../operator/api/engine.js";
import type { PodRouting } from "../../operator/compile/route-rows.js";
import type { Lab, Namespace } from "../support/netns.js";
import type { NodeText } from "./node-record.js";

const script = fileURLToPath(new URL("node-main.js", import.meta.url));

export interface NodeOptions {
  readonly nodeName: string;
  readonly routing: PodRouting;
  readonly vxlan: { readonly port: number; readonly vni: number };
  readonly mtu: number;
  readonly masquerade: boolean;
  readonly exceptions: readonly string[];
}

interface Tell {
  readonly nodes: readonly NodeText[];
  readonly gone?: readonly string[];
  readonly synced?: boolean;
}

export type NodeCall =
  | { readonly name: "start"; readonly options: NodeOptions }
  | ({ readonly name: "tell" } & Tell)
  | { readonly name: "state" }
  | { readonly name: "close" };

export type NodeReply =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: string };

export interface RoutesState extends PodRoutingState {
  readonly podDevices: readonly string[];
  readonly problems: readonly { readonly code: string; readonly message: string }[];
  /** Longest turn of its event loop since it was told something. */
  readonly longestTurnMs: number;
}

/** What makes the routes of one node. */
export interface RoutesNode {
  readonly start: (options?: Partial<NodeOptions>) => Promise<void>;
  /** What the source says. */
  readonly tell: (what: Tell) => Promise<void>;
  readonly state: () => Promise<RoutesState>;
  readonly close: () => Promise<void>;
}

/** Starts a process in the namespace that ends with the test. */
export function startNode(lab: Lab, namespace: Namespace, nodeName: string): RoutesNode {
  const command = ["--pdeathsig", "KILL", "nsenter", `--net=${namespace.path}`, process.execPath];
  const child = spawn("setpriv", [...command, "--enable-source-maps", script], {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const exited = new Promise((resolve) => child.once("exit", resolve));
  lab.onCleanup(async () => {
    child.kill("SIGKILL");
    await exited;
  });
  const waiting = new Map<number, (reply: NodeReply) => void>();
  child.on("message", (message) => {
    const reply = message as NodeReply;
    waiting.get(reply.id)?.(reply);
    waiting.delete(reply.id);
  });
  let calls = 0;
  const send = (call: NodeCall) =>
    new Promise<unknown>((resolve, reject) => {
      const id = ++calls;
      waiting.set(id, (reply) => {
        if ("error" in reply) reject(new Error(`${call.name}: ${reply.error}`));
        else resolve(reply.result);
      });
      child.send({ id, call }, (error) => error !== null && reject(error));
    });
  return {
    start: async (options = {}) => {
      const usual = { routing: "vxlan", vxlan: { port: 4789, vni: 1 }, mtu: 0 } as const;
      const all = { nodeName, ...usual, masquerade: true, exceptions: [], ...options };
      await send({ name: "start", options: all });
    },
    tell: async (what) => void (await send({ name: "tell", ...what })),
    state: async () => (await send({ name: "state" })) as RoutesState,
    close: async () => void (await send({ name: "close" })),
  };
}
