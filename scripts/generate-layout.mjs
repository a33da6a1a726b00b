// @ts-check
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import { parseArgs } from "node:util";
import { collectObject } from "./codegen/collect.mjs";
import { emitLayout } from "./codegen/emit.mjs";
import { findUnits } from "./compile-c.mjs";
import { root, runMain } from "./run.mjs";

/**
 * Writes the TypeScript side of the tables of all objects of `datapath/bpf`, when it changed.
 *
 * @param {{ objects?: readonly string[], out?: string }} [options] other objects and another file,
 *   relative to the repository root or absolute
 * @returns {Promise<boolean>} whether the file was written
 * @throws {StepError} when an object is missing, or uses C that has no counterpart in TypeScript
 */
export async function generateLayout(options = {}) {
  const objects = options.objects ?? dataPathObjects();
  const out = resolve(root, options.out ?? "datapath/generated/layout.ts");
  const layouts = await Promise.all(
    objects.map(async (path) =>
      collectObject(basename(path, ".o"), path, await readFile(resolve(root, path))),
    ),
  );
  const text = emitLayout(layouts);
  if ((await readFile(out, "utf8").catch(() => undefined)) === text) return false;
  await mkdir(dirname(out), { recursive: true });
  await writeFile(`${out}.${process.pid}`, text);
  await rename(`${out}.${process.pid}`, out);
  return true;
}

function dataPathObjects() {
  return findUnits()
    .filter(({ source, target }) => target === "bpf" && source.startsWith("datapath/bpf/"))
    .map(({ output }) => output);
}

if (process.argv[1] === import.meta.filename) {
  runMain(async () => {
    const { values, positionals } = parseArgs({
      options: { out: { type: "string" } },
      allowPositionals: true,
    });
    const objects = positionals.length > 0 ? { objects: positionals } : {};
    await generateLayout({ ...objects, ...values });
  });
}
