import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Lab, Namespace } from "../support/netns.js";
import type { NetworkCall, NetworkSettings } from "./network-process.js";

const script = fileURLToPath(new URL("network-process.js", import.meta.url));

/** A pods' network in a process of its own, which ends with the test. */
export interface NetworkProcess {
  readonly call: <T>(asked: NetworkCall) => Promise<T>;
  /** As by kill -9. */
  readonly kill: () => Promise<void>;
}

export async function startNetwork(
  lab: Lab,
  node: Namespace,
  settings: NetworkSettings,
): Promise<NetworkProcess> {
  const command = ["--pdeathsig", "KILL", "nsenter", `--net=${node.path}`, process.execPath];
  const args = [...command, "--enable-source-maps", script, JSON.stringify(settings)];
  const child = spawn("setpriv", args, {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
    serialization: "advanced",
  });
  const exited = once(child, "exit");
  const kill = async () => {
    child.kill("SIGKILL");
    await exited;
  };
  lab.onCleanup(kill);
  const next = async () => {
    const ended = exited.then(() => Promise.reject(new Error("the process ended")));
    const [message] = (await Promise.race([once(child, "message"), ended])) as [
      { readonly value?: unknown; readonly error?: string },
    ];
    if (message.error !== undefined) throw new Error(message.error);
    return message.value;
  };
  await next();
  return {
    kill,
    call: async <T>(asked: NetworkCall) => {
      const answer = next();
      child.send(asked);
      return (await answer) as T;
    },
  };
}
