import { constants } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { type ManifestCode, manifestCodes, SluiceError } from "../errors.js";

/** Changes whenever the content of a file may have changed, also by renaming another onto it. */
export type FileSignature = string;

export interface FileState {
  readonly signature: FileSignature;
  readonly size: number;
  /** Milliseconds since the epoch. */
  readonly modifiedMs: number;
  readonly isFile: boolean;
}

/** @returns `SLUICE_FILE_UNREADABLE` when the file cannot be looked at */
export async function inspectFile(path: string): Promise<FileState | SluiceError> {
  return stat(path, { bigint: true }).then(toState, (cause: unknown) => unreadable(path, cause));
}

interface Stats {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  isFile(): boolean;
}

function toState(stats: Stats): FileState {
  const { dev, ino, size, mtimeNs, ctimeNs } = stats;
  return {
    signature: [dev, ino, size, mtimeNs, ctimeNs].join(),
    size: Number(size),
    modifiedMs: Number(mtimeNs / 1_000_000n),
    isFile: stats.isFile(),
  };
}

/**
 * Reads a whole file, and makes sure that it did not change meanwhile.
 *
 * @param limitBytes a larger file is not read at all
 * @throws SluiceError `SLUICE_FILE_UNREADABLE` (also when it vanished), `SLUICE_FILE_TOO_LARGE`,
 *   `SLUICE_FILE_CHANGING`
 */
export async function readManifestFile(
  path: string,
  limitBytes: number,
): Promise<{ readonly text: string } & Pick<FileState, "signature" | "modifiedMs">> {
  let handle: FileHandle;
  try {
    // Without O_NONBLOCK, opening a pipe that nobody writes to would wait for ever.
    handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (cause) {
    throw unreadable(path, cause);
  }
  try {
    const before = toState(await handle.stat({ bigint: true }));
    if (!before.isFile) {
      throw failure("SLUICE_FILE_UNREADABLE", `${path} is no regular file`, {
        remedy: "Give it another ending than .yaml, .yml and .json, or remove it",
      });
    }
    if (before.size > limitBytes) {
      throw failure(
        "SLUICE_FILE_TOO_LARGE",
        `the file has ${before.size} bytes, more than the ${limitBytes} that one file may have`,
      );
    }
    const text = await handle.readFile("utf8");
    const after = toState(await handle.stat({ bigint: true }));
    if (after.signature !== before.signature) {
      throw failure("SLUICE_FILE_CHANGING", "the file changed while it was read");
    }
    return { text, signature: before.signature, modifiedMs: before.modifiedMs };
  } catch (cause) {
    throw cause instanceof SluiceError ? cause : unreadable(path, cause);
  } finally {
    await handle.close();
  }
}

function unreadable(path: string, cause: unknown): SluiceError {
  const reason = errnoOf(cause);
  if (reason === "ENOENT") {
    return failure("SLUICE_FILE_UNREADABLE", "the file vanished while it was read", {
      cause,
      remedy: "Nothing, if it was removed; else put it back, or mend the symbolic link",
    });
  }
  const why = reason === "EACCES" ? "permission denied" : message(cause);
  return failure("SLUICE_FILE_UNREADABLE", `${path} cannot be read: ${why}`, { cause });
}

function failure(
  code: ManifestCode,
  problem: string,
  options: { cause?: unknown; remedy?: string } = {},
): SluiceError {
  return new SluiceError(code, problem, { remedy: manifestCodes[code], ...options });
}

/** `ENOENT`, `EACCES`, …; undefined for what is no error of a system call. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string"
    ? error.code
    : undefined;
}

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
