// @ts-check
import { execFile, execFileSync } from "node:child_process";
import { mkdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { promisify } from "node:util";
import { listFiles, root, StepError } from "./run.mjs";

const exec = promisify(execFile);

/**
 * @typedef {object} CUnit one C file to compile
 * @property {string} source relative to the repository root
 * @property {string} output relative to the repository root
 * @property {"bpf" | "host" | "static"} target
 */

/**
 * Folders with C files; `program` says how plain C programs are built there, if at all.
 *
 * @type {readonly { folder: string, recursive: boolean, program?: "host" | "static" }[]}
 */
const folders = [
  { folder: "datapath/bpf", recursive: false },
  { folder: "examples/programs", recursive: false },
  // Runs on the host of a node, whatever C library is there.
  { folder: "cni", recursive: false, program: "static" },
  { folder: "operator/lab", recursive: false, program: "host" },
  { folder: "bench", recursive: false, program: "host" },
  { folder: "test", recursive: true, program: "host" },
];

/**
 * Every C file of the repository with the place of its result: `x.bpf.c` becomes `dist/bpf/x.o`,
 * any other `x.c` becomes the program `dist/bin/x`, and so does `x.static.c`, which needs no library.
 *
 * @returns {CUnit[]}
 */
export function findUnits() {
  /** @type {Map<string, CUnit>} */
  const byOutput = new Map();
  for (const { folder, recursive, program } of folders) {
    for (const source of listFiles(folder, { recursive })) {
      if (!source.endsWith(".c")) continue;
      const isBpf = source.endsWith(".bpf.c");
      const isStatic = source.endsWith(".static.c");
      const target = isBpf ? "bpf" : isStatic ? "static" : program;
      if (target === undefined) continue;
      const output = isBpf
        ? `dist/bpf/${basename(source, ".bpf.c")}.o`
        : `dist/bin/${basename(source, isStatic ? ".static.c" : ".c")}`;
      const other = byOutput.get(output);
      if (other !== undefined) {
        throw new StepError(
          `${source} and ${other.source} would both become ${output}: rename one of them`,
        );
      }
      byOutput.set(output, { source, output, target });
    }
  }
  return [...byOutput.values()];
}

/**
 * The compiler with its flags. The BPF target has no multiarch folder of its own, but the uapi headers
 * include <asm/types.h>: hence the second -I.
 *
 * @param {CUnit} unit @param {string} multiarch
 */
function compiler(unit, multiarch) {
  const command =
    unit.target !== "bpf"
      ? `cc -O2 -Wall -Wextra -Werror${unit.target === "static" ? " -static -s" : ""}`
      : "clang -O2 -g -target bpf -mcpu=v3 -Wall -Wextra -Werror -Wno-unused-parameter " +
        `-I datapath/bpf -I /usr/include/${multiarch}`;
  return command.split(" ");
}

/** @param {string} path */
async function mtimeOf(path) {
  try {
    return (await stat(resolve(root, path))).mtimeMs;
  } catch {
    return undefined;
  }
}

/** @param {string} text the Makefile rule that -MMD wrote */
function parseDependencies(text) {
  return text
    .slice(text.indexOf(":") + 1)
    .replaceAll("\\\n", " ")
    .split(/\s+/)
    .filter((word) => word !== "");
}

/** @param {CUnit} unit @param {string} command @param {string} stamp */
async function isUpToDate(unit, command, stamp) {
  const built = await mtimeOf(unit.output);
  if (built === undefined) return false;
  let dependencies;
  try {
    const [madeBy, ...paths] = (await readFile(join(root, stamp), "utf8")).split("\n");
    if (madeBy !== command) return false;
    dependencies = paths;
  } catch {
    return false;
  }
  const times = await Promise.all(dependencies.map(mtimeOf));
  return times.every((time) => time !== undefined && time < built);
}

/**
 * Compiles one file, unless its result is newer than everything it was made from.
 *
 * @param {CUnit} unit
 * @param {string} multiarch
 * @returns {Promise<boolean>} whether the compiler ran
 */
async function compile(unit, multiarch) {
  const words = compiler(unit, multiarch);
  const command = words.join(" ");
  const stamp = `dist/.c/${basename(unit.output)}.${unit.target}.deps`;
  if (await isUpToDate(unit, command, stamp)) return false;
  const started = new Date();
  // Written aside and renamed, so that an interrupted or concurrent build leaves no half a file.
  const aside = `${unit.output}.${process.pid}`;
  const rule = `${stamp}.${process.pid}`;
  try {
    await mkdir(join(root, dirname(unit.output)), { recursive: true });
    await mkdir(join(root, dirname(stamp)), { recursive: true });
    const [program = "", ...args] = words;
    const mode = unit.target === "bpf" ? ["-c"] : [];
    await exec(program, [...args, ...mode, "-MD", "-MF", rule, unit.source, "-o", aside], {
      cwd: root,
    });
    // Strips DWARF, which is several times the size of the program; BTF stays.
    if (unit.target === "bpf") await exec("llvm-strip", ["-g", aside], { cwd: root });
    const dependencies = parseDependencies(await readFile(join(root, rule), "utf8"));
    await writeFile(join(root, stamp), [command, ...dependencies].join("\n"));
    // The start counts as the time of the result: a file saved while the compiler ran is newer.
    await utimes(join(root, aside), started, started);
    await rename(join(root, aside), join(root, unit.output));
    return true;
  } finally {
    await rm(join(root, aside), { force: true });
    await rm(join(root, rule), { force: true });
  }
}

/**
 * Compiles all C files that changed.
 *
 * @returns {Promise<{ units: CUnit[], compiled: number }>}
 * @throws {StepError} after all files were tried; names each that failed, with the compiler's words
 */
export async function compileAll() {
  const units = findUnits();
  const multiarch = execFileSync("gcc", ["-dumpmachine"], { encoding: "utf8" }).trim();
  const queue = [...units];
  /** @type {string[]} */
  const failures = [];
  let compiled = 0;
  const worker = async () => {
    for (let unit = queue.shift(); unit !== undefined; unit = queue.shift()) {
      try {
        if (await compile(unit, multiarch)) compiled++;
      } catch (error) {
        const words = error instanceof Error && "stderr" in error ? error.stderr : error;
        failures.push(`${unit.source} does not compile:\n${String(words)}`);
      }
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
  if (failures.length > 0) throw new StepError(failures.sort().join("\n"));
  return { units, compiled };
}
