import { type ChildProcess, spawn } from "node:child_process";

/** A server that a test started. */
export interface ServerProcess {
  readonly pid: number;
  /** Its last output, at most 64 Ki characters. */
  readonly log: () => string;
  readonly isRunning: () => boolean;
  /** Ends it at once, as a power cut does, and waits until it is gone. */
  kill(): Promise<void>;
}

const logLength = 64 * 1024;

const killAtExit = new Set<ChildProcess>();

/** Before the folder goes in which they write. */
process.prependOnceListener("exit", () => {
  for (const child of killAtExit) child.kill("SIGKILL");
});

/** Starts a server, which the kernel kills when this process dies, however it dies. */
export function startServer(program: string, args: readonly string[], cwd: string): ServerProcess {
  const child = spawn("setpriv", ["--pdeathsig", "KILL", program, ...args], {
    cwd,
    stdio: ["ignore", "pipe", "pipe"],
  });
  killAtExit.add(child);
  let log = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      log = (log + text).slice(-logLength);
    });
  }
  let isRunning = true;
  const ended = new Promise<void>((resolve) => {
    const end = () => {
      isRunning = false;
      killAtExit.delete(child);
      resolve();
    };
    child.on("close", end);
    child.on("error", (error) => {
      log += error.message;
      end();
    });
  });
  return {
    pid: child.pid ?? 0,
    log: () => log,
    isRunning: () => isRunning,
    async kill() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

/**
 * Waits until a server that was just started is ready.
 *
 * @throws Error with its log when it ends or takes too long
 */
export async function untilReady(
  what: string,
  server: ServerProcess,
  isReady: () => Promise<boolean>,
): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (!(await isReady().catch(() => false))) {
    if (!server.isRunning()) throw new Error(`${what} ended:\n${server.log()}`);
    if (performance.now() > deadline) throw new Error(`${what} is not ready:\n${server.log()}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
