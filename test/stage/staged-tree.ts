import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after } from "node:test";
import { fileURLToPath } from "node:url";
import type { Build } from "../agent/agent-process.js";

/** Without a trailing slash. */
export const repository = fileURLToPath(new URL("../../..", import.meta.url)).replace(/\/$/, "");

const folders: string[] = [];
after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** A folder outside the repository that goes when the tests of the file have run. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "sluice-stage-"));
  folders.push(folder);
  return folder;
}

/** Runs `npm run stage`; returns what it printed. Throws unless it exits with 0. */
export function runStage(...words: readonly string[]): string {
  return execFileSync("npm", ["run", "--silent", "stage", "--", ...words], {
    cwd: repository,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });
}

const hideScript = `
  mount -t tmpfs hidden "$1"
  cd "$2"
  shift 2
  exec env -i PATH=/usr/bin:/bin \${SLUICE_SOCKET:+SLUICE_SOCKET="$SLUICE_SOCKET"} "$@"`;

/**
 * Words before a command that is to run in the tree with an empty folder in place of the repository, and
 * with nothing in its environment.
 */
export function withoutRepository(tree: string): readonly string[] {
  return ["unshare", "--mount", "sh", "-ec", hideScript, "sh", repository, tree];
}

/**
 * The programs of a tree, without the repository, as user 0 with these capabilities and no way to more.
 *
 * @param capabilities as Sluice names them: `CAP_BPF`
 */
export function withCapabilities(tree: string, capabilities: readonly string[]): Build {
  const set = ["-all", ...capabilities.map((name) => `+${name.slice(4).toLowerCase()}`)].join(",");
  const rights = ["setpriv", "--no-new-privs", `--bounding-set=${set}`, `--inh-caps=${set}`];
  const start = [...withoutRepository(tree), ...rights, process.execPath];
  return {
    agent: [...start, join(tree, "dist/operator/agent/main.js")],
    sluicectl: [...start, join(tree, "dist/operator/cli/main.js")],
  };
}

/**
 * A root file system of what the last stage of the Dockerfile has and Sluice uses: Node.js with its
 * libraries, libbpf with its own, and the tree. No shell, no other program.
 */
export function makeRoot(tree: string): string {
  const root = temporaryFolder();
  const libbpf = /libbpf\.so\.1 .*=> (\S+)/.exec(
    execFileSync("/sbin/ldconfig", ["-p"], { encoding: "utf8" }),
  )?.[1];
  if (libbpf === undefined) throw new Error("this machine has no libbpf.so.1");
  const libraries = execFileSync("ldd", [process.execPath, libbpf], { encoding: "utf8" });
  const paths = new Set([
    libbpf,
    ...[...libraries.matchAll(/(\/\S+) \(0x/g)].map(([, path]) => path ?? ""),
  ]);
  for (const path of paths) copyInto(path, join(root, path));
  copyInto(process.execPath, join(root, "usr/local/bin/node"));
  cpSync(tree, join(root, "opt/sluice"), { recursive: true, verbatimSymlinks: true });
  return root;
}

function copyInto(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  cpSync(from, to, { dereference: true });
}

const rootScript = `
  root=$1 folder=$2
  shift 2
  mkdir -p "$root/proc" "$root/sys" "$root$folder"
  mount --bind /proc "$root/proc"
  mount --rbind /sys "$root/sys"
  mount --bind "$folder" "$root$folder"
  exec env -i \${SLUICE_SOCKET:+SLUICE_SOCKET="$SLUICE_SOCKET"} /usr/sbin/chroot "$root" "$@"`;

/** The programs in such a root, which shares with this machine only the kernel's folders and the given one. */
export function inRoot(root: string, folder: string): Build {
  const start = ["unshare", "--mount", "sh", "-ec", rootScript, "sh", root, folder];
  const node = "/usr/local/bin/node";
  return {
    agent: [...start, node, "/opt/sluice/dist/operator/agent/main.js"],
    sluicectl: [...start, node, "/opt/sluice/dist/operator/cli/main.js"],
  };
}
