import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export interface ProcessOptions {
  /** For messages: `agent of node1`. */
  readonly name: string;
  /** Network namespace that it lives in. */
  readonly namespacePath: string;
  /** Compiled script, relative to this folder, such as `web-server.js`; or an absolute path. */
  readonly script: string;
  readonly args: readonly string[];
  /** Keeps all of its threads on one CPU. */
  readonly onOneCpu?: boolean;
  /** Gets what the process prints. */
  readonly logPath: string;
  /** What the process sends with `process.send`; absent: it has no channel to this one. */
  readonly onMessage?: (message: unknown) => void;
  /** Called as soon as the process has a number, so that it can be recorded. */
  readonly onStart?: (pid: number) => void;
}

/** A Node process in a namespace of the lab, a child of this one. */
export interface LabProcess {
  readonly name: string;
  readonly pid: number;
  /** Resolves with how it ended, in words; never rejects. */
  readonly exited: Promise<string>;
  readonly isRunning: () => boolean;
  readonly send: (message: object) => void;
  readonly kill: (signal: NodeJS.Signals) => void;
  /** The last lines that it printed. */
  readonly lastLines: (count: number) => readonly string[];
  /** Ends it: SIGTERM, and SIGKILL when that takes longer than the time given. */
  readonly stop: (graceMs?: number) => Promise<void>;
}

const defaultGraceMs = 3000;

/**
 * Starts a Node script inside a network namespace. The process is outside the terminal's foreground
 * group, so that Ctrl-C reaches only the lab, and the kernel kills it when the lab dies.
 *
 * @throws Error when it cannot be started
 */
export function startProcess(options: ProcessOptions): LabProcess {
  const { name, logPath } = options;
  const log = openSync(logPath, "a", 0o600);
  const script = fileURLToPath(new URL(options.script, import.meta.url));
  const hasChannel = options.onMessage !== undefined;
  const inside = ["nsenter", `--net=${options.namespacePath}`];
  const pinned = options.onOneCpu === true ? ["taskset", "-c", lastCpu()] : [];
  const command = [process.execPath, "--enable-source-maps", script, ...options.args];
  const child = spawn("setpriv", ["--pdeathsig", "KILL", ...inside, ...pinned, ...command], {
    detached: true,
    stdio: ["ignore", log, log, ...(hasChannel ? (["ipc"] as const) : [])],
  });
  closeSync(log);
  if (child.pid !== undefined) options.onStart?.(child.pid);
  const exited = new Promise<string>((resolve) => {
    child.on("error", (error) => resolve(error.message));
    child.on("exit", (status, signal) =>
      resolve(signal === null ? `exit status ${status ?? "unknown"}` : `signal ${signal}`),
    );
  });
  if (options.onMessage !== undefined) child.on("message", options.onMessage);

  const isRunning = () =>
    child.pid !== undefined && child.exitCode === null && child.signalCode === null;
  return {
    name,
    pid: child.pid ?? 0,
    exited,
    isRunning,
    send(message) {
      // A child that has just ended has no channel left; its `exited` tells.
      if (child.connected) child.send(message, () => undefined);
    },
    kill(signal) {
      child.kill(signal);
    },
    lastLines(count) {
      const lines = readFileSync(logPath, "utf8").trimEnd().split("\n");
      return lines.slice(-count).filter((line) => line !== "");
    },
    async stop(graceMs = defaultGraceMs) {
      if (!isRunning()) return;
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), graceMs);
      await exited;
      clearTimeout(timer);
    },
  };
}

/** The last of the CPUs that this process may use; the first has most interrupts. */
function lastCpu(): string {
  const list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
  return /\d+$/.exec(list ?? "")?.[0] ?? "0";
}

/** Identity of a process: numbers are used again, but not at the same clock tick. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks from boot to its start, as in /proc/PID/stat. */
  readonly startTime: string;
}

/** Undefined when there is no such process, or only its exit status is left (a zombie). */
export function identify(pid: number): ProcessIdentity | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return undefined;
  }
  // The command name before the last parenthesis may hold spaces and parentheses itself.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state] = fields;
  const startTime = fields[19];
  return state === "Z" || state === "X" || startTime === undefined ? undefined : { pid, startTime };
}

export function isAlive({ pid, startTime }: ProcessIdentity): boolean {
  return identify(pid)?.startTime === startTime;
}
