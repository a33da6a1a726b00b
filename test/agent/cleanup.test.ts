import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { addRoute, addRule, listRoutes } from "../../datapath/index.js";
import { hasNfTable, writeMasquerade } from "../../datapath/nf-masquerade.js";
import { MASQUERADE_TABLE } from "../../operator/apply/masquerade.js";
import { findRouting } from "../../operator/apply/route-cleanup.js";
import { ROUTE_PROTOCOL } from "../../operator/apply/route-tables.js";
import { ensureTunnelDevice } from "../../operator/apply/tunnel-devices.js";
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

test("routes, tunnels and masquerade of a pod network go, and those of others stay", async () => {
  await withNamespaces((lab) => {
    const node = lab.namespace("node");
    const pinRoot = lab.pinFolder();
    node.enter(() => {
      addRoute({ destination: "10.244.1.0/24", type: "unreachable", protocol: ROUTE_PROTOCOL });
      addRoute({ destination: "10.99.0.0/24", type: "unreachable" });
      addRule({ source: "10.244.1.0/24", table: 1150, priority: 1150, protocol: ROUTE_PROTOCOL });
      const local = "10.9.0.1";
      const spec = {
        family: 4,
        local,
        port: 4789,
        vni: 1,
        mac: "02:00:00:00:00:01",
        mtu: 1450,
      } as const;
      ensureTunnelDevice(spec, "/proc/sys");
      for (const table of [MASQUERADE_TABLE, "theirs"]) writeMasquerade(table, [], "");
      const paths = { pinRoot, stateFolder: "/nonexistent" };
      const plan = planCleanup(paths);
      assert.deepEqual(plan.routing, [
        "1 route",
        "1 routing rule",
        "interface sluice.vxlan",
        "nftables table sluice",
      ]);
      carryOutCleanup(paths, plan);
      assert.deepEqual(findRouting(), []);
      assert.equal(hasNfTable("theirs"), true);
      assert.deepEqual(
        listRoutes({ family: 4 }).map(({ destination }) => destination),
        ["10.99.0.0/24"],
      );
    });
  });
});
