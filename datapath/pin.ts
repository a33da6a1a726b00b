import { existsSync, mkdirSync, readdirSync, statfsSync, unlinkSync } from "node:fs";
import { dirname } from "node:path";
import { describeMissing } from "./capabilities.js";
import { datapathError, Errno } from "./errors.js";
import type { BpfFd } from "./handles.js";
import { isErrno, isPermission, libbpf, libbpfError } from "./libbpf.js";

/** `f_type` of a bpffs, from <linux/magic.h>. */
const bpffsMagic = 0xcafe4a11;

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

/**
 * Opens a pin. The caller knows what it is and closes the descriptor.
 *
 * @throws SluiceError SLUICE_NO_CAPABILITY, SLUICE_NO_BPFFS, SLUICE_PIN_FAILED
 */
export function openPin(path: string): BpfFd {
  const fd = libbpf().bpf_obj_get(path);
  if (fd >= 0) return fd as BpfFd;
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
