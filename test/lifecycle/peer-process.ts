import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Lab, Namespace } from "../support/netns.js";
import type { PeerCall, PeerCalls, PeerReply } from "./peer-calls.js";

const script = fileURLToPath(new URL("peer.js", import.meta.url));

/** A process that sends and receives in a namespace. */
export interface Peer {
  call<Name extends PeerCall>(
    name: Name,
    request: PeerCalls[Name]["request"],
  ): Promise<PeerCalls[Name]["answer"]>;
}

/** Starts a peer that ends with the test. */
export function startPeer(lab: Lab, namespace: Pick<Namespace, "path">): Peer {
  const command = ["--pdeathsig", "KILL", "nsenter", `--net=${namespace.path}`, process.execPath];
  const child = spawn("setpriv", [...command, "--enable-source-maps", script], {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const exited = new Promise((resolve) => child.once("exit", resolve));
  lab.onCleanup(async () => {
    child.kill("SIGKILL");
    await exited;
  });
  const waiting = new Map<number, (reply: PeerReply) => void>();
  child.on("message", (message) => {
    const reply = message as PeerReply;
    waiting.get(reply.id)?.(reply);
    waiting.delete(reply.id);
  });
  let calls = 0;
  return {
    call: (call, request) =>
      new Promise((resolve, reject) => {
        const id = ++calls;
        waiting.set(id, (reply) => {
          if ("error" in reply) reject(new Error(`${call}: ${reply.error}`));
          else resolve(reply.answer as never);
        });
        child.send({ id, call, request }, (error) => error !== null && reject(error));
      }),
  };
}
