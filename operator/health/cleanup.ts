import { lstatSync, readdirSync, rmdirSync, statfsSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { isBpffs } from "../../datapath/pin.js";
import { lockPath } from "../../datapath/path-lock.js";
import { SluiceError } from "../errors.js";

export interface CleanupPaths {
  readonly pinRoot: string;
  readonly stateFolder: string;
}

export interface CleanupPlan {
  /** Pins and files, then folders, in an order in which they can be removed. */
  readonly files: readonly string[];
  readonly folders: readonly string[];
}

/**
 * What there is to remove. A pinned link is what holds a program on its interface: when its pin goes, the program goes.
 *
 * @throws SluiceError SLUICE_CLEANUP when the pin root is no folder of a bpffs, or the state folder holds what no agent
 *   wrote
 */
export function planCleanup({ pinRoot, stateFolder }: CleanupPaths): CleanupPlan {
  const plan = { files: [] as string[], folders: [] as string[] };
  if (exists(pinRoot)) {
    if (!isBpffs(pinRoot)) throw refused(`${pinRoot} is not on a BPF file system`);
    if (isMountPoint(pinRoot)) {
      throw refused(`${pinRoot} is a whole BPF file system, where others have pins, too`);
    }
    collect(pinRoot, plan);
  }
  if (exists(stateFolder)) {
    const strangers = readdirSync(stateFolder).filter((name) => !isStateFile(name));
    if (strangers.length > 0) {
      throw refused(`${stateFolder} holds ${strangers.slice(0, 3).join(", ")}, which no agent wrote`);
    }
    collect(stateFolder, plan);
  }
  return plan;
}

/**
 * Removes what the plan names. Links go first, so that no program runs on tables that are half gone.
 *
 * @throws SluiceError SLUICE_CLEANUP while an agent runs on this pin root
 */
export function carryOutCleanup({ pinRoot }: CleanupPaths, plan: CleanupPlan): void {
  const lock = exists(pinRoot) ? lockPath(pinRoot) : { release: () => {} };
  if (lock === undefined) {
    throw new SluiceError("SLUICE_CLEANUP", `an agent runs on ${pinRoot}`, {
      remedy: "Stop it first",
    });
  }
  try {
    for (const path of plan.files) unlinkSync(path);
    for (const path of plan.folders) rmdirSync(path);
  } finally {
    lock.release();
  }
}

function collect(folder: string, plan: { files: string[]; folders: string[] }): void {
  const entries = readdirSync(folder, { withFileTypes: true });
  // Folders of links come before those of maps by this: "links" < "maps".
  for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) collect(path, plan);
    else plan.files.push(path);
  }
  plan.folders.push(folder);
}
