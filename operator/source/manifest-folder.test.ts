import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { SluiceError } from "../errors.js";
import type { ObjectRecord, Problem } from "../model/records.js";
import { ManifestFolder, type ManifestFolderOptions } from "./manifest-folder.js";
import type { ObjectEvent } from "./source.js";

const DEADLINE_MS = 10_000;

function policy(name: string, priority: number | string): string {
  return `apiVersion: sluice.dev/v1alpha1
kind: XdpPolicy
metadata: {name: ${name}}
spec:
  priority: ${priority}
`;
}

function cidrSet(name: string, ...cidrs: readonly string[]): string {
  return JSON.stringify({
    apiVersion: "sluice.dev/v1alpha1",
    kind: "XdpCidrSet",
    metadata: { name },
    spec: { cidrs },
  });
}

/** A source on a folder of its own, and what it has told so far. */
class Observed {
  readonly events: ObjectEvent[] = [];
  readonly objects = new Map<string, ObjectRecord>();
  problems: readonly Problem[] = [];
  readonly #source: ManifestFolder;

  constructor(folder: string, options: ManifestFolderOptions) {
    this.#source = new ManifestFolder(folder, { settleMs: 30, ...options });
  }

  async start(): Promise<void> {
    await this.#source.start((event) => {
      this.events.push(event);
      if (event.type === "upsert") {
        this.objects.set(`${event.record.kind}/${event.record.name}`, event.record);
      } else if (event.type === "delete") {
        assert.ok(this.objects.delete(`${event.kind}/${event.name}`), "delete of an unknown object");
      } else if (event.type === "problems") {
        this.problems = event.problems;
      }
    });
  }

  close(): Promise<void> {
    return this.#source.close();
  }

  /** Generations of the policies in force, by name. */
  policies(): Record<string, number> {
    const records = [...this.objects.values()].filter((record) => record.kind === "XdpPolicy");
    return Object.fromEntries(records.map(({ name, generation }) => [name, generation]));
  }

  codes(): readonly string[] {
    return this.problems.map(({ code }) => code);
  }

  async until(what: string, isSo: () => boolean): Promise<void> {
    const endMs = Date.now() + DEADLINE_MS;
    while (!isSo()) {
      const state = JSON.stringify([this.policies(), this.problems]);
      assert.ok(Date.now() < endMs, `waited in vain for ${what}; now ${state}`);
      await sleep(5);
    }
  }
}

let folder: string;
let observed: Observed | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "slt-manifests-"));
  chmodSync(folder, 0o755);
});

afterEach(async () => {
  await observed?.close();
  observed = undefined;
  rmSync(folder, { recursive: true, force: true });
});

function write(name: string, text: string): void {
  writeFileSync(join(folder, name), text);
}

async function observe(options: ManifestFolderOptions = {}): Promise<Observed> {
  observed = new Observed(folder, options);
  await observed.start();
  return observed;
}

describe("at the start", () => {
  it("all objects of the folder and of the folders below are told, then synced", async () => {
    mkdirSync(join(folder, "sub/deeper"), { recursive: true });
    write("a.yaml", `${policy("a", 1)}---\n${policy("b", 2)}`);
    write("sub/c.yml", policy("c", 3));
    write("sub/deeper/d.json", cidrSet("d", "10.0.0.0/8"));
    write(
      "list.yaml",
      "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Node, metadata: {name: n}}\n",
    );
    write(
      "typed.yaml",
      "apiVersion: sluice.dev/v1alpha1\nkind: XdpPolicyList\nitems:\n- {metadata: {name: e}, spec: {priority: 1}}\n",
    );
    write(".hidden.yaml", policy("hidden", 1));
    mkdirSync(join(folder, ".git"));
    write(".git/hidden.yaml", policy("hidden", 1));
    write("notes.txt", "not a manifest");
    write("empty.yaml", "# nothing here\n");
    const { events, objects, problems } = await observe();
    assert.deepEqual(problems, []);
    assert.deepEqual(
      [...objects.keys()],
      ["Node/n", "XdpCidrSet/d", "XdpPolicy/a", "XdpPolicy/b", "XdpPolicy/c", "XdpPolicy/e"],
    );
    assert.deepEqual(
      events.slice(-2).map(({ type }) => type),
      ["problems", "synced"],
    );
    const b = objects.get("XdpPolicy/b");
    assert.deepEqual(b?.origin, { source: join(folder, "a.yaml"), line: 7 });
    assert.deepEqual(observed?.policies(), { a: 1, b: 1, c: 1, e: 1 });
  });

  it("an empty folder is in sync with nothing", async () => {
    const { events } = await observe();
    assert.deepEqual(events, [{ type: "synced" }]);
  });

  it("a folder that is not there is an error that names it", async () => {
    const missing = new Observed(join(folder, "missing"), {});
    await assert.rejects(missing.start(), (error) => {
      assert.ok(error instanceof SluiceError && error.code === "SLUICE_FOLDER_UNREADABLE");
      assert.match(error.message, /missing/);
      return true;
    });
  });

  it("links that lead round in circles are followed once", async () => {
    mkdirSync(join(folder, "sub"));
    write("sub/a.yaml", policy("a", 1));
    symlinkSync("..", join(folder, "sub/up"));
    const { objects, problems } = await observe();
    assert.deepEqual([...objects.keys()], ["XdpPolicy/a"]);
    assert.deepEqual(problems, []);
  });
});

describe("a change", () => {
  it("of one object is told as its next generation, and of no other", async () => {
    write("a.yaml", `${policy("a", 1)}---\n${policy("b", 2)}`);
    write("c.yaml", policy("c", 3));
    const source = await observe();
    source.events.length = 0;
    write("a.yaml", `${policy("a", 1)}---\n${policy("b", 20)}`);
    await source.until("b", () => source.policies()["b"] === 2);
    assert.deepEqual(source.policies(), { a: 1, b: 2, c: 1 });
    assert.deepEqual(
      source.events.map((event) => (event.type === "upsert" ? event.record.name : event.type)),
      ["b", "problems"],
    );
  });

  it("of the way of writing only is not told", async () => {
    write("a.yaml", policy("a", 1));
    const source = await observe();
    source.events.length = 0;
    write("a.yaml", `# a comment\n${policy("a", 1)}  mode: Enforce\n`);
    write("b.yaml", policy("b", 1));
    await source.until("b", () => source.policies()["b"] === 1);
    utimesSync(join(folder, "a.yaml"), 1, 1);
    write("c.yaml", policy("c", 1));
    await source.until("c", () => source.policies()["c"] === 1);
    const upserts = source.events.filter(({ type }) => type === "upsert");
    assert.equal(upserts.length, 2);
    assert.equal(source.policies()["a"], 1);
  });

  it("by renaming a file onto another, as editors do, is told", async () => {
    write("a.yaml", policy("a", 1));
    const source = await observe();
    for (const priority of [2, 3]) {
      write(".a.yaml.tmp", policy("a", priority));
      renameSync(join(folder, ".a.yaml.tmp"), join(folder, "a.yaml"));
      await source.until("a", () => source.policies()["a"] === priority);
    }
    assert.deepEqual(source.problems, []);
  });

  it("by swapping a link, as a mounted ConfigMap does, is told", async () => {
    const publish = (version: string, text: string) => {
      mkdirSync(join(folder, `..${version}`));
      write(`..${version}/a.yaml`, text);
      symlinkSync(`..${version}`, join(folder, "..data_tmp"));
      renameSync(join(folder, "..data_tmp"), join(folder, "..data"));
    };
    publish("v1", policy("a", 1));
    symlinkSync("..data/a.yaml", join(folder, "a.yaml"));
    const source = await observe();
    assert.deepEqual(source.policies(), { a: 1 });
    publish("v2", policy("a", 2));
    rmSync(join(folder, "..v1"), { recursive: true });
    await source.until("the second version", () => source.policies()["a"] === 2);
    publish("v3", policy("a", 3));
    rmSync(join(folder, "..v2"), { recursive: true });
    await source.until("the third version", () => source.policies()["a"] === 3);
    assert.deepEqual(source.problems, []);
  });

  it("that removes a file, a folder or a document removes its objects", async () => {
    mkdirSync(join(folder, "sub"));
    write("a.yaml", policy("a", 1));
    write("sub/b.yaml", policy("b", 1));
    write("c.yaml", `${policy("c", 1)}---\n${policy("d", 1)}`);
    const source = await observe();
    rmSync(join(folder, "a.yaml"));
    await source.until("no a", () => source.policies()["a"] === undefined);
    rmSync(join(folder, "sub"), { recursive: true });
    await source.until("no b", () => source.policies()["b"] === undefined);
    write("c.yaml", policy("c", 1));
    await source.until("no d", () => source.policies()["d"] === undefined);
    assert.deepEqual(source.policies(), { c: 1 });
    assert.deepEqual(source.problems, []);
  });

  it("after which an object comes back gives it a new generation", async () => {
    write("a.yaml", policy("a", 1));
    const source = await observe();
    rmSync(join(folder, "a.yaml"));
    await source.until("no a", () => source.policies()["a"] === undefined);
    write("a.yaml", policy("a", 5));
    await source.until("a", () => source.policies()["a"] === 2);
  });

  it("of the file that an object is in keeps its generation", async () => {
    write("a.yaml", policy("a", 1));
    const source = await observe();
    renameSync(join(folder, "a.yaml"), join(folder, "b.yaml"));
    const sourceOf = () => source.objects.get("XdpPolicy/a")?.origin.source;
    await source.until("the new place", () => sourceOf() === join(folder, "b.yaml"));
    assert.deepEqual(source.policies(), { a: 1 });
    assert.ok(!source.events.some(({ type }) => type === "delete"));
  });

  it("of a file that never gets quiet is read in the end", async () => {
    write("a.yaml", policy("a", 1));
    const source = await observe({ settleMs: 20 });
    await source.until("a change", () => {
      write("a.yaml", policy("a", 2));
      return source.policies()["a"] === 2;
    });
  });
});

describe("what cannot be used is told, and the last good state stays", () => {
  it("of a whole file, when its syntax is broken", async () => {
    write("a.yaml", `${policy("a", 1)}---\n${policy("b", 1)}`);
    write("c.yaml", policy("c", 1));
    const source = await observe();
    write("a.yaml", `${policy("a", 2)}---\n${policy("b", 2)}  mode: [\n`);
    await source.until("the problem", () => source.problems.length > 0);
    const [problem] = source.problems;
    assert.equal(problem?.code, "SLUICE_YAML_SYNTAX");
    assert.equal(problem.origin.source, join(folder, "a.yaml"));
    assert.ok((problem.origin.line ?? 0) >= 12, `line ${problem.origin.line}`);
    write("c.yaml", policy("c", 2));
    await source.until("c", () => source.policies()["c"] === 2);
    assert.deepEqual(source.policies(), { a: 1, b: 1, c: 2 });
    write("a.yaml", `${policy("a", 2)}---\n${policy("b", 1)}`);
    await source.until("the repair", () => source.problems.length === 0);
    assert.deepEqual(source.policies(), { a: 2, b: 1, c: 2 });
  });

  it("of one object, when it breaks a rule, while the others of the file act", async () => {
    write("a.yaml", `${policy("a", 1)}---\n${policy("b", 1)}`);
    const source = await observe();
    write("a.yaml", `${policy("a", 2000)}---\n${policy("b", 2)}`);
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
    const kept = source.objects.get("XdpPolicy/a");
    assert.equal(kept?.kind === "XdpPolicy" && kept.priority, 1);
  });

  it("and an object that never was good is not in force", async () => {
    write("a.yaml", policy("a", 2000));
    const source = await observe();
    assert.deepEqual(source.policies(), {});
    assert.equal(source.problems[0]?.keptGeneration, undefined);
  });

  it("of all missing objects, when a document cannot be told from them", async () => {
    write("a.yaml", `${policy("a", 1)}---\n${policy("b", 1)}`);
    const source = await observe();
    write("a.yaml", `${policy("a", 2)}---\n${policy("b", 1).replace("name", "nmae")}`);
    await source.until("a", () => source.policies()["a"] === 2);
    assert.deepEqual(source.policies(), { a: 2, b: 1 });
    assert.deepEqual(source.codes(), ["SLUICE_NAME"]);
    write("a.yaml", policy("a", 2));
    await source.until("no b", () => source.policies()["b"] === undefined);
  });

  it("of an object whose kind or version is not known any more", async () => {
    write("a.yaml", `${policy("a", 1)}---\n${policy("b", 1)}`);
    const source = await observe();
    write(
      "a.yaml",
      `${policy("a", 1).replace("v1alpha1", "v9")}---\n${policy("b", 1).replace("XdpPolicy", "XdpPolcy")}`,
    );
    await source.until("two problems", () => source.problems.length === 2);
    assert.deepEqual(source.codes(), ["SLUICE_UNKNOWN_VERSION", "SLUICE_UNKNOWN_KIND"]);
    assert.deepEqual(source.policies(), { a: 1, b: 1 });
  });

  it("of a file that is too large now", async () => {
    write("a.yaml", policy("a", 1));
    const source = await observe({ fileLimitBytes: 1000 });
    write("a.yaml", `${policy("a", 2)}# ${"x".repeat(1000)}\n`);
    await source.until("the problem", () => source.problems.length > 0);
    assert.deepEqual(source.codes(), ["SLUICE_FILE_TOO_LARGE"]);
    assert.match(source.problems[0]?.message ?? "", /more than the 1000 /);
    assert.deepEqual(source.policies(), { a: 1 });
  });

  it("of a file that must not be read", async () => {
    write("a.yaml", policy("a", 1));
    const source = await observe({ rescanMs: 50 });
    const isRoot = process.geteuid?.() === 0;
    if (isRoot) process.seteuid?.(65534);
    try {
      // Only the owner may change the mode, and nobody is the owner.
      if (isRoot) process.seteuid?.(0);
      chmodSync(join(folder, "a.yaml"), 0o000);
      if (isRoot) process.seteuid?.(65534);
      await source.until("the problem", () => source.problems.length > 0);
    } finally {
      if (isRoot) process.seteuid?.(0);
    }
    assert.match(source.problems[0]?.message ?? "", /a\.yaml cannot be read: permission denied/);
    assert.deepEqual(source.policies(), { a: 1 });
    chmodSync(join(folder, "a.yaml"), 0o644);
    await source.until("the repair", () => source.problems.length === 0);
    assert.deepEqual(source.policies(), { a: 1 });
  });

  it("of a file that is listed but gone when it is read", async () => {
    mkdirSync(join(folder, ".target"));
    write(".target/a.yaml", policy("a", 1));
    symlinkSync(".target/a.yaml", join(folder, "a.yaml"));
    const source = await observe({ rescanMs: 50 });
    rmSync(join(folder, ".target/a.yaml"));
    await source.until("the problem", () => source.problems.length > 0);
    assert.deepEqual(source.codes(), ["SLUICE_FILE_UNREADABLE"]);
    assert.match(source.problems[0]?.message ?? "", /vanished/);
    assert.deepEqual(source.policies(), { a: 1 });
    rmSync(join(folder, "a.yaml"));
    await source.until("no a", () => source.policies()["a"] === undefined);
    assert.deepEqual(source.problems, []);
  });

  it("of a folder that is gone, until it is back", async () => {
    write("a.yaml", policy("a", 1));
    const source = await observe({ rescanMs: 50 });
    renameSync(folder, `${folder}.away`);
    try {
      await source.until("the problem", () => source.problems.length > 0);
      assert.deepEqual(source.codes(), ["SLUICE_FOLDER_UNREADABLE"]);
      assert.deepEqual(source.policies(), { a: 1 });
      mkdirSync(folder);
      write("a.yaml", policy("a", 2));
      await source.until("the new folder", () => source.policies()["a"] === 2);
      assert.deepEqual(source.problems, []);
    } finally {
      rmSync(`${folder}.away`, { recursive: true });
    }
  });

  it("and what is no regular file is not waited for", async () => {
    execFileSync("mkfifo", [join(folder, "pipe.yaml")]);
    mkdirSync(join(folder, "folder.yaml"));
    write("folder.yaml/a.yaml", policy("a", 1));
    const source = await observe();
    assert.deepEqual(source.codes(), ["SLUICE_FILE_UNREADABLE"]);
    assert.match(source.problems[0]?.message ?? "", /no regular file/);
    assert.deepEqual(source.policies(), { a: 1 });
  });
});

describe("two objects of one kind and name", () => {
  it("in two files: the one first by path acts, the other is refused, naming both places", async () => {
    write("b.yaml", policy("x", 2));
    const source = await observe();
    assert.deepEqual(source.policies(), { x: 1 });
    write("a.yaml", `# first by path\n${policy("x", 1)}`);
    await source.until("the problem", () => source.problems.length > 0);
    const record = source.objects.get("XdpPolicy/x");
    assert.equal(record?.kind === "XdpPolicy" && record.priority, 1);
    const [problem] = source.problems;
    assert.equal(problem?.code, "SLUICE_DUPLICATE_OBJECT");
    assert.deepEqual(problem.origin, { source: join(folder, "b.yaml"), line: 1 });
    assert.ok(problem.message.includes(`${join(folder, "a.yaml")}:2`), problem.message);
    rmSync(join(folder, "a.yaml"));
    await source.until("the second to act", () => source.problems.length === 0);
    const second = source.objects.get("XdpPolicy/x");
    assert.equal(second?.kind === "XdpPolicy" && second.priority, 2);
    assert.deepEqual(source.policies(), { x: 3 });
  });

  it("in one file: the first acts", async () => {
    write("a.yaml", `${policy("x", 1)}---\n${policy("x", 2)}`);
    const source = await observe();
    const record = source.objects.get("XdpPolicy/x");
    assert.equal(record?.kind === "XdpPolicy" && record.priority, 1);
    assert.deepEqual(source.codes(), ["SLUICE_DUPLICATE_OBJECT"]);
    assert.equal(source.problems[0]?.origin.line, 7);
  });

  it("of different kinds do not meet", async () => {
    write("a.yaml", `${policy("x", 1)}---\n${cidrSet("x", "10.0.0.0/8")}`);
    const source = await observe();
    assert.deepEqual(source.problems, []);
    assert.equal(source.objects.size, 2);
  });
});

describe("other kinds of Kubernetes", () => {
  it("are left alone with a warning", async () => {
    write("a.yaml", `apiVersion: v1\nkind: Service\nmetadata: {name: s}\n---\n${policy("a", 1)}`);
    const source = await observe();
    assert.deepEqual(
      source.problems.map(({ severity, code }) => [severity, code]),
      [["warning", "SLUICE_FOREIGN_KIND"]],
    );
    assert.deepEqual(source.policies(), { a: 1 });
  });
});

describe("after closing", () => {
  it("nothing is told any more", async () => {
    const source = await observe();
    write("a.yaml", policy("a", 1));
    await source.close();
    const count = source.events.length;
    await sleep(150);
    assert.equal(source.events.length, count);
  });
});
