import assert from "node:assert/strict";
import { mkdirSync, renameSync, rmSync, symlinkSync, utimesSync } from "node:fs";
import { afterEach, beforeEach, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { cidrSet, ObservedFolder, policy } from "../../test/support/observed-folder.js";
import { SluiceError } from "../errors.js";
import { ManifestFolder } from "./manifest-folder.js";

let source: ObservedFolder;

beforeEach(() => {
  source = new ObservedFolder();
});

afterEach(async () => {
  await source.remove();
});

describe("at the start", () => {
  it("all objects of the folder and of the folders below are told, then synced", async () => {
    mkdirSync(source.at("sub/deeper"), { recursive: true });
    source.write("a.yaml", `${policy("a", 1)}---\n${policy("b", 2)}`);
    source.write("sub/c.yml", policy("c", 3));
    source.write("sub/deeper/d.json", cidrSet("d", "10.0.0.0/8"));
    source.write(
      "list.yaml",
      "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Node, metadata: {name: n}}\n",
    );
    source.write(
      "typed.yaml",
      "apiVersion: sluice.dev/v1alpha1\nkind: XdpPolicyList\nitems:\n- {metadata: {name: e}, spec: {priority: 1}}\n",
    );
    source.write(".hidden.yaml", policy("hidden", 1));
    mkdirSync(source.at(".git"));
    source.write(".git/hidden.yaml", policy("hidden", 1));
    source.write("notes.txt", "not a manifest");
    source.write("empty.yaml", "# nothing here\n");
    await source.start();
    const { events, objects, problems } = source;
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
    assert.deepEqual(b?.origin, { source: source.at("a.yaml"), line: 7 });
    assert.deepEqual(source.policies(), { a: 1, b: 1, c: 1, e: 1 });
  });

  it("an empty folder is in sync with nothing", async () => {
    await source.start();
    const { events } = source;
    assert.deepEqual(events, [{ type: "synced" }]);
  });

  it("a folder that is not there is an error that names it", async () => {
    const missing = new ManifestFolder(source.at("missing"));
    const nothing = () => assert.fail("told something");
    await assert.rejects(missing.start(nothing), (error) => {
      assert.ok(error instanceof SluiceError && error.code === "SLUICE_FOLDER_UNREADABLE");
      assert.match(error.message, /missing/);
      return true;
    });
  });

  it("links that lead round in circles are followed once", async () => {
    mkdirSync(source.at("sub"));
    source.write("sub/a.yaml", policy("a", 1));
    symlinkSync("..", source.at("sub/up"));
    await source.start();
    const { objects, problems } = source;
    assert.deepEqual([...objects.keys()], ["XdpPolicy/a"]);
    assert.deepEqual(problems, []);
  });
});

describe("a change", () => {
  it("of one object is told as its next generation, and of no other", async () => {
    source.write("a.yaml", `${policy("a", 1)}---\n${policy("b", 2)}`);
    source.write("c.yaml", policy("c", 3));
    await source.start();
    source.events.length = 0;
    source.write("a.yaml", `${policy("a", 1)}---\n${policy("b", 20)}`);
    await source.until("b", () => source.policies()["b"] === 2);
    assert.deepEqual(source.policies(), { a: 1, b: 2, c: 1 });
    assert.deepEqual(
      source.events.map((event) => (event.type === "upsert" ? event.record.name : event.type)),
      ["b", "problems"],
    );
  });

  it("of the way of writing only is not told", async () => {
    source.write("a.yaml", policy("a", 1));
    await source.start();
    source.events.length = 0;
    source.write("a.yaml", `# a comment\n${policy("a", 1)}  mode: Enforce\n`);
    source.write("b.yaml", policy("b", 1));
    await source.until("b", () => source.policies()["b"] === 1);
    utimesSync(source.at("a.yaml"), 1, 1);
    source.write("c.yaml", policy("c", 1));
    await source.until("c", () => source.policies()["c"] === 1);
    const upserts = source.events.filter(({ type }) => type === "upsert");
    assert.equal(upserts.length, 2);
    assert.equal(source.policies()["a"], 1);
  });

  it("by renaming a file onto another, as editors do, is told", async () => {
    source.write("a.yaml", policy("a", 1));
    await source.start();
    for (const priority of [2, 3]) {
      source.write(".a.yaml.tmp", policy("a", priority));
      renameSync(source.at(".a.yaml.tmp"), source.at("a.yaml"));
      await source.until("a", () => source.policies()["a"] === priority);
    }
    assert.deepEqual(source.problems, []);
  });

  it("by swapping a link, as a mounted ConfigMap does, is told", async () => {
    const publish = (version: string, text: string) => {
      mkdirSync(source.at(`..${version}`));
      source.write(`..${version}/a.yaml`, text);
      symlinkSync(`..${version}`, source.at("..data_tmp"));
      renameSync(source.at("..data_tmp"), source.at("..data"));
    };
    publish("v1", policy("a", 1));
    symlinkSync("..data/a.yaml", source.at("a.yaml"));
    await source.start();
    assert.deepEqual(source.policies(), { a: 1 });
    publish("v2", policy("a", 2));
    rmSync(source.at("..v1"), { recursive: true });
    await source.until("the second version", () => source.policies()["a"] === 2);
    publish("v3", policy("a", 3));
    rmSync(source.at("..v2"), { recursive: true });
    await source.until("the third version", () => source.policies()["a"] === 3);
    assert.deepEqual(source.problems, []);
  });

  it("that removes a file, a folder or a document removes its objects", async () => {
    mkdirSync(source.at("sub"));
    source.write("a.yaml", policy("a", 1));
    source.write("sub/b.yaml", policy("b", 1));
    source.write("c.yaml", `${policy("c", 1)}---\n${policy("d", 1)}`);
    await source.start();
    rmSync(source.at("a.yaml"));
    await source.until("no a", () => source.policies()["a"] === undefined);
    rmSync(source.at("sub"), { recursive: true });
    await source.until("no b", () => source.policies()["b"] === undefined);
    source.write("c.yaml", policy("c", 1));
    await source.until("no d", () => source.policies()["d"] === undefined);
    assert.deepEqual(source.policies(), { c: 1 });
    assert.deepEqual(source.problems, []);
  });

  it("after which an object comes back gives it a new generation", async () => {
    source.write("a.yaml", policy("a", 1));
    await source.start();
    rmSync(source.at("a.yaml"));
    await source.until("no a", () => source.policies()["a"] === undefined);
    source.write("a.yaml", policy("a", 5));
    await source.until("a", () => source.policies()["a"] === 2);
  });

  it("of the file that an object is in keeps its generation", async () => {
    source.write("a.yaml", policy("a", 1));
    await source.start();
    renameSync(source.at("a.yaml"), source.at("b.yaml"));
    const sourceOf = () => source.objects.get("XdpPolicy/a")?.origin.source;
    await source.until("the new place", () => sourceOf() === source.at("b.yaml"));
    assert.deepEqual(source.policies(), { a: 1 });
    assert.ok(!source.events.some(({ type }) => type === "delete"));
  });

  it("of a file that never gets quiet is read in the end", async () => {
    source.write("a.yaml", policy("a", 1));
    await source.start({ settleMs: 20 });
    await source.until("a change", () => {
      source.write("a.yaml", policy("a", 2));
      return source.policies()["a"] === 2;
    });
  });
});

describe("after closing", () => {
  it("nothing is told any more", async () => {
    await source.start();
    source.write("a.yaml", policy("a", 1));
    await source.close();
    const count = source.events.length;
    await sleep(150);
    assert.equal(source.events.length, count);
  });
});
