// @ts-check
import { chmod, copyFile, mkdir, readdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";

/**
 * Copies one file and makes its folders. Modes do not depend on the umask of who stages.
 *
 * @param {string} from
 * @param {string} to
 * @param {{ executable?: boolean }} [options]
 */
export async function copy(from, to, { executable = false } = {}) {
  await mkdir(dirname(to), { recursive: true, mode: 0o755 });
  await copyFile(from, to);
  await chmod(to, executable ? 0o755 : 0o644);
}

/**
 * Bytes of all files under a folder; 0 when there is none.
 *
 * @param {string} folder
 */
export async function folderBytes(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const sizes = await Promise.all(
    entries
      .filter((entry) => entry.isFile())
      .map(async (entry) => (await stat(join(entry.parentPath, entry.name))).size),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}
