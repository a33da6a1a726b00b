/** Debian's cloud kernels, taken from apt without installing them. */

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** A kernel that apt can download. */
export interface KernelPackage {
  /** The binary package, signed or not. */
  readonly name: string;
  /** Of the package, such as `6.12.117-1~deb12u1`. */
  readonly version: string;
  /** What `uname -r` says under it. */
  readonly release: string;
}

/**
 * The newest cloud kernel of a series that apt offers; undefined when it offers none, as outside
 * of Debian.
 *
 * @param series such as `6.1`
 */
export function findKernel(series: string): KernelPackage | undefined {
  const dots = series.replaceAll(".", "\\.");
  const wanted = new RegExp(`^linux-image-(${dots}\\.[0-9][^ ]*-cloud-amd64)(-unsigned)?$`);
  const found = aptCache("search", "--names-only", `^linux-image-${dots}\\..*-cloud-amd64`)
    .split("\n")
    .flatMap((line) => {
      const name = line.split(" ")[0] ?? "";
      const release = wanted.exec(name)?.[1];
      return release === undefined ? [] : [{ name, release }];
    });
  // Of a signed and an unsigned package of one release, the shorter name is the signed one.
  const [newest] = found.sort(
    (a, b) => compareReleases(b.release, a.release) || a.name.length - b.name.length,
  );
  if (newest === undefined) return undefined;
  const shown = aptCache("show", "--no-all-versions", newest.name);
  const version = /^Version: (.+)$/m.exec(shown)?.[1];
  if (version === undefined) throw new Error(`apt-cache show ${newest.name} names no version`);
  return { ...newest, version };
}

function aptCache(...words: readonly string[]): string {
  try {
    return execFileSync("apt-cache", words, { encoding: "utf8" });
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return "";
    throw error;
  }
}

/** By the numbers in the names: `6.1.0-9` is before `6.1.0-56`. */
function compareReleases(a: string, b: string): number {
  return a.localeCompare(b, "en", { numeric: true });
}

/**
 * Path of the kernel's image, downloaded once into the user's cache.
 *
 * @throws Error with the remedy when apt cannot download it
 */
export function fetchKernel({ name, version, release }: KernelPackage): string {
  const { XDG_CACHE_HOME: cache = "" } = process.env;
  // Empty counts as unset (XDG Base Directory Specification).
  const kernels = join(cache === "" ? join(homedir(), ".cache") : cache, "sluice", "kernels");
  const image = join(kernels, `${name}_${version}`);
  if (existsSync(image)) return image;
  mkdirSync(kernels, { recursive: true });
  const work = mkdtempSync(join(kernels, "download-"));
  try {
    const run = (program: string, ...words: readonly string[]) =>
      execFileSync(program, words, { cwd: work, stdio: "pipe" });
    run("apt-get", "download", `${name}=${version}`);
    const archive = readdirSync(work).find((file) => file.endsWith(".deb"));
    run("dpkg-deb", "-x", archive ?? `${name}.deb`, "unpacked");
    // Renamed at the end, so that an interrupted download leaves no half a kernel.
    renameSync(join(work, "unpacked", "boot", `vmlinuz-${release}`), image);
  } catch (cause) {
    throw new Error(
      `cannot fetch ${name} ${version} into ${kernels}; if apt's lists are old, run apt-get update`,
      { cause },
    );
  } finally {
    rmSync(work, { recursive: true });
  }
  return image;
}
