import type { Dirent } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { manifestCodes, SluiceError } from "../errors.js";
import { type FileState, inspectFile } from "./manifest-file.js";

const MANIFEST = /\.(ya?ml|json)$/;

export interface FolderScan {
  /** Manifest files by path, in byte order of the paths. */
  readonly files: ReadonlyMap<string, FileState>;
  /** Folders and files that could not be looked at. */
  readonly failures: ReadonlyMap<string, SluiceError>;
  /** Another one when the folder itself was replaced; undefined when it is not there. */
  readonly identity: string | undefined;
}

/**
 * Lists the manifest files in a folder and all below it. Names with a leading dot are skipped, and
 * symbolic links are followed: a ConfigMap mounted as a volume is both.
 */
export async function scanFolder(root: string): Promise<FolderScan> {
  const files = new Map<string, FileState>();
  const failures = new Map<string, SluiceError>();

  async function enter(folder: string, above: readonly string[]): Promise<string | undefined> {
    let entries: Dirent[];
    let identity: string;
    try {
      const { dev, ino } = await stat(folder, { bigint: true });
      identity = `${dev}:${ino}`;
      // A link to a folder further up would lead round in circles.
      if (above.includes(identity)) return identity;
      entries = await readdir(folder, { withFileTypes: true });
    } catch (cause) {
      failures.set(folder, unreadable(folder, cause));
      return undefined;
    }
    for (const entry of entries) {
      if (entry.name.startsWith(".")) continue;
      const path = join(folder, entry.name);
      if (entry.isDirectory() || (entry.isSymbolicLink() && (await isFolder(path)))) {
        await enter(path, [...above, identity]);
      } else if (MANIFEST.test(entry.name)) {
        const state = await inspectFile(path);
        if (state instanceof SluiceError) failures.set(path, state);
        else files.set(path, state);
      }
    }
    return identity;
  }

  const identity = await enter(root, []);
  return {
    files: new Map([...files].toSorted(([a], [b]) => compareBytes(a, b))),
    failures,
    identity,
  };
}

function unreadable(folder: string, cause: unknown): SluiceError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new SluiceError(
    "SLUICE_FOLDER_UNREADABLE",
    `the folder ${folder} cannot be read: ${why}`,
    {
      remedy: manifestCodes.SLUICE_FOLDER_UNREADABLE,
      cause,
    },
  );
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
}

/** Order that depends on no language setting. */
export function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
