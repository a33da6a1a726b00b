import { execFileSync } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../..", import.meta.url));

/** Another build of the agent in a folder of its own. */
export interface Build {
  /** The agent's main script. */
  readonly script: string;
  /** The object of the uplink's programs. */
  readonly object: string;
}

/** Copies this build. */
export function copyBuild(folder: string): Build {
  mkdirSync(folder);
  for (const part of ["operator", "datapath", "bpf", "bin"]) {
    cpSync(join(root, "dist", part), join(folder, "dist", part), { recursive: true });
  }
  cpSync(join(root, "package.json"), join(folder, "package.json"));
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  return {
    script: join(folder, "dist", "operator", "agent", "main.js"),
    object: join(folder, "dist", "bpf", "uplink.o"),
  };
}

/** Puts the program of the next version into a build: it judges alike, and has other instructions. */
export function compileNextVersion(folder: string, { object }: Build): void {
  const header = readFileSync(join(root, "datapath", "bpf", "fragments.h"), "utf8");
  const changed = header.replace("(30 * SECOND_NS)", "(31 * SECOND_NS)");
  if (changed === header) throw new Error("the fragment memory is not where it was");
  /* A header beside the program is found before the one in the include path. */
  writeFileSync(join(folder, "fragments.h"), changed);
  const copy = join(folder, "uplink.bpf.c");
  cpSync(join(root, "datapath", "bpf", "uplink.bpf.c"), copy);
  compile(copy, object);
}

/**
 * Puts the programs of a version into a build that remembers more of a flow, and elsewhere: the rows of flows, and with
 * them the table layout, are others.
 */
export function compileNextLayout(folder: string, { script }: Build): void {
  const sources = join(folder, "source");
  cpSync(join(root, "datapath", "bpf"), sources, { recursive: true });
  const types = readFileSync(join(sources, "types.h"), "utf8");
  const changed = types.replace(
    /struct flow \{(.*?)\n\tstruct flow_judgement out;/s,
    "struct flow {\n\tstruct flow_judgement out;\n\t__u64 mark;$1",
  );
  if (changed === types) throw new Error("struct flow is not as it was");
  writeFileSync(join(sources, "types.h"), changed);
  const dist = dirname(dirname(dirname(script)));
  const objects = readdirSync(sources)
    .filter((name) => name.endsWith(".bpf.c"))
    .map((name) => {
      const object = join(dist, "bpf", name.replace(".bpf.c", ".o"));
      compile(join(sources, name), object);
      return object;
    });
  const generated = join(folder, "layout.ts");
  const generate = join(root, "scripts", "generate-layout.mjs");
  execFileSync(process.execPath, [generate, "--out", generated, ...objects]);
  const flags = ["--noCheck", "--noResolve", "--ignoreConfig", "--target", "es2023"];
  const target = ["--module", "esnext", "--outDir", join(dist, "datapath", "generated")];
  execFileSync(join(root, "node_modules", ".bin", "tsc"), [...flags, ...target, generated]);
}

function compile(source: string, object: string): void {
  const machine = execFileSync("gcc", ["-dumpmachine"], { encoding: "utf8" }).trim();
  const include = ["-I", join(root, "datapath", "bpf"), "-I", `/usr/include/${machine}`];
  const target = ["-O2", "-g", "-target", "bpf", "-mcpu=v3"];
  execFileSync("clang", [...target, ...include, "-c", source, "-o", object]);
}

/** Takes the object out of a build, as a broken installation would. */
export function removeObject({ object }: Build): void {
  rmSync(object);
}
