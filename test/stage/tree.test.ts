import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { createTestNode, echoes, startEcho, until, xdpProgram } from "../agent/agent-process.js";
import { withNamespaces } from "../support/netns.js";
import { readPins, stillThere } from "./pinned.js";
import {
  inRoot,
  makeRoot,
  repository,
  runStage,
  temporaryFolder,
  withoutRepository,
} from "./staged-tree.js";

const dropClient = `
apiVersion: sluice.dev/v1alpha1
kind: XdpPolicy
metadata: {name: edge}
spec:
  priority: 100
  nodeSelector: {matchLabels: {role: edge}}
  ingress:
  - {name: client, action: Drop, from: [{cidr: 10.9.0.2/32}]}
`;

let tree = "";
before(() => {
  tree = temporaryFolder();
  runStage(tree);
});

function filesOf(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
}

test("a folder in use is left alone, unless it may be emptied", () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "mine"), "");
  assert.throws(() => runStage(folder), /is not empty; name another folder, or give --force/);
  assert.deepEqual(readdirSync(folder), ["mine"]);
  assert.match(runStage(folder, "--force"), /is complete, with \d+ npm packages/);
  assert.equal(existsSync(join(folder, "mine")), false);
  for (const holds of [repository, join(repository, "..")]) {
    assert.throws(() => runStage(holds, "--force"), /holds this repository/);
  }
});

test("modules that are not those of the lock for the architecture are refused, with the command that makes them", () => {
  const other = process.arch === "arm64" ? "x64" : "arm64";
  assert.throws(
    () => runStage(temporaryFolder(), "--arch", other),
    new RegExp(`koffi-linux-${other} is missing, .*npm ci --omit=dev .*--cpu=${other}`),
  );
});

test("the tree has the program and its objects, and no test, source, type or map", () => {
  const files = filesOf(tree);
  assert.deepEqual(files.filter((path) => path.startsWith("dist/bpf/")).sort(), [
    "dist/bpf/exceptions.o",
    "dist/bpf/pod.o",
    "dist/bpf/uplink.o",
  ]);
  assert.deepEqual(
    files.filter((path) => path.startsWith("dist/bin/")),
    ["dist/bin/sluice"],
  );
  assert.notEqual(statSync(join(tree, "dist/bin/sluice")).mode & 0o111, 0);
  const strangers = files.filter(
    (path) =>
      /\.(ts|map|c|cc|h|bare)$|\.test\.js$/.test(path) || path.startsWith("dist/operator/lab/"),
  );
  assert.deepEqual(strangers, []);
});

test("every package is of the lock, none is for development, and each has its licence told", () => {
  const lock = JSON.parse(readFileSync(join(repository, "package-lock.json"), "utf8")) as {
    readonly packages: Readonly<
      Record<string, { readonly version: string; readonly dev?: boolean }>
    >;
  };
  const licences = readFileSync(join(tree, "THIRD-PARTY-LICENSES"), "utf8");
  const manifests = filesOf(tree).filter((path) =>
    /node_modules\/(@[^/]+\/)?[^/@]+\/package\.json$/.test(path),
  );
  assert.ok(manifests.length > 50, String(manifests.length));
  for (const path of manifests) {
    const { name, version } = JSON.parse(readFileSync(join(tree, path), "utf8")) as {
      readonly name: string;
      readonly version: string;
    };
    const locked = lock.packages[path.replace(/\/package\.json$/, "")];
    assert.equal(locked?.version, version, path);
    assert.notEqual(locked?.dev, true, path);
    assert.ok(licences.includes(`${name} ${version}: `), `no licence of ${name}`);
  }
});

test("every package that Sluice names can be loaded without the repository", () => {
  const script = `
    const { dependencies } = JSON.parse(require("node:fs").readFileSync("package.json", "utf8"));
    if (require("node:fs").existsSync(process.argv[1] + "/package.json")) throw new Error("the repository is in reach");
    Promise.all(Object.keys(dependencies).map((name) => import(name))).then((all) => console.log(all.length));
  `;
  const [unshare = "", ...words] = withoutRepository(tree);
  const command = [...words, process.execPath, "-e", script, repository];
  const { dependencies } = JSON.parse(readFileSync(join(tree, "package.json"), "utf8")) as {
    readonly dependencies: Readonly<Record<string, string>>;
  };
  const said = execFileSync(unshare, command, { encoding: "utf8" });
  assert.equal(Number(said), Object.keys(dependencies).length);
});

test("with Node.js and libraries alone, without a shell, an agent drops packets and is cleaned up after a crash", async () => {
  const root = makeRoot(tree);
  assert.deepEqual(readdirSync(join(root, "usr/local/bin")), ["node"]);
  assert.equal(existsSync(join(root, "bin")), false);
  await withNamespaces(async (lab) => {
    const node = createTestNode(lab, (folder) => inRoot(root, folder));
    await startEcho(lab, node.node);
    assert.ok(echoes(node), "the wire does not work");
    const { version } = JSON.parse(readFileSync(join(tree, "package.json"), "utf8")) as {
      readonly version: string;
    };
    assert.equal(node.ctl("--version").out, `${version}\n`);
    assert.match(node.ctl("--help").out, /Usage: sluicectl/);
    node.write("edge.yaml", dropClient);
    const agent = node.start();
    await agent.ready();
    assert.equal(echoes(node), false);
    assert.match(node.ctl("status", "--check").out, /eth0 +native/);
    assert.match(node.ctl("rules", "--policy", "edge").out, /edge +client +Drop +[3-9]/);

    const pinned = readPins(node.pinRoot);
    agent.signal("SIGKILL");
    await agent.exited;
    assert.equal(echoes(node), false, "nothing judges packets");
    const paths = ["--pin-root", node.pinRoot, "--state-folder", join(node.folder, "state")];
    const { code, out } = node.ctl("cleanup", ...paths, "--yes");
    assert.equal(code, 0, out);
    assert.equal(existsSync(node.pinRoot), false);
    assert.equal(existsSync(join(node.folder, "state")), false);
    assert.equal(xdpProgram(node), undefined);
    await until("links, programs and maps have gone", () => stillThere(pinned).length === 0);
    assert.ok(echoes(node));
  });
});

test("both programs tell their version and explain themselves from any folder", () => {
  const [unshare = "", ...words] = withoutRepository(tree);
  const run = (program: string, flag: string) =>
    execFileSync(unshare, [...words, join(tree, "bin", program), flag], { encoding: "utf8" });
  for (const program of ["sluice-agent", "sluicectl"]) {
    assert.match(run(program, "--version"), /^\d+\.\d+\.\d+\n$/);
    assert.match(run(program, "--help"), new RegExp(`Usage: ${program}`));
  }
});
