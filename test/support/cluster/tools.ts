import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const script = fileURLToPath(new URL("../../../../scripts/cluster-tools.mjs", import.meta.url));

let folder: string | undefined;

/** Path of a program of the cluster tools: `kubectl`, `helm`, …; they are built when they are missing. */
export function toolPath(name: string): string {
  folder ??= execFileSync(process.execPath, [script], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  }).trim();
  return join(folder, name);
}
