// @ts-check
import { readdir, rm } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { root, runMain, StepError } from "./run.mjs";
import { setUp } from "./setup.mjs";
import { folderBytes } from "./stage/copy.mjs";
import { copyModules } from "./stage/modules.mjs";
import { copyProgram } from "./stage/program.mjs";

const usage = "npm run stage -- DIR [--force] [--arch x64|arm64] [--modules FOLDER]";

/**
 * Lays the tree of the image into a folder: the compiled program, the BPF objects it loads, the npm
 * modules it needs at run time, and all licences. Nothing in it leads out of it.
 *
 * @param {object} options
 * @param {string} options.folder absent or empty, unless forced
 * @param {boolean} [options.force] empties the folder first
 * @param {string} [options.arch] of the machine that will run it, as Node or as Docker names it
 * @param {string} [options.modules] the node_modules to take from; for another architecture one made
 *   by `npm ci --omit=dev --ignore-scripts --os=linux --cpu=ARCH`
 * @throws {StepError} when the folder is in use, or the modules are not those of package-lock.json
 */
export async function stage({ folder, force = false, arch: given = process.arch, modules }) {
  const arch = given === "amd64" ? "x64" : given;
  if (arch !== "x64" && arch !== "arm64") {
    throw new StepError(
      `stage: architecture ${arch} is not supported; use x64 (or amd64) or arm64`,
    );
  }
  await clear(folder, force);
  const copied = await copyModules({
    from: modules ?? join(root, "node_modules"),
    to: folder,
    arch,
  });
  await copyProgram(folder);
  return copied;
}

/** @param {string} folder @param {boolean} force */
async function clear(folder, force) {
  const inside = relative(folder, root);
  if (inside === "" || !inside.startsWith("..")) {
    throw new StepError(`stage: ${folder} holds this repository; name another folder`);
  }
  const entries = await readdir(folder).catch((error) => {
    if (error.code === "ENOENT") return [];
    throw new StepError(`stage: ${folder} is not a folder that can be read: ${error.code}`);
  });
  if (entries.length > 0 && !force) {
    throw new StepError(`stage: ${folder} is not empty; name another folder, or give --force`);
  }
  await Promise.all(entries.map((entry) => rm(join(folder, entry), { recursive: true })));
}

/** @param {string} folder */
async function printSizes(folder) {
  const client = "node_modules/@kubernetes/client-node";
  const parts = ["dist/operator", "dist/datapath", "dist/bpf", client];
  const rows = await Promise.all(
    parts.map(async (part) => ({ part, bytes: await folderBytes(join(folder, part)) })),
  );
  const modules = await folderBytes(join(folder, "node_modules"));
  const clientBytes = rows.at(-1)?.bytes ?? 0;
  const all = await folderBytes(folder);
  rows.push({ part: "node_modules, the others", bytes: modules - clientBytes });
  rows.push({
    part: "package.json and licences",
    bytes: all - rows.reduce((n, r) => n + r.bytes, 0),
  });
  rows.push({ part: "all", bytes: all });
  for (const { part, bytes } of rows) {
    console.log(`${part.padEnd(40)} ${(bytes / 1e6).toFixed(1).padStart(6)} MB`);
  }
}

if (process.argv[1] === import.meta.filename) {
  runMain(async () => {
    const { values, positionals } = parseArgs({
      options: {
        force: { type: "boolean", default: false },
        arch: { type: "string" },
        modules: { type: "string" },
      },
      allowPositionals: true,
    });
    const [given, ...more] = positionals;
    if (given === undefined || more.length > 0) throw new StepError(`stage: ${usage}`);
    const folder = resolve(given);
    await setUp("build");
    const { packages } = await stage({
      folder,
      force: values.force,
      ...(values.arch !== undefined && { arch: values.arch }),
      ...(values.modules !== undefined && { modules: resolve(values.modules) }),
    });
    console.log(`stage: ${folder} is complete, with ${packages} npm packages`);
    await printSizes(folder);
  });
}
