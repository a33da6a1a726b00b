// @ts-check
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { root, StepError } from "../run.mjs";
import { copy } from "./copy.mjs";

/**
 * @typedef {object} Locked an entry of package-lock.json
 * @property {string} version
 * @property {boolean} [dev]
 * @property {string[]} [os]
 * @property {string[]} [cpu]
 * @property {string[]} [libc]
 * @property {string} [license]
 *
 * @typedef {object} Package what is taken of one
 * @property {string} path `node_modules/NAME`, perhaps inside that of another package
 * @property {Locked} locked
 * @property {readonly string[]} files relative to the package
 */

/**
 * Copies the modules that package-lock.json has for run time on Linux with glibc, and of these only
 * what Node can load. They come from an installed tree, not from `npm ci`, so staging needs no
 * network, and the tree of a test is that of the image.
 *
 * @param {{ from: string, to: string, arch: string }} options `from` is a node_modules
 * @returns {Promise<{ packages: number }>}
 * @throws {StepError} when a package is missing or has another version than the lock says
 */
export async function copyModules({ from, to, arch }) {
  /** @type {{ packages: Record<string, Locked> }} */
  const lock = JSON.parse(await readFile(join(root, "package-lock.json"), "utf8"));
  const wanted = Object.entries(lock.packages).filter(
    ([path, locked]) => path !== "" && isForRunTime(locked, arch),
  );
  const found = await Promise.all(
    wanted.map(([path, locked]) => readPackage(join(from, ".."), path, locked, arch)),
  );
  // Types only.
  const packages = found.filter(({ files }) => files.some(isCode));
  for (const { path, files } of packages) {
    await Promise.all(
      files.map((file) => copy(join(from, "..", path, file), join(to, path, file))),
    );
  }
  await writeFile(join(to, "THIRD-PARTY-LICENSES"), await licences(to, packages));
  return { packages: packages.length };
}

/** @param {Locked} locked @param {string} arch */
function isForRunTime({ dev, os, cpu, libc }, arch) {
  if (dev === true) return false;
  const allows = (/** @type {string[] | undefined} */ list, /** @type {string} */ value) =>
    list === undefined || list.includes(value);
  return allows(os, "linux") && allows(cpu, arch) && allows(libc, "glibc");
}

/**
 * @param {string} base
 * @param {string} path
 * @param {Locked} locked
 * @param {string} arch
 * @returns {Promise<Package>}
 */
async function readPackage(base, path, locked, arch) {
  const folder = join(base, path);
  const text = await readFile(join(folder, "package.json"), "utf8").catch(() => undefined);
  const version = text === undefined ? undefined : JSON.parse(text).version;
  if (version !== locked.version) {
    throw new StepError(
      `stage: ${folder} is ${version ?? "missing"}, and package-lock.json has ${locked.version}; ` +
        `make it by npm ci --omit=dev --ignore-scripts --os=linux --cpu=${arch}`,
    );
  }
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .filter((file) => !file.split("/").includes("node_modules") && isNeeded(file))
    .sort();
  return { path, locked, files };
}

const code = /\.(js|mjs|cjs|node)$/;
const licence = /^(licen[cs]es?|notice|copying)\b/i;
/**
 * Builds for other C libraries and for browsers, and what a package has beside its program. The latter at its
 * top only: further in, such names are parts of the program (yaml has a dist/doc).
 */
const elsewhere =
  /(^|\/)musl_[^/]+\/|^(dist\/)?browser\/|^(tests?|__tests__|benchmarks?|examples?|docs?)\//;

/** @param {string} file */
function isCode(file) {
  return code.test(file);
}

/**
 * By the kind of file, so that a new package needs no rule of its own: code, data that code may
 * require, and licences. Types, source maps, C sources, other runtimes' binaries and texts stay.
 *
 * @param {string} file
 */
function isNeeded(file) {
  if (licence.test(file)) return true;
  return /\.(js|mjs|cjs|node|json|wasm)$/.test(file) && !elsewhere.test(file);
}

/** @param {string} base @param {readonly Package[]} packages */
async function licences(base, packages) {
  const parts = await Promise.all(
    packages.map(async ({ path, locked, files }) => {
      const name = path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);
      const texts = await Promise.all(
        files
          .filter((file) => licence.test(file) && !isCode(file))
          .map((file) => readFile(join(base, path, file), "utf8")),
      );
      const body =
        texts.length > 0
          ? texts.map((text) => text.trim()).join("\n\n")
          : "The package has no licence file; this is what its package.json says.";
      return { name, text: `${name} ${locked.version}: ${locked.license ?? "?"}\n\n${body}\n` };
    }),
  );
  const ruler = `\n${"-".repeat(80)}\n\n`;
  return parts
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ text }) => text)
    .join(ruler);
}
