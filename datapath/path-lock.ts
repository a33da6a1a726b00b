import { closeSync, openSync } from "node:fs";
import { datapathError, Errno } from "./errors.js";
import { lastError, libc } from "./libc.js";

/** From <sys/file.h>. */
const lockExclusive = 2;
const lockNonblock = 4;

/** A lock that the kernel lets go when its process ends, however it ends. */
export interface PathLock {
  release(): void;
}

/**
 * Locks a file or folder for this process, as flock(2). Also works on the folders of a bpffs, where
 * no lock file can be made. Other processes are kept out only if they ask for the same lock.
 *
 * @returns undefined when another process, or this one through another call, holds it
 * @throws SluiceError SLUICE_SYSTEM_CALL when the path cannot be opened or locked
 */
export function lockPath(path: string): PathLock | undefined {
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch (cause) {
    throw datapathError("SLUICE_SYSTEM_CALL", `cannot open ${path} to lock it`, { cause });
  }
  if (libc().flock(fd, lockExclusive | lockNonblock) === 0) {
    return { release: () => closeSync(fd) };
  }
  const cause = lastError("flock");
  closeSync(fd);
  if (cause.errno === Errno.EAGAIN) return undefined;
  throw datapathError("SLUICE_SYSTEM_CALL", `cannot lock ${path}: ${cause.code}`, { cause });
}
