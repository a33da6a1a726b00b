// @ts-check
import { existsSync } from "node:fs";
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { dirname, join, normalize } from "node:path";
import { listFiles, root, StepError } from "../run.mjs";
import { copy } from "./copy.mjs";

/**
 * Copies the compiled program: what `operator` and `datapath` have sources of, without tests and the
 * lab, and the BPF objects and C programs that it names.
 *
 * @param {string} folder
 * @throws {StepError} when a compiled file is missing, or a file names another that is not staged
 */
export async function copyProgram(folder) {
  const manifest = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
  /** @type {Record<string, string>} */
  const programs = manifest.bin;
  const executables = new Set(Object.values(programs));
  const scripts = ["operator", "datapath"]
    .flatMap((top) => listFiles(top, { recursive: true }))
    .filter((path) => path.endsWith(".ts") && !path.endsWith(".test.ts"))
    .filter((path) => !path.startsWith("operator/lab/"))
    .map((path) => `dist/${path.replace(/\.ts$/, ".js")}`);
  await Promise.all(scripts.map((path) => copyScript(path, folder, executables.has(path))));
  await copyNamed(scripts, folder);
  await copy(join(root, "LICENSE"), join(folder, "LICENSE"));
  await writeFile(join(folder, "package.json"), runtimeManifest(manifest));
  await linkPrograms(folder, programs);
}

/** @param {string} path @param {string} folder @param {boolean} executable */
async function copyScript(path, folder, executable) {
  const to = join(folder, path);
  await copy(join(root, path), to, { executable }).catch((error) => {
    throw new StepError(`stage: ${path} is not there (${error.code}); run npm run build`);
  });
  // Source maps stay behind, and so does the line that points to one.
  const text = await readFile(to, "utf8");
  await writeFile(to, text.replace(/\n\/\/# sourceMappingURL=\S+\s*$/, "\n"));
}

/**
 * Files beside the program are found by `new URL("…", import.meta.url)`, relative imports by their
 * specifiers: takes the BPF objects and C programs among them, and refuses what would lead to nothing.
 *
 * @param {readonly string[]} scripts
 * @param {string} folder
 */
async function copyNamed(scripts, folder) {
  const staged = new Set([...scripts, "package.json"]);
  /** @type {Set<string>} */
  const objects = new Set();
  for (const script of scripts) {
    const text = await readFile(join(folder, script), "utf8");
    const names = [
      ...text.matchAll(/new URL\("([^"]+)",\s*import\.meta\.url\)/g),
      ...text.matchAll(/(?:\bfrom|^import|\bimport\()\s*"(\.[^"]+)"/gm),
    ];
    for (const [, name = ""] of names) {
      const path = normalize(join(dirname(script), name));
      if (path.startsWith("dist/bpf/") || path.startsWith("dist/bin/")) objects.add(path);
      else if (!staged.has(path)) {
        throw new StepError(`stage: ${script} needs ${path}, which is not part of the image`);
      }
    }
  }
  for (const path of objects) {
    if (!existsSync(join(root, path))) {
      throw new StepError(`stage: ${path} is not there; run npm run build`);
    }
    const executable = path.startsWith("dist/bin/");
    await copy(join(root, path), join(folder, path), { executable });
  }
}

/**
 * Only what has a meaning at run time.
 *
 * @param {Record<string, unknown>} manifest
 */
function runtimeManifest({
  name,
  version,
  description,
  license,
  type,
  engines,
  bin,
  dependencies,
}) {
  const kept = {
    name,
    version,
    private: true,
    description,
    license,
    type,
    engines,
    bin,
    dependencies,
  };
  return `${JSON.stringify(kept, undefined, 2)}\n`;
}

/** @param {string} folder @param {Record<string, string>} programs */
async function linkPrograms(folder, programs) {
  await mkdir(join(folder, "bin"), { mode: 0o755 });
  await Promise.all(
    Object.entries(programs).map(([name, path]) =>
      symlink(join("..", path), join(folder, "bin", name)),
    ),
  );
}
