import assert from "node:assert/strict";
import { readFileSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import type { ExpectedMap } from "../../datapath/map-layout.js";
import { u32, u64 } from "../../datapath/codec.js";
import { MapType } from "../../datapath/map-create.js";
import { BpfMap } from "../../datapath/maps.js";
import { BpfObject } from "../../datapath/object.js";
import { testRun, XdpAction } from "../../datapath/test-run.js";
import { loadObject, loadProgram, mapArray, objectPath } from "../support/objects.js";
import { withNamespaces } from "../support/netns.js";
import { eth, packet, payload } from "../support/packets.js";

const frame = packet(eth(), payload(50));

function openFixture(context: TestContext, name = "tables-fixture"): BpfObject {
  const object = BpfObject.open(objectPath(name));
  context.after(() => object.close());
  return object;
}

test("an object lists its programs and maps without being loaded", (context) => {
  const object = openFixture(context);
  const sections = [...object.programs.values()].map(({ name, section }) => [name, section]);
  assert.deepEqual(sections, [
    ["touch", "xdp"],
    ["other", "xdp"],
    ["pass_tc", "tc"],
    ["refuse_connect", "cgroup/connect4"],
  ]);
  assert.deepEqual(object.map("table").layout, {
    name: "table",
    type: MapType.hash,
    keySize: 4,
    valueSize: 8,
    maxEntries: 10000,
    mapFlags: 0,
  });
  assert.equal(object.map("table").isGlobals, false);
  assert.equal(object.globals(".rodata")?.isGlobals, true);
});

test("an object opens from memory as from a file", async (context) => {
  const object = BpfObject.open(readFileSync(objectPath("drop-tcp")), { name: "copy" });
  context.after(() => object.close());
  await object.load();
  assert.equal(object.name, "copy");
  const program = object.takeProgram("drop_tcp");
  context.after(() => program.close());
  assert.equal(program.name, "drop_tcp");
});

test("a missing object file is named, with how to build it", () => {
  assert.throws(() => BpfObject.open("/nonexistent/a.o"), {
    code: "SLUICE_OBJECT_MISSING",
    message: /\/nonexistent\/a\.o.*npm run build/,
  });
});

test("a file that is no object is refused with what libbpf says", () => {
  assert.throws(() => BpfObject.open(Buffer.from("not an ELF file"), { name: "junk" }), {
    code: "SLUICE_OBJECT_INVALID",
    message: /junk is not a BPF object/,
  });
});

test("an unknown program, map or variable is refused with the names there are", (context) => {
  const object = openFixture(context);
  assert.throws(() => object.program("tuoch"), {
    code: "SLUICE_UNKNOWN_NAME",
    message: /no program tuoch; it has: touch, other/,
  });
  assert.throws(() => object.map("tabel"), { message: /no map tabel; it has: .*table/ });
  assert.throws(() => object.setGlobal("verdikt", 1), {
    message: /no global variable verdikt; it has: .*verdict/,
  });
});

test("constants and initial values set before the load are what the program sees", async (context) => {
  const object = openFixture(context);
  object.setGlobal("verdict", XdpAction.drop);
  object.setGlobal("is_counting", false);
  object.setGlobal("seed", 1000);
  object.setGlobal("runs", 5n);
  object.selectPrograms(["touch"]);
  await object.load();
  const program = object.takeProgram("touch");
  context.after(() => program.close());
  assert.equal(testRun(program, { packet: frame }).verdict, XdpAction.drop);
  const words = new BpfMap(object.takeMap("words"), u32, u32);
  context.after(() => words.close());
  assert.equal(words.lookup(7), 1000);
  const bss = mapArray(context, object, object.globals(".bss")?.name ?? "");
  assert.equal(bss.u64[0], 5n);
});

test("a value that does not fit its variable is refused", (context) => {
  const object = openFixture(context);
  assert.throws(() => object.setGlobal("is_counting", 256), {
    code: "SLUICE_BAD_VALUE",
    message: /256 does not fit variable is_counting of 1 bytes/,
  });
  assert.throws(() => object.setGlobal("verdict", 1.5), { code: "SLUICE_BAD_VALUE" });
  assert.throws(() => object.setGlobal("verdict", Buffer.alloc(3)), { code: "SLUICE_BAD_VALUE" });
});

test("a layout that puts a variable elsewhere is refused", (context) => {
  const object = openFixture(context);
  assert.throws(() => object.setGlobal({ name: "verdict", offset: 64, size: 4 }, 1), {
    code: "SLUICE_MAP_MISMATCH",
    message: /verdict of tables-fixture is at 0\+4, and the layout says 64\+4/,
  });
});

test("only the selected programs are loaded", async (context) => {
  const object = openFixture(context);
  object.selectPrograms(["other"]);
  await object.load();
  const program = object.takeProgram("other");
  context.after(() => program.close());
  assert.equal(program.name, "other");
  assert.throws(() => object.takeProgram("touch"), {
    code: "SLUICE_OBJECT_STATE",
    message: /touch of tables-fixture was not loaded/,
  });
});

test("max_entries set before the load is what the kernel makes, and the layout check allows it", async (context) => {
  const object = openFixture(context);
  const expect: readonly ExpectedMap[] = [object.map("table").layout];
  object.map("table").setMaxEntries(77);
  await object.load({ expect });
  const table = new BpfMap(object.takeMap("table"), u32, u64);
  context.after(() => table.close());
  assert.equal(table.info.maxEntries, 77);
});

test("a loaded map that is not like its layout is named with the difference", async (context) => {
  const object = openFixture(context);
  const expect = [{ ...object.map("table").layout, valueSize: 16 }];
  await assert.rejects(object.load({ expect }), {
    code: "SLUICE_MAP_MISMATCH",
    message: /map table has value size 8 instead of 16/,
  });
});

test("codecs of another size than the map's are refused", async (context) => {
  const object = await loadObject(context, "tables-fixture");
  assert.throws(() => new BpfMap(object.takeMap("table"), u32, u32), {
    code: "SLUICE_MAP_MISMATCH",
    message: /map table has keys of 4 and values of 8 bytes/,
  });
});

test("the event loop runs while a large program is verified", async (context) => {
  const object = openFixture(context, "large-fixture");
  let turns = 0;
  let isLoaded = false;
  const turn = () => {
    turns++;
    if (!isLoaded) setImmediate(turn);
  };
  setImmediate(turn);
  await object.load();
  isLoaded = true;
  // Had the load run on this thread, not even one turn would have passed.
  assert.ok(turns > 10, `the event loop turned ${turns} times during the load`);
});

test("loads that are asked for at the same time all succeed", async (context) => {
  const names = ["large-fixture", "tables-fixture", "drop-tcp", "ring-fixture"];
  const objects = await Promise.all(names.map((name) => loadObject(context, name)));
  assert.deepEqual(
    objects.map(({ name }) => name),
    names,
  );
});

test("a refusal of the verifier shows the end of the log and keeps all of it in a file", async (context) => {
  const object = openFixture(context, "refused-fixture");
  const error = await object.load().then(
    () => assert.fail("the verifier accepted a blind read"),
    (reason: Error & { code: string }) => reason,
  );
  assert.equal(error.code, "SLUICE_VERIFIER_REFUSED");
  assert.match(error.message, /program reads_blindly of refused-fixture/);
  assert.match(error.message, /invalid access to packet/);
  const path = /whole log in (\S+)\)/.exec(error.message)?.[1] ?? "";
  context.after(() => rmSync(dirname(path), { recursive: true, force: true }));
  assert.match(readFileSync(path, "utf8"), /invalid access to packet/);
});

test("the verifier's log of an accepted program is kept on request", async (context) => {
  const object = BpfObject.open(objectPath("drop-tcp"), { logLevel: 1 });
  context.after(() => object.close());
  await object.load();
  assert.match(object.verifierLog, /processed \d+ insns/);
});

test("a map pinned with another layout stops the load and is named", async (context) => {
  await withNamespaces(async (lab) => {
    const path = `${lab.pinFolder()}/table`;
    const layout = { type: MapType.hash, keySize: 4, maxEntries: 10000 };
    const pinned = BpfMap.create({ name: "table", valueSize: 4, ...layout }, u32, u32);
    pinned.pin(path);
    pinned.close();
    const object = openFixture(context);
    object.map("table").setPinPath(path);
    await assert.rejects(object.load(), (error: Error & { code: string }) => {
      assert.equal(error.code, "SLUICE_MAP_LAYOUT");
      assert.ok(error.message.includes(path), error.message);
      return true;
    });
  });
});

test("a map that exists is reused when it is alike, and refused when not", async (context) => {
  const layout = { name: "table", type: MapType.hash, keySize: 4, maxEntries: 10000 };
  const alike = BpfMap.create({ ...layout, valueSize: 8 }, u32, u64);
  const unlike = BpfMap.create({ ...layout, valueSize: 4 }, u32, u32);
  context.after(() => {
    alike.close();
    unlike.close();
  });
  const object = openFixture(context);
  assert.throws(() => object.map("table").reuse(unlike.fd), {
    code: "SLUICE_MAP_LAYOUT",
    message: /map table has value size 4 instead of 8/,
  });
  object.map("table").reuse(alike.fd);
  await object.load();
  alike.update(1, 1n);
  const program = object.takeProgram("other");
  context.after(() => program.close());
  assert.equal(testRun(program, { packet: frame }).verdict, XdpAction.drop);
});

test("what was taken works after the object is closed, and the object itself does not", async (context) => {
  const object = BpfObject.open(objectPath("tables-fixture"));
  await object.load();
  const program = object.takeProgram("touch");
  context.after(() => program.close());
  const touch = object.program("touch");
  object.close();
  object.close();
  assert.equal(testRun(program, { packet: frame }).verdict, XdpAction.pass);
  assert.throws(() => touch.autoload, { code: "SLUICE_OBJECT_STATE" });
  assert.throws(() => object.takeMap("table"), { code: "SLUICE_OBJECT_STATE" });
  await assert.rejects(object.load(), { code: "SLUICE_OBJECT_STATE" });
});

test("an object cannot be closed or changed while it loads", async (context) => {
  const object = openFixture(context, "large-fixture");
  const load = object.load();
  assert.throws(() => object.close(), { code: "SLUICE_OBJECT_STATE" });
  assert.throws(() => object.program("sum_bytes").setAutoload(false), {
    code: "SLUICE_OBJECT_STATE",
  });
  await load;
});

test("a loaded program tells its number, tag and maps", async (context) => {
  const program = await loadProgram(context, "tables-fixture", "touch");
  const info = program.info();
  assert.equal(info.name, "touch");
  assert.match(info.tag, /^[0-9a-f]{16}$/);
  assert.ok(info.id > 0 && info.verifiedInstructions > 0 && info.loadedAtNs > 0n);
  // counters, words, .rodata, .bss and .data
  assert.equal(info.mapIds.length, 5);
});
