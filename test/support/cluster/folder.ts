import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const prefix = "slt-cluster-";

const removeAtExit = new Set<string>();

/** A new folder for one cluster; it goes with this process when {@link removeFolder} does not come before. */
export function createFolder(): string {
  sweep();
  const folder = mkdtempSync(join(tmpdir(), `${prefix}${process.pid}-`));
  removeAtExit.add(folder);
  return folder;
}

export function removeFolder(folder: string): void {
  // A server that was killed just now may still be writing its last file.
  rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
  removeAtExit.delete(folder);
}

process.once("exit", () => {
  for (const folder of removeAtExit) removeFolder(folder);
});
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));

/** Removes what a killed test process could not. */
function sweep(): void {
  for (const name of readdirSync(tmpdir())) {
    const pid = new RegExp(`^${prefix}(\\d+)-`).exec(name)?.[1];
    if (pid === undefined || existsSync(`/proc/${pid}`)) continue;
    rmSync(join(tmpdir(), name), { recursive: true, force: true });
  }
}
