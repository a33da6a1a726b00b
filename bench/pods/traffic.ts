import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { netnsPath } from "../../datapath/index.js";
import { atExit } from "../cleanup.js";
import type { Place } from "./nodes.js";

const program = fileURLToPath(new URL("../../bin/pod-traffic", import.meta.url));
const port = 5201;

export const modes = ["stream", "request", "connect"] as const;
export type Mode = (typeof modes)[number];

/** What a mode counts, and how the report names it. */
export const units: Readonly<Record<Mode, { readonly name: string; readonly perSecond: number }>> =
  {
    stream: { name: "Gbit/s by one connection", perSecond: 8 / 1e9 },
    request: { name: "requests/s by one connection", perSecond: 1 },
    connect: { name: "connections/s", perSecond: 1 },
  };

/** Both ends stay on CPUs of their own. */
const clientCpu = 0;
const serverCpu = cpus().length - 1;

function inside({ namespace }: Place, cpu: number): readonly string[] {
  return [`--net=${netnsPath(namespace)}`, "taskset", "--cpu-list", `${cpu}`, program];
}

/** Serves in a pod until this process ends. */
export async function serve(place: Place): Promise<void> {
  const words = ["--pdeathsig", "KILL", "nsenter", ...inside(place, serverCpu), "serve", `${port}`];
  const child = spawn("setpriv", words, { stdio: ["ignore", "pipe", "inherit"] });
  atExit(() => child.kill("SIGKILL"));
  await once(child.stdout, "data");
}

/** Runs a client for some time; returns what it got through in a second, in the mode's unit. */
export async function runClient(
  from: Place,
  to: Place,
  mode: Mode,
  timeMs: number,
): Promise<number> {
  const words = [...inside(from, clientCpu), mode, to.address, `${port}`, `${timeMs}`];
  const { stdout } = await promisify(execFile)("nsenter", words);
  const [count = 0, elapsedNs = 1] = stdout.split(" ").map(Number);
  return (count / elapsedNs) * 1e9 * units[mode].perSecond;
}
