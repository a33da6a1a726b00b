import { access, closeSync, openSync } from "node:fs";
import { describeMissing } from "./capabilities.js";
import { datapathError, Errno } from "./errors.js";
import { lastError, libc } from "./libc.js";

const cloneNewNet = 0x40000000;

/** Where `ip netns` keeps its namespaces. */
const namedFolder = "/run/netns";

/** Path of a namespace that `ip netns add` made. */
export function netnsPath(name: string): string {
  return `${namedFolder}/${name}`;
}

/**
 * Runs a function while this thread is in another network namespace. The function must be
 * synchronous: only this thread changes over, so anything that Node does on its thread pool, and
 * any callback that runs later, would happen elsewhere.
 *
 * @param target path (`/run/netns/NAME`, `/proc/PID/ns/net`) or an open descriptor of one
 * @throws SluiceError SLUICE_NETNS_FAILED, SLUICE_NO_CAPABILITY; and what `work` throws
 */
export function withNetns<T>(target: string | number, work: () => T): T {
  startThreadPool();
  const home = openSync("/proc/thread-self/ns/net", "r");
  let there: number | undefined;
  try {
    there = typeof target === "number" ? target : openNetns(target);
    enter(there, target);
    try {
      const result = work();
      if (isThenable(result)) {
        throw datapathError(
          "SLUICE_NETNS_FAILED",
          "the work given to withNetns is asynchronous, and would go on in the wrong namespace",
          { remedy: "Do only synchronous calls inside" },
        );
      }
      return result;
    } finally {
      enter(home, "the namespace that this thread came from");
    }
  } finally {
    closeSync(home);
    if (there !== undefined && there !== target) closeSync(there);
  }
}

let isPoolStarted = false;

/**
 * Makes Node start its thread pool, if it has not yet. A thread is born in the namespace of the one
 * that starts it, so a pool started by an asynchronous call inside would stay there for good.
 */
function startThreadPool(): void {
  if (isPoolStarted) return;
  isPoolStarted = true;
  access("/", () => {});
}

/**
 * Opens a namespace; the caller closes it.
 *
 * @throws SluiceError SLUICE_NETNS_FAILED
 */
export function openNetns(path: string): number {
  try {
    return openSync(path, "r");
  } catch (cause) {
    throw datapathError("SLUICE_NETNS_FAILED", `there is no network namespace ${path}`, { cause });
  }
}

function enter(fd: number, what: string | number): void {
  if (libc().setns(fd, cloneNewNet) === 0) return;
  const cause = lastError("setns");
  const missing = cause.errno === Errno.EPERM ? describeMissing(["CAP_SYS_ADMIN"]) : undefined;
  if (missing !== undefined) {
    const problem = `cannot enter network namespace ${what}: ${missing}`;
    throw datapathError("SLUICE_NO_CAPABILITY", problem, { cause });
  }
  throw datapathError("SLUICE_NETNS_FAILED", `cannot enter network namespace ${what}`, { cause });
}

function isThenable(value: unknown): boolean {
  return typeof value === "object" && value !== null && "then" in value;
}
