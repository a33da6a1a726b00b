import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { afterEach, beforeEach, describe, it } from "node:test";
import { cidrSet, ObservedFolder, policy } from "../../test/support/observed-folder.js";

let source: ObservedFolder;

beforeEach(() => {
  source = new ObservedFolder();
});

afterEach(async () => {
  await source.remove();
});

describe("what cannot be used is told, and the last good state stays", () => {
  it("of a whole file, when its syntax is broken", async () => {
    source.write("a.yaml", `${policy("a", 1)}---\n${policy("b", 1)}`);
    source.write("c.yaml", policy("c", 1));
    await source.start();
    source.write("a.yaml", `${policy("a", 2)}---\n${policy("b", 2)}  mode: [\n`);
    await source.until("the problem", () => source.problems.length > 0);
    const [problem] = source.problems;
    assert.equal(problem?.code, "SLUICE_YAML_SYNTAX");
    assert.equal(problem.origin.source, source.at("a.yaml"));
    assert.ok((problem.origin.line ?? 0) >= 12, `line ${problem.origin.line}`);
    source.write("c.yaml", policy("c", 2));
    await source.until("c", () => source.policies()["c"] === 2);
    assert.deepEqual(source.policies(), { a: 1, b: 1, c: 2 });
    source.write("a.yaml", `${policy("a", 2)}---\n${policy("b", 1)}`);
    await source.until("the repair", () => source.problems.length === 0);
    assert.deepEqual(source.policies(), { a: 2, b: 1, c: 2 });
  });

  it("of one object, when it breaks a rule, while the others of the file act", async () => {
    source.write("a.yaml", `${policy("a", 1)}---\n${policy("b", 1)}`);
    await source.start();
    source.write("a.yaml", `${policy("a", 2000)}---\n${policy("b", 2)}`);
    await source.until("b", () => source.policies()["b"] === 2);
    assert.deepEqual(source.policies(), { a: 1, b: 2 });
    assert.deepEqual(
      source.problems.map(({ name, field, line, keptGeneration }) => [
        name,
        field,
        line,
        keptGeneration,
      ]),
      [["a", "spec.priority", 5, 1]],
    );
    assert.equal(source.priorityOf("a"), 1);
  });

  it("and an object that never was good is not in force", async () => {
    source.write("a.yaml", policy("a", 2000));
    await source.start();
    assert.deepEqual(source.policies(), {});
    assert.equal(source.problems[0]?.keptGeneration, undefined);
  });

  it("of all missing objects, when a document cannot be told from them", async () => {
    source.write("a.yaml", `${policy("a", 1)}---\n${policy("b", 1)}`);
    await source.start();
    source.write("a.yaml", `${policy("a", 2)}---\n${policy("b", 1).replace("name", "nmae")}`);
    await source.until("a", () => source.policies()["a"] === 2);
    assert.deepEqual(source.policies(), { a: 2, b: 1 });
    assert.deepEqual(source.codes(), ["SLUICE_NAME"]);
    source.write("a.yaml", policy("a", 2));
    await source.until("no b", () => source.policies()["b"] === undefined);
  });

  it("of an object whose kind or version is not known any more", async () => {
    source.write("a.yaml", `${policy("a", 1)}---\n${policy("b", 1)}`);
    await source.start();
    source.write(
      "a.yaml",
      `${policy("a", 1).replace("v1alpha1", "v9")}---\n${policy("b", 1).replace("XdpPolicy", "XdpPolcy")}`,
    );
    await source.until("two problems", () => source.problems.length === 2);
    assert.deepEqual(source.codes(), ["SLUICE_UNKNOWN_VERSION", "SLUICE_UNKNOWN_KIND"]);
    assert.deepEqual(source.policies(), { a: 1, b: 1 });
  });

  it("of a file that is too large now", async () => {
    source.write("a.yaml", policy("a", 1));
    await source.start({ fileLimitBytes: 1000 });
    source.write("a.yaml", `${policy("a", 2)}# ${"x".repeat(1000)}\n`);
    await source.until("the problem", () => source.problems.length > 0);
    assert.deepEqual(source.codes(), ["SLUICE_FILE_TOO_LARGE"]);
    assert.match(source.problems[0]?.message ?? "", /more than the 1000 /);
    assert.deepEqual(source.policies(), { a: 1 });
  });

  it("of a file that must not be read", async () => {
    source.write("a.yaml", policy("a", 1));
    await source.start({ rescanMs: 50 });
    chmodSync(source.at("a.yaml"), 0o000);
    const isRoot = process.geteuid?.() === 0;
    // Root may read everything.
    if (isRoot) process.seteuid?.(65534);
    try {
      await source.until("the problem", () => source.problems.length > 0);
    } finally {
      if (isRoot) process.seteuid?.(0);
    }
    assert.match(source.problems[0]?.message ?? "", /a\.yaml cannot be read: permission denied/);
    assert.deepEqual(source.policies(), { a: 1 });
    chmodSync(source.at("a.yaml"), 0o644);
    await source.until("the repair", () => source.problems.length === 0);
    assert.deepEqual(source.policies(), { a: 1 });
  });

  it("of a file that is listed but gone when it is read", async () => {
    mkdirSync(source.at(".target"));
    source.write(".target/a.yaml", policy("a", 1));
    symlinkSync(".target/a.yaml", source.at("a.yaml"));
    await source.start({ rescanMs: 50 });
    rmSync(source.at(".target/a.yaml"));
    await source.until("the problem", () => source.problems.length > 0);
    assert.deepEqual(source.codes(), ["SLUICE_FILE_UNREADABLE"]);
    assert.match(source.problems[0]?.message ?? "", /vanished/);
    assert.deepEqual(source.policies(), { a: 1 });
    rmSync(source.at("a.yaml"));
    await source.until("no a", () => source.policies()["a"] === undefined);
    assert.deepEqual(source.problems, []);
  });

  it("of a folder that is gone, until it is back", async () => {
    source.write("a.yaml", policy("a", 1));
    await source.start({ rescanMs: 50 });
    renameSync(source.path, `${source.path}.away`);
    try {
      await source.until("the problem", () => source.problems.length > 0);
      assert.deepEqual(source.codes(), ["SLUICE_FOLDER_UNREADABLE"]);
      assert.deepEqual(source.policies(), { a: 1 });
      mkdirSync(source.path);
      source.write("a.yaml", policy("a", 2));
      await source.until("the new folder", () => source.policies()["a"] === 2);
      assert.deepEqual(source.problems, []);
    } finally {
      rmSync(`${source.path}.away`, { recursive: true });
    }
  });

  it("of a file that would overflow the stack of its readers", async () => {
    source.write("a.json", policy("a", 1));
    source.write("b.yaml", policy("b", 1));
    await source.start();
    source.write("a.json", "[".repeat(100_000));
    source.write("b.yaml", `a: ${"[".repeat(20_000)}`);
    await source.until("two problems", () => source.problems.length >= 2);
    assert.deepEqual(source.policies(), { a: 1, b: 1 });
  });

  it("and what is no regular file is not waited for", async () => {
    execFileSync("mkfifo", [source.at("pipe.yaml")]);
    mkdirSync(source.at("folder.yaml"));
    source.write("folder.yaml/a.yaml", policy("a", 1));
    await source.start();
    assert.deepEqual(source.codes(), ["SLUICE_FILE_UNREADABLE"]);
    assert.match(source.problems[0]?.message ?? "", /no regular file/);
    assert.deepEqual(source.policies(), { a: 1 });
  });
});

describe("two objects of one kind and name", () => {
  it("in two files: the one first by path acts, the other is refused, naming both places", async () => {
    source.write("b.yaml", policy("x", 2));
    await source.start();
    assert.deepEqual(source.policies(), { x: 1 });
    source.write("a.yaml", `# first by path\n${policy("x", 1)}`);
    await source.until("the problem", () => source.problems.length > 0);
    assert.equal(source.priorityOf("x"), 1);
    const [problem] = source.problems;
    assert.equal(problem?.code, "SLUICE_DUPLICATE_OBJECT");
    assert.deepEqual(problem.origin, { source: source.at("b.yaml"), line: 1 });
    assert.ok(problem.message.includes(`${source.at("a.yaml")}:2`), problem.message);
    rmSync(source.at("a.yaml"));
    await source.until("the second to act", () => source.problems.length === 0);
    assert.equal(source.priorityOf("x"), 2);
    assert.deepEqual(source.policies(), { x: 3 });
  });

  it("in one file: the first acts", async () => {
    source.write("a.yaml", `${policy("x", 1)}---\n${policy("x", 2)}`);
    await source.start();
    assert.equal(source.priorityOf("x"), 1);
    assert.deepEqual(source.codes(), ["SLUICE_DUPLICATE_OBJECT"]);
    assert.equal(source.problems[0]?.origin.line, 7);
  });

  it("of different kinds do not meet", async () => {
    source.write("a.yaml", `${policy("x", 1)}---\n${cidrSet("x", "10.0.0.0/8")}`);
    await source.start();
    assert.deepEqual(source.problems, []);
    assert.equal(source.objects.size, 2);
  });
});

describe("other kinds of Kubernetes", () => {
  it("are left alone with a warning", async () => {
    source.write(
      "a.yaml",
      `apiVersion: v1\nkind: Service\nmetadata: {name: s}\n---\n${policy("a", 1)}`,
    );
    await source.start();
    assert.deepEqual(
      source.problems.map(({ severity, code }) => [severity, code]),
      [["warning", "SLUICE_FOREIGN_KIND"]],
    );
    assert.deepEqual(source.policies(), { a: 1 });
  });
});
