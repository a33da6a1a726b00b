// @ts-check
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { findProgram, StepError } from "../run.mjs";

/** Of Go 1: what Kubernetes asks for. */
const neededMinor = 25;

/** Fetched where the system's Go is older, as Debian's is: the toolchain is a module like any other. */
const architecture = process.arch === "x64" ? "amd64" : process.arch;
const toolchain = `golang.org/toolchain@v0.0.1-go1.26.8.linux-${architecture}`;

/** Go programs of this machine, whatever their version. */
export function installedGos() {
  const inPath = findProgram("go");
  const usual = ["/usr/local/go/bin/go"].filter((go) => existsSync(go));
  return [...new Set(inPath === undefined ? usual : [inPath, ...usual])];
}

/**
 * A Go new enough for Kubernetes, fetched when this machine has only an older one.
 *
 * @param {string} cwd outside of any Go module
 * @returns {string} path of the program
 * @throws {StepError}
 */
export function suitableGo(cwd) {
  const gos = installedGos();
  const found = gos.find((go) => minorOf(go) >= neededMinor);
  if (found !== undefined) return found;
  const [go] = gos;
  if (go === undefined) {
    throw new StepError(
      "cluster tools: there is no Go to build them with; " +
        "install the package golang-go, or Go from https://go.dev/dl, and try again",
    );
  }
  console.error(`cluster tools: ${go} is older than 1.${neededMinor}; fetching ${toolchain}`);
  const { Dir: folder } = downloadModule(go, cwd, toolchain);
  makeExecutable(join(folder, "bin"));
  makeExecutable(join(folder, "pkg", "tool"));
  return join(folder, "bin", "go");
}

/**
 * Fetches a module into Go's module cache.
 *
 * @param {string} go
 * @param {string} cwd
 * @param {string} module with its version
 * @returns {{ Dir: string, GoMod: string }} its folder and the path of its go.mod
 */
export function downloadModule(go, cwd, module) {
  return JSON.parse(runGo(go, cwd, ["mod", "download", "-json", module]));
}

/**
 * Runs Go, without a C compiler and with the toolchain that is asked for; returns its stdout.
 *
 * @param {string} go
 * @param {string} cwd
 * @param {readonly string[]} args
 * @param {NodeJS.ProcessEnv} [extraEnv]
 * @throws {StepError}
 */
export function runGo(go, cwd, args, extraEnv = {}) {
  const env = {
    ...process.env,
    CGO_ENABLED: "0",
    GOFLAGS: "-mod=mod",
    GOTOOLCHAIN: "local",
    GOWORK: "off",
    ...extraEnv,
  };
  const { status, stdout, error } = spawnSync(go, args, {
    cwd,
    env,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (status === 0) return stdout;
  const reason = error?.message ?? `exit status ${status}\n${stdout.trim()}`;
  throw new StepError(
    `cluster tools: ${go} ${args.join(" ")} failed: ${reason}\n` +
      "Go fetches sources from its module proxy: check that it is reachable (go env GOPROXY), and try again",
  );
}

/** @param {string} go @returns {number} of version 1.MINOR; 0 when it does not run */
function minorOf(go) {
  const { stdout } = spawnSync(go, ["version"], {
    encoding: "utf8",
    env: { ...process.env, GOTOOLCHAIN: "local" },
  });
  return Number(/go1\.(\d+)/.exec(stdout ?? "")?.[1] ?? 0);
}

/** Modules lose the mode of their files. @param {string} folder */
function makeExecutable(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    if (entry.isFile()) chmodSync(join(entry.parentPath, entry.name), 0o555);
  }
}
