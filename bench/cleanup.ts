import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { defaultBpffs } from "../datapath/index.js";

/** Everything that outlives a process is named after the one that made it. */
const prefix = "slb-";
const namespaceFolder = "/run/netns";

const works = new Set<() => void>();

/** Runs synchronous work when this process ends, whatever ends it, last added first; or earlier, once, by the result. */
export function atExit(work: () => void): () => void {
  const once = () => {
    if (works.delete(once)) work();
  };
  works.add(once);
  return once;
}

function runWorks(): void {
  for (const work of [...works].reverse()) {
    try {
      work();
    } catch (error) {
      console.error(error);
    }
  }
}

/**
 * Ends this process. A part does not end by process.exit: that waits for the threads of the pool, and one that is loading
 * an object waits for this thread to take the messages of libbpf.
 */
function end(): void {
  runWorks();
  if (process.send === undefined) process.exit(1);
  process.kill(process.pid, "SIGKILL");
}

process.once("exit", runWorks);
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, end);
/* A part whose parent is gone has nobody to report to. */
process.once("disconnect", end);

/** A folder for pins; `remove` is called at the end at the latest. */
export function makePinFolder(): { readonly path: string; readonly remove: () => void } {
  return makeFolder(defaultBpffs);
}

/** A folder for files. */
export function makeScratchFolder(): { readonly path: string; readonly remove: () => void } {
  return makeFolder(tmpdir());
}

function makeFolder(parent: string): { readonly path: string; readonly remove: () => void } {
  const path = mkdtempSync(join(parent, `${prefix}${process.pid}-`));
  return { path, remove: atExit(() => rmSync(path, { recursive: true, force: true })) };
}

/** A network namespace with its loopback up, by its name. */
export function makeNamespace(label: string): string {
  const name = `${prefix}${process.pid}-${label}`;
  execFileSync("ip", ["netns", "add", name]);
  atExit(() => execFileSync("ip", ["netns", "delete", name]));
  execFileSync("ip", ["-n", name, "link", "set", "lo", "up"]);
  return name;
}

/** Removes what killed runs left behind. */
export function sweep(): void {
  const isLeft = (name: string) => {
    const pid = new RegExp(`^${prefix}(\\d+)-`).exec(name)?.[1];
    return pid !== undefined && !existsSync(`/proc/${pid}`);
  };
  const leftIn = (folder: string) =>
    existsSync(folder) ? readdirSync(folder).filter((name) => isLeft(name)) : [];
  for (const name of leftIn(namespaceFolder)) execFileSync("ip", ["netns", "delete", name]);
  for (const folder of [defaultBpffs, tmpdir()]) {
    for (const name of leftIn(folder)) rmSync(join(folder, name), { recursive: true, force: true });
  }
}
