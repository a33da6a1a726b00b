import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { SluiceError } from "../../operator/errors.js";
import { carryOutCleanup, planCleanup } from "../../operator/health/cleanup.js";
import { type Lab, withNamespaces } from "../support/netns.js";

function stateFolder(lab: Lab): string {
  const folder = mkdtempSync(join(tmpdir(), "sluice-cleanup-"));
  lab.onCleanup(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function isRefusal(message: RegExp) {
  return (error: unknown) =>
    error instanceof SluiceError && error.code === "SLUICE_CLEANUP" && message.test(error.message);
}

test("a pin root that is no folder of Sluice's own is refused", async () => {
  await withNamespaces((lab) => {
    const state = stateFolder(lab);
    const plan = (pinRoot: string) => () => planCleanup({ pinRoot, stateFolder: state });
    assert.throws(plan("/sys/fs/bpf"), isRefusal(/a whole BPF file system/));
    assert.throws(plan(state), isRefusal(/not on a BPF file system/));
  });
});

test("links are removed before tables, and folders last", async () => {
  await withNamespaces((lab) => {
    const pinRoot = lab.pinFolder();
    for (const folder of ["0abc/maps", "links"])
      mkdirSync(join(pinRoot, folder), { recursive: true });
    for (const pin of ["0abc/maps/rules", "links/2-xdp"]) {
      // Any map does; the plan goes by the path.
      const map = "type array key 4 value 4 entries 1 name pinned".split(" ");
      execFileSync("bpftool", ["map", "create", join(pinRoot, pin), ...map]);
    }
    const paths = { pinRoot, stateFolder: "/nonexistent" };
    const plan = planCleanup(paths);
    assert.deepEqual(plan.files, [join(pinRoot, "links/2-xdp"), join(pinRoot, "0abc/maps/rules")]);
    assert.equal(plan.folders.at(-1), pinRoot);
    carryOutCleanup(paths, plan);
    assert.equal(existsSync(pinRoot), false);
  });
});

test("files that no agent wrote stay, and so does their folder", async () => {
  await withNamespaces((lab) => {
    const state = stateFolder(lab);
    writeFileSync(join(state, "blocked.json"), "[]");
    writeFileSync(join(state, "notes.txt"), "mine");
    const paths = { pinRoot: "/sys/fs/bpf/slt-absent", stateFolder: state };
    const plan = planCleanup(paths);
    assert.deepEqual(plan.strangers, [join(state, "notes.txt")]);
    carryOutCleanup(paths, plan);
    assert.equal(existsSync(join(state, "blocked.json")), false);
    assert.equal(existsSync(join(state, "notes.txt")), true);
  });
});
