import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
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
export const units: Readonly<Record<Mode, Unit>> = {
  stream: { name: "Gbit/s by one connection", size: 1e9 / 8 },
  request: { name: "requests/s by one connection", size: 1 },
  connect: { name: "connections/s", size: 1 },
};

interface Unit {
  readonly name: string;
  /** Bytes, or questions. */
  readonly size: number;
}

/** A pod in which the server runs. */
export interface ServingPlace extends Place {
  /** That the server has used so far. */
  cpuNs(): number;
}

export interface Passed {
  /** Units in a second. */
  readonly rate: number;
  /** Nanoseconds of CPU of both ends for a unit, all that the path does in their names included. */
  readonly cpuNs: number;
}

/** Both ends stay on CPUs of their own. */
const clientCpu = 0;
const serverCpu = cpus().length - 1;

function inside({ namespace }: Place, cpu: number): readonly string[] {
  return [`--net=${netnsPath(namespace)}`, "taskset", "--cpu-list", `${cpu}`, program];
}

/** Serves in a pod until this process ends. */
export async function serve(place: Place): Promise<ServingPlace> {
  const words = ["--pdeathsig", "KILL", "nsenter", ...inside(place, serverCpu), "serve", `${port}`];
  const child = spawn("setpriv", words, { stdio: ["ignore", "pipe", "inherit"] });
  atExit(() => child.kill("SIGKILL"));
  await once(child.stdout, "data");
  const path = `/proc/${child.pid}/schedstat`;
  return { ...place, cpuNs: () => Number(readFileSync(path, "utf8").split(" ")[0]) };
}

/** Runs a client for some time. */
export async function runClient(
  from: Place,
  to: ServingPlace,
  mode: Mode,
  timeMs: number,
): Promise<Passed> {
  const words = [...inside(from, clientCpu), mode, to.address, `${port}`, `${timeMs}`];
  const before = to.cpuNs();
  const { stdout } = await promisify(execFile)("nsenter", words);
  const serverNs = to.cpuNs() - before;
  const [count = 0, elapsedNs = 1, clientNs = 0] = stdout.split(" ").map(Number);
  const passed = count / units[mode].size;
  return { rate: (passed / elapsedNs) * 1e9, cpuNs: (clientNs + serverNs) / passed };
}
