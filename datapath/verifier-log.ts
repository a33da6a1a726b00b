import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import koffi from "koffi";
import { datapathError } from "./errors.js";
import { lastError, libc, mapFailed, Mman } from "./libc.js";
import type { Address } from "./libc.js";

const shownLines = 20;
/** Largest log that all kernels accept; only the pages written to are ever allocated. */
const logBytes = 2 ** 24 - 1;

/** Memory that C may keep a pointer to, for the kernel to write a log into. */
export interface LogBuffer {
  readonly address: Address;
  readonly length: number;
  read(): string;
  /** Only when C has given the pointer up. */
  free(): void;
}

export function allocateLog(): LogBuffer {
  const flags = Mman.MAP_PRIVATE | Mman.MAP_ANONYMOUS | Mman.MAP_NORESERVE;
  const protection = Mman.PROT_READ | Mman.PROT_WRITE;
  const address = libc().mmap(null, logBytes, protection, flags, -1, 0);
  if (address === mapFailed) {
    const cause = lastError("mmap");
    throw datapathError("SLUICE_SYSTEM_CALL", "there is no memory for a verifier log", { cause });
  }
  return {
    address,
    length: logBytes,
    read: () => koffi.decode.string(address),
    free: () => void libc().munmap(address, logBytes),
  };
}

/** Last lines of a verifier log, where the refused instruction and the reason are. */
export function logTail(log: string): string {
  const lines = log.trimEnd().split("\n");
  return lines.slice(-shownLines).join("\n");
}

/**
 * Keeps a whole verifier log in a file that only this user can read.
 *
 * @returns the path, or undefined when it could not be written; the refusal matters more than that
 */
export function keepLog(name: string, log: string): string | undefined {
  try {
    const folder = mkdtempSync(join(tmpdir(), "sluice-verifier-"));
    const path = join(folder, `${name.replaceAll(/[^\w.-]/g, "_")}.log`);
    writeFileSync(path, log, { mode: 0o600 });
    return path;
  } catch {
    return undefined;
  }
}
