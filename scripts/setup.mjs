// @ts-check
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { build } from "./build.mjs";
import { ensureClusterTools } from "./cluster-tools.mjs";
import { findProgram, root, runMain, runOrFail, StepError } from "./run.mjs";
import { distribution, missingPackages, packageNames } from "./system-packages.mjs";

/** @typedef {import("./system-packages.mjs").Purpose} Purpose */

const bpffs = "/sys/fs/bpf";

/**
 * Makes this machine ready: system packages, npm packages, bpffs, cluster tools, build. Does only what is missing, so
 * that a second call takes about a second.
 *
 * @param {Purpose} purpose
 * @throws {StepError} with the command to run by hand when something needs root
 */
export async function setUp(purpose) {
  const major = Number(process.versions.node.split(".")[0]);
  if (major < 20) {
    throw new StepError(`set-up: Node.js ${process.versions.node} is too old; install 20 or later`);
  }
  installSystemPackages(purpose);
  installNpmPackages();
  if (purpose !== "build") mountBpffs();
  if (purpose === "test" || purpose === "bench") ensureClusterTools();
  await build([]);
}

/** @param {Purpose} purpose */
function installSystemPackages(purpose) {
  const missing = missingPackages(purpose);
  if (missing.length === 0) return;
  const names = packageNames(missing);
  const lines = missing.map(({ debian, why }) => `  ${debian.padEnd(12)} ${why}`).join("\n");
  console.error(`set-up: these system packages are missing:\n${lines}`);
  const install = `apt-get install --no-install-recommends -y ${names.join(" ")}`;
  if (distribution() === "other" || findProgram("apt-get") === undefined) {
    throw new StepError(
      "set-up: packages are installed by itself only on Debian and Ubuntu; " +
        "install what provides them here, and try again",
    );
  }
  if (process.getuid?.() !== 0) {
    throw new StepError(`set-up: run this as root, and try again:\n  ${install}`);
  }
  console.error(`set-up: ${install}`);
  process.env.DEBIAN_FRONTEND = "noninteractive";
  runOrFail("apt-get", ["update", "-qq"], "set-up: package lists");
  runOrFail("apt-get", install.split(" ").slice(1), "set-up: packages");
  const still = missingPackages(purpose).map(({ debian }) => debian);
  if (still.length > 0) {
    throw new StepError(`set-up: installed, but still not usable: ${still.join(", ")}`);
  }
}

function installNpmPackages() {
  const wanted = modified("package-lock.json");
  const installed = modified("node_modules/.package-lock.json");
  if (installed !== undefined && wanted !== undefined && installed >= wanted) return;
  console.error("set-up: npm ci");
  runOrFail("npm", ["ci", "--no-audit", "--no-fund"], "set-up: npm packages");
}

/** @param {string} path @returns {number | undefined} milliseconds */
function modified(path) {
  return statSync(join(root, path), { throwIfNoEntry: false })?.mtimeMs;
}

function mountBpffs() {
  const mounts = readFileSync("/proc/self/mounts", "utf8");
  if (mounts.split("\n").some((line) => line.split(" ")[1] === bpffs)) return;
  const mount = `mount -t bpf bpf ${bpffs}`;
  if (process.getuid?.() !== 0) {
    throw new StepError(
      `set-up: ${bpffs} is not mounted; run this as root, and try again:\n  ${mount}`,
    );
  }
  console.error(`set-up: ${mount}`);
  runOrFail("mount", mount.split(" ").slice(1), "set-up: bpffs");
}

if (process.argv[1] === import.meta.filename) {
  runMain(async () => {
    const { values } = parseArgs({ options: { for: { type: "string", default: "build" } } });
    const purpose = values.for;
    if (purpose !== "build" && purpose !== "start" && purpose !== "test" && purpose !== "bench") {
      throw new StepError(`set-up: --for ${purpose} is unknown; use build, start, test or bench`);
    }
    await setUp(purpose);
  });
}
