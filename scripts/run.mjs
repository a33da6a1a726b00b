// @ts-check
import { spawn, spawnSync } from "node:child_process";
import { accessSync, constants as access, readdirSync } from "node:fs";
import { constants } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

/** Root folder of the repository, without a trailing slash. */
export const root = fileURLToPath(new URL("..", import.meta.url)).replace(/\/$/, "");

/** An error whose message is meant for the person at the terminal; printed without a stack. */
export class StepError extends Error {
  /** @override */
  name = "StepError";
}

/**
 * Runs the main function of a script and turns its outcome into the exit status of this process.
 *
 * @param {() => Promise<number | void>} main resolves with the exit status, 0 when undefined
 */
export function runMain(main) {
  main().then(
    (status) => {
      process.exitCode = status ?? 0;
    },
    (error) => {
      console.error(error instanceof StepError ? error.message : error);
      process.exitCode = 1;
    },
  );
}

/**
 * Runs a program in the repository root with the terminal of the caller.
 *
 * @param {string} program
 * @param {readonly string[]} args
 * @param {string} step what is being done, for the error message
 */
export function runOrFail(program, args, step) {
  const result = spawnSync(program, args, { cwd: root, stdio: "inherit" });
  if (result.error !== undefined) {
    throw new StepError(`${step}: ${program} could not be started: ${result.error.message}`);
  }
  if (result.status !== 0) {
    const how = result.signal === null ? `exit status ${result.status}` : `signal ${result.signal}`;
    throw new StepError(`${step} failed: ${program} ended with ${how}`);
  }
}

/**
 * Runs a Node program of the build and resolves with its exit status, as a shell counts it. SIGINT and SIGTERM that reach
 * this process are handed on, so that the program can clean up; it decides when to end.
 *
 * @param {readonly string[]} args of node
 * @returns {Promise<number>}
 */
export function runNode(args) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: root, stdio: "inherit" });
    /** @param {NodeJS.Signals} signal */
    const forward = (signal) => {
      // A terminal sends Ctrl-C to the whole process group: the program has it already.
      if (signal === "SIGINT" && process.stdin.isTTY) return;
      child.kill(signal);
    };
    process.on("SIGINT", forward);
    process.on("SIGTERM", forward);
    process.on("SIGHUP", forward);
    child.on("error", reject);
    child.on("close", (status, signal) => {
      if (signal !== null) console.error(`${args[0]} was ended by ${signal}`);
      resolve(signal === null ? (status ?? 1) : 128 + constants.signals[signal]);
    });
  });
}

/**
 * Path of a program, looked for in PATH and in the folders of system tools, which the PATH of an
 * unprivileged Debian user lacks.
 *
 * @param {string} program
 */
export function findProgram(program) {
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/sbin"];
  return folders
    .map((folder) => join(folder, program))
    .find((path) => {
      try {
        accessSync(path, access.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/**
 * Files under a folder of the repository, as sorted paths relative to the root.
 *
 * @param {string} folder relative to the root; an absent folder holds nothing
 * @param {{ recursive: boolean }} options
 * @returns {string[]}
 */
export function listFiles(folder, { recursive }) {
  try {
    return readdirSync(join(root, folder), { withFileTypes: true, recursive })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
      .sort();
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  }
}
