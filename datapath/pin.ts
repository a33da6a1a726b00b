import { existsSync, mkdirSync, readdirSync, readlinkSync, statfsSync, unlinkSync } from "node:fs";
import { dirname } from "node:path";
import { describeMissing } from "./capabilities.js";
import { datapathError, Errno } from "./errors.js";
import type { BpfFd, LinkFd, MapFd, ProgramFd } from "./handles.js";
import { closeFd } from "./handles.js";
import { isErrno, isPermission, libbpf, libbpfError } from "./libbpf.js";

/** `f_type` of a bpffs, from <linux/magic.h>. */
export const bpffsMagic = 0xcafe4a11;

/** Where distributions and systemd mount the bpffs. */
export const defaultBpffs = "/sys/fs/bpf";

/** Nearest folder at or above `path` that exists. */
function existingFolder(path: string): string {
  return existsSync(path) || dirname(path) === path ? path : existingFolder(dirname(path));
}

/** Whether a path, or the nearest folder above it that exists, is on a bpffs. */
export function isBpffs(path: string): boolean {
  return statfsSync(existingFolder(path)).type === bpffsMagic;
}

/** @throws SluiceError SLUICE_NO_BPFFS */
export function requireBpffs(path: string): void {
  if (isBpffs(path)) return;
  throw datapathError("SLUICE_NO_BPFFS", `${path} is not on a BPF file system`);
}

/**
 * Makes a folder for pins, with its parents, readable by this user only.
 *
 * @throws SluiceError SLUICE_NO_BPFFS
 */
export function createPinFolder(path: string): void {
  requireBpffs(path);
  mkdirSync(path, { recursive: true, mode: 0o700 });
}

/**
 * Pins a map, program or link, so that it outlives this process.
 *
 * @throws SluiceError SLUICE_NO_BPFFS; SLUICE_PIN_FAILED when the name is taken (EEXIST), the folder
 *   is missing (ENOENT), or the name has a dot (EPERM: the kernel keeps those for itself)
 */
export function pinObject(fd: BpfFd, path: string): void {
  requireBpffs(dirname(path));
  const result = libbpf().bpf_obj_pin(fd, path);
  if (result >= 0) return;
  const cause = libbpfError("bpf_obj_pin", result);
  if (isErrno(result, Errno.EEXIST)) {
    throw datapathError("SLUICE_PIN_FAILED", `cannot pin at ${path}: the name is taken`, { cause });
  }
  throw datapathError("SLUICE_PIN_FAILED", `cannot pin at ${path}: ${cause.code}`, { cause });
}

/** What can be pinned, with the descriptor that it gives and the kernel's name of that. */
interface Pinned {
  readonly map: MapFd;
  readonly program: ProgramFd;
  readonly link: LinkFd;
}
const descriptorNames: Readonly<Record<string, keyof Pinned>> = {
  "anon_inode:bpf-map": "map",
  "anon_inode:bpf-prog": "program",
  "anon_inode:bpf_link": "link",
  "anon_inode:bpf-link": "link",
};

/**
 * Opens a pin. The caller closes the descriptor.
 *
 * @throws SluiceError SLUICE_NO_CAPABILITY, SLUICE_NO_BPFFS; SLUICE_PIN_FAILED, also when the pin is
 *   of another kind
 */
export function openPin<Kind extends keyof Pinned>(path: string, kind: Kind): Pinned[Kind] {
  const fd = libbpf().bpf_obj_get(path);
  if (fd >= 0) {
    const found = descriptorNames[readlinkSync(`/proc/self/fd/${fd}`)];
    if (found === kind) return fd as Pinned[Kind];
    closeFd(fd as BpfFd);
    const problem = `the pin ${path} is a ${found ?? "thing of another kind"}, not a ${kind}`;
    throw datapathError("SLUICE_PIN_FAILED", problem, { remedy: "Check the path" });
  }
  const cause = libbpfError("bpf_obj_get", fd);
  const missing = isPermission(fd) ? describeMissing(["CAP_BPF"]) : undefined;
  if (missing !== undefined) {
    throw datapathError("SLUICE_NO_CAPABILITY", `cannot open the pin ${path}: ${missing}`, {
      cause,
    });
  }
  if (!isErrno(fd, Errno.ENOENT)) requireBpffs(dirname(path));
  throw datapathError("SLUICE_PIN_FAILED", `cannot open the pin ${path}: ${cause.code}`, {
    cause,
    remedy: "Check that the path names a pin of this kind",
  });
}

/** Removes a pin if it is there; what was pinned lives on while anything else holds it. */
export function unpin(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}

/** Names in a folder of pins; empty when the folder does not exist. */
export function listPins(folder: string): readonly string[] {
  return existsSync(folder) ? readdirSync(folder).sort() : [];
}
