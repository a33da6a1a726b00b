import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const shownLines = 20;

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
