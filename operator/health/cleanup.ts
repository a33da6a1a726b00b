import { readdirSync, rmdirSync, statSync, unlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { listInterfaces } from "../../datapath/netlink.js";
import { lockPath } from "../../datapath/path-lock.js";
import { isBpffs } from "../../datapath/pin.js";
import {
  type ClsactFilter,
  detachClsact,
  queryClsact,
  type TcDirection,
} from "../../datapath/tc-attach.js";
import { CLSACT } from "../apply/attachments.js";
import { findRouting, removeRouting } from "../apply/route-cleanup.js";
import { SluiceError } from "../errors.js";

export interface CleanupPaths {
  readonly pinRoot: string;
  readonly stateFolder: string;
}

export interface CleanupPlan {
  /** Pins and state files, in the order in which they are removed: links before tables. */
  readonly files: readonly string[];
  /** Inner ones first. */
  readonly folders: readonly string[];
  /** Interfaces with a tc filter of Sluice, as kernels before 6.6 need it. */
  readonly filters: readonly {
    readonly index: number;
    readonly name: string;
    readonly direction: TcDirection;
  }[];
  /** What routes between nodes have left: devices, routes, the nftables table, in words. */
  readonly routing: readonly string[];
  /** What is in the state folder and stays, because no agent wrote it. */
  readonly strangers: readonly string[];
}

/** Files that an agent, or the socket of a killed one, leaves in its state folder. */
const stateFile = /\.(json|json\.new|sock|sock\.lock|log)$/;

/**
 * What there is to remove. A pinned link is what holds a program on its interface: when its pin
 * goes, the program goes.
 *
 * @throws SluiceError SLUICE_CLEANUP when the pin root is not a folder inside a bpffs
 */
export function planCleanup({ pinRoot, stateFolder }: CleanupPaths): CleanupPlan {
  const pins: string[] = [];
  const folders: string[] = [];
  if (exists(pinRoot)) {
    if (!isBpffs(pinRoot)) throw refused(`${pinRoot} is not on a BPF file system`);
    if (statSync(pinRoot).dev !== statSync(dirname(pinRoot)).dev) {
      throw refused(`${pinRoot} is a whole BPF file system, where others have pins, too`);
    }
    collect(pinRoot, pins, folders);
  }
  const links = ["links", "pod-links", "arrive-links"].map((name) => join(pinRoot, name, "/"));
  const isLink = (path: string) => links.some((folder) => path.startsWith(folder));
  const states = exists(stateFolder) ? readdirSync(stateFolder) : [];
  const strangers = states.filter((name) => !stateFile.test(name));
  if (exists(stateFolder) && strangers.length === 0) folders.push(stateFolder);
  return {
    files: [
      ...pins.filter(isLink),
      ...pins.filter((path) => !isLink(path)),
      ...states.filter((name) => stateFile.test(name)).map((name) => join(stateFolder, name)),
    ],
    folders,
    filters: exists(pinRoot) ? findFilters() : [],
    routing: exists(pinRoot) ? findRouting() : [],
    strangers: strangers.map((name) => join(stateFolder, name)),
  };
}

/**
 * Removes what the plan names.
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
    for (const { index, direction } of plan.filters) detachClsact(filterOf(index, direction));
    if (plan.routing.length > 0) removeRouting();
    for (const path of plan.folders) rmdirSync(path);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new SluiceError("SLUICE_CLEANUP", `not everything could be removed: ${why}`, {
      remedy: "Run as root, and again when the cause is gone",
      cause,
    });
  } finally {
    lock.release();
  }
}

function collect(folder: string, files: string[], folders: string[]): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) collect(path, files, folders);
    else files.push(path);
  }
  folders.push(folder);
}

function findFilters(): CleanupPlan["filters"] {
  return listInterfaces().flatMap(({ index, name }) =>
    (["ingress", "egress"] as const)
      .filter((direction) => queryClsact(filterOf(index, direction)) !== undefined)
      .map((direction) => ({ index, name, direction })),
  );
}

function filterOf(index: number, direction: TcDirection): ClsactFilter {
  return { ifIndex: index as never, direction, ...CLSACT };
}

function exists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

function refused(problem: string): SluiceError {
  return new SluiceError("SLUICE_CLEANUP", problem, {
    remedy: "Name the folder that the agent was given as --pin-root",
  });
}
