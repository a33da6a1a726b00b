import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Lab } from "../netns.js";

const root = "/sys/fs/cgroup";
const prefix = "slt-";
/** What a kubelet asks of version 2. */
const controllers = ["cpuset", "cpu", "memory", "pids", "hugetlb"];
const patienceMs = 10_000;

let count = 0;

/** A cgroup that all containers of a node are in, in every hierarchy of version 1 or in the one of version 2. */
export function createCgroup(lab: Lab): string {
  sweep();
  const name = `${prefix}${process.pid}-${++count}`;
  const isUnified = existsSync(join(root, "cgroup.controllers"));
  if (isUnified) delegate();
  lab.onCleanup(() => removeEverywhere(name));
  for (const hierarchy of hierarchies()) mkdirSync(join(hierarchy, name), { recursive: true });
  return `/${name}`;
}

function hierarchies(): readonly string[] {
  if (existsSync(join(root, "cgroup.controllers"))) return [root];
  const names = readdirSync(root, { withFileTypes: true });
  return names.filter((entry) => entry.isDirectory()).map(({ name }) => join(root, name));
}

function delegate(): void {
  const present = readFileSync(join(root, "cgroup.controllers"), "utf8").trim().split(" ");
  const wanted = present.filter((name) => controllers.includes(name)).map((name) => `+${name}`);
  writeFileSync(join(root, "cgroup.subtree_control"), wanted.join(" "));
}

/** Processes that were killed leave their cgroup a little later. */
async function removeEverywhere(name: string): Promise<void> {
  const deadline = performance.now() + patienceMs;
  for (const hierarchy of hierarchies()) {
    for (;;) {
      try {
        remove(join(hierarchy, name));
        break;
      } catch (error) {
        if (performance.now() > deadline) throw error;
      }
      await sleep(20);
    }
  }
}

/** The files in a cgroup cannot be removed; they go with it. */
function remove(folder: string): void {
  if (!existsSync(folder)) return;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) remove(join(folder, entry.name));
  }
  rmdirSync(folder);
}

/** Removes what a killed test process could not. */
function sweep(): void {
  for (const hierarchy of hierarchies()) {
    for (const name of readdirSync(hierarchy)) {
      const pid = new RegExp(`^${prefix}(\\d+)-`).exec(name)?.[1];
      if (pid !== undefined && !existsSync(`/proc/${pid}`)) remove(join(hierarchy, name));
    }
  }
}
