import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { test } from "node:test";
import { u32, u64 } from "../../datapath/codec.js";
import { Link } from "../../datapath/links.js";
import { MapType } from "../../datapath/map-create.js";
import { BpfMap } from "../../datapath/maps.js";
import { createPinFolder, isBpffs, listPins, requireBpffs, unpin } from "../../datapath/pin.js";
import { Program } from "../../datapath/programs.js";
import { loadProgram } from "../support/objects.js";
import { withNamespaces } from "../support/netns.js";

const layout = { name: "kept", type: MapType.hash, keySize: 4, valueSize: 8, maxEntries: 10 };

test("a pinned map keeps its content after its last descriptor is closed", async () => {
  await withNamespaces((lab) => {
    const path = `${lab.pinFolder()}/kept`;
    const map = BpfMap.create(layout, u32, u64);
    map.update(1, 11n);
    map.pin(path);
    map.close();
    const again = BpfMap.openPinned(path, u32, u64, layout);
    assert.equal(again.lookup(1), 11n);
    again.close();
  });
});

test("a pin of another layout is refused with the differences", async () => {
  await withNamespaces((lab) => {
    const path = `${lab.pinFolder()}/kept`;
    const map = BpfMap.create(layout, u32, u64);
    map.pin(path);
    map.close();
    const other = { ...layout, maxEntries: 20, type: MapType.lruHash };
    assert.throws(() => BpfMap.openPinned(path, u32, u64, other), {
      code: "SLUICE_MAP_LAYOUT",
      message: /map kept has type 1 instead of 9, max_entries 10 instead of 20/,
    });
  });
});

test("a pinned program is opened by its path", async (context) => {
  const program = await loadProgram(context, "drop-tcp", "drop_tcp");
  await withNamespaces((lab) => {
    const path = `${lab.pinFolder()}/program`;
    program.pin(path);
    const again = Program.openPinned(path);
    assert.equal(again.info().id, program.info().id);
    again.close();
  });
});

test("a pin of another kind is refused with what it is", async (context) => {
  const program = await loadProgram(context, "drop-tcp", "drop_tcp");
  await withNamespaces((lab) => {
    const path = `${lab.pinFolder()}/pin`;
    program.pin(path);
    assert.throws(() => Link.openPinned(path), {
      code: "SLUICE_PIN_FAILED",
      message: /pin is a program, not a link/,
    });
    assert.throws(() => BpfMap.openPinned(path, u32, u64), { message: /a program, not a map/ });
  });
});

test("a taken name, a missing pin and a missing folder are told apart", async () => {
  await withNamespaces((lab) => {
    const folder = lab.pinFolder();
    const map = BpfMap.create(layout, u32, u64);
    lab.onCleanup(() => map.close());
    map.pin(`${folder}/kept`);
    assert.throws(() => map.pin(`${folder}/kept`), {
      code: "SLUICE_PIN_FAILED",
      message: /the name is taken/,
    });
    assert.throws(() => map.pin(`${folder}/missing/kept`), {
      code: "SLUICE_PIN_FAILED",
      message: /ENOENT/,
    });
    assert.throws(() => Program.openPinned(`${folder}/absent`), {
      code: "SLUICE_PIN_FAILED",
      message: /absent: ENOENT/,
    });
  });
});

test("a path that is not on a bpffs is refused with how to mount one", () => {
  assert.equal(isBpffs("/tmp"), false);
  assert.equal(isBpffs("/sys/fs/bpf/not/there/yet"), true);
  assert.throws(() => requireBpffs("/tmp/pins"), {
    code: "SLUICE_NO_BPFFS",
    message: /\/tmp\/pins is not on a BPF file system.*mount -t bpf/,
  });
  const map = BpfMap.create(layout, u32, u64);
  assert.throws(() => map.pin("/tmp/kept"), { code: "SLUICE_NO_BPFFS" });
  map.close();
});

test("folders for pins are made with their parents and for the owner only", async () => {
  await withNamespaces((lab) => {
    const folder = `${lab.pinFolder()}/a/b`;
    createPinFolder(folder);
    createPinFolder(folder);
    assert.equal(statSync(folder).mode & 0o777, 0o700);
    assert.equal(statSync(`${folder}/..`).mode & 0o777, 0o700);
  });
});

test("pins are listed and removed, and removing what is gone is no error", async () => {
  await withNamespaces((lab) => {
    const folder = lab.pinFolder();
    const map = BpfMap.create(layout, u32, u64);
    lab.onCleanup(() => map.close());
    map.pin(`${folder}/b`);
    map.pin(`${folder}/a`);
    assert.deepEqual(listPins(folder), ["a", "b"]);
    unpin(`${folder}/a`);
    unpin(`${folder}/a`);
    assert.deepEqual(listPins(folder), ["b"]);
    assert.deepEqual(listPins(`${folder}/absent`), []);
  });
});
