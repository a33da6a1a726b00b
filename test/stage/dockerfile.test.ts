import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { repository, runStage, temporaryFolder } from "./staged-tree.js";

interface Instruction {
  readonly name: string;
  readonly rest: string;
  /** Name of the stage it is in; undefined before the first. */
  readonly stage: string | undefined;
}

/** The instructions of a Dockerfile in order, with lines joined and without comments. */
function parseDockerfile(text: string): readonly Instruction[] {
  const lines = text
    .split("\n")
    .filter((line) => !/^\s*(#|$)/.test(line))
    .join("\n")
    .replaceAll("\\\n", " ")
    .split("\n");
  let stage: string | undefined;
  return lines.map((line) => {
    const [, name = "", rest = ""] = /^(\w+)\s+(.*)$/.exec(line) ?? [];
    if (name === "FROM") stage = / AS (\S+)$/.exec(rest)?.[1] ?? "unnamed";
    return { name, rest, stage };
  });
}

const instructions = parseDockerfile(readFileSync(join(repository, "Dockerfile"), "utf8"));
const named = (name: string) => instructions.filter((instruction) => instruction.name === name);

let tree = "";
before(() => {
  tree = temporaryFolder();
  runStage(tree);
});

test("every base is Node.js by the two arguments, or a stage above it", () => {
  const known = new Set(["scratch"]);
  for (const { rest, stage } of named("FROM")) {
    const base = rest.replace(/^--platform=\S+ /, "").split(" ")[0] ?? "";
    if (!known.has(base)) assert.equal(base, "${NODE_IMAGE}${NODE_DIGEST:+@}${NODE_DIGEST}");
    known.add(stage ?? "");
  }
  const global = named("ARG").filter(({ stage }) => stage === undefined);
  assert.deepEqual(
    global.map(({ rest }) => rest),
    ["NODE_IMAGE=node:24-bookworm-slim", "NODE_DIGEST="],
  );
});

test("what is copied from the repository is there and not ignored", () => {
  const ignored = readFileSync(join(repository, ".dockerignore"), "utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));
  const sources = named("COPY")
    .filter(({ rest }) => !rest.startsWith("--from="))
    .flatMap(({ rest }) => rest.split(/\s+/).slice(0, -1));
  assert.ok(sources.includes("package-lock.json"));
  const read = [
    "scripts",
    "crds",
    "datapath/bpf",
    "operator",
    "test",
    "bench",
    "examples",
    "LICENSE",
  ];
  for (const path of [...sources, ...read]) {
    assert.ok(existsSync(join(repository, path)), path);
    assert.ok(!ignored.some((entry) => `${path}/`.startsWith(`${entry}/`)), `${path} is ignored`);
  }
  for (const path of ["dist", "node_modules", ".git"]) assert.ok(ignored.includes(path), path);
});

test("what is copied between stages is made there", () => {
  const stages = named("FROM").map(({ stage }) => stage);
  const copies = named("COPY").filter(({ rest }) => rest.startsWith("--from="));
  assert.ok(copies.length >= 3);
  for (const { rest } of copies) assert.ok(stages.includes(/--from=(\S+)/.exec(rest)?.[1]), rest);
});

test("the npm commands are those of package.json, and stage is one of them", () => {
  const { scripts } = JSON.parse(readFileSync(join(repository, "package.json"), "utf8")) as {
    readonly scripts: Readonly<Record<string, string>>;
  };
  const commands = named("RUN").flatMap(({ rest }) =>
    [...rest.matchAll(/npm run (\S+)/g)].map(([, name = ""]) => name),
  );
  assert.ok(commands.includes("stage"));
  for (const name of commands) assert.ok(name in scripts, name);
});

test("the image starts the agent of the tree as user 0, needs no shell, and has no HEALTHCHECK", () => {
  assert.equal(instructions.at(-1)?.stage, "image", "the image is not what a plain build makes");
  assert.deepEqual(named("HEALTHCHECK"), []);
  const [entrypoint, ...more] = named("ENTRYPOINT");
  assert.deepEqual(more, []);
  const [program, script = ""] = JSON.parse(entrypoint?.rest ?? "") as readonly string[];
  assert.equal(program, "node");
  assert.ok(existsSync(join(tree, script.replace("/opt/sluice/", ""))), script);
  assert.deepEqual(
    named("CMD").map(({ rest }) => rest),
    ["[]"],
  );
  assert.deepEqual(
    named("USER").map(({ rest }) => rest),
    ["0:0"],
  );
});

test("the labels are those of OCI, and the version is that of package.json", () => {
  const { version } = JSON.parse(readFileSync(join(repository, "package.json"), "utf8")) as {
    readonly version: string;
  };
  assert.ok(named("ARG").some(({ rest }) => rest === `VERSION=${version}`));
  const labels = named("LABEL").flatMap(({ rest }) =>
    [...rest.matchAll(/org\.opencontainers\.image\.([\w.]+)=/g)].map(([, name]) => name),
  );
  for (const name of [
    "title",
    "description",
    "licenses",
    "version",
    "revision",
    "source",
    "base.digest",
  ]) {
    assert.ok(labels.includes(name), name);
  }
});

test("the bill of materials lists what the tree and the system have, and no development package", () => {
  const folder = temporaryFolder();
  const out = join(folder, "bill.spdx.json");
  const words = ["--tree", tree, "--dpkg-status", "/var/lib/dpkg/status", "--out", out];
  execFileSync(process.execPath, [join(repository, "scripts/sbom.mjs"), ...words]);
  const { packages, relationships } = JSON.parse(readFileSync(out, "utf8")) as {
    readonly packages: readonly { readonly SPDXID: string; readonly name: string }[];
    readonly relationships: readonly {
      readonly spdxElementId: string;
      readonly relatedSpdxElement: string;
    }[];
  };
  const names = new Set(packages.map(({ name }) => name));
  for (const name of [
    "sluice",
    "koffi",
    `@koromix/koffi-linux-${process.arch}`,
    "libbpf1",
    "node",
  ]) {
    assert.ok(names.has(name), `${name} is missing`);
  }
  for (const name of ["typescript", "fast-check", "@koromix/koffi-win32-x64"]) {
    assert.ok(!names.has(name), `${name} is listed`);
  }
  const ids = packages.map(({ SPDXID }) => SPDXID);
  assert.equal(new Set(ids).size, ids.length, "two packages share an SPDXID");
  const known = new Set(["SPDXRef-DOCUMENT", ...ids]);
  for (const { spdxElementId, relatedSpdxElement } of relationships) {
    assert.ok(known.has(spdxElementId) && known.has(relatedSpdxElement), relatedSpdxElement);
  }
});
