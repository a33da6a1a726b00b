import assert from "node:assert/strict";
import { mkdirSync, rmdirSync } from "node:fs";
import { test } from "node:test";
import { attachCgroup, findCgroup2 } from "../../datapath/cgroup-attach.js";
import { ifIndex } from "../../datapath/handles.js";
import { LinkType } from "../../datapath/kernel-info.js";
import { AttachType } from "../../datapath/links.js";
import {
  attachClsact,
  attachTc,
  attachTcx,
  detachClsact,
  queryClsact,
  queryTcx,
} from "../../datapath/tc-attach.js";
import { withNamespaces } from "../support/netns.js";
import { loadProgram } from "../support/objects.js";

for (const [direction, type] of [
  ["ingress", AttachType.tcxIngress],
  ["egress", AttachType.tcxEgress],
] as const) {
  test(`a tcx link at ${direction} runs after those before it, or first if asked`, async (context) => {
    const first = await loadProgram(context, "tables-fixture", "pass_tc");
    const second = await loadProgram(context, "tables-fixture", "pass_tc");
    const third = await loadProgram(context, "tables-fixture", "pass_tc");
    const fourth = await loadProgram(context, "tables-fixture", "pass_tc");
    await withNamespaces((lab) => {
      const node = lab.namespace("node");
      const index = node.indexOf("lo");
      const links = node.enter(() => [
        attachTcx(second, index, direction),
        attachTcx(third, index, direction),
        attachTcx(first, index, direction, "first"),
      ]);
      lab.onCleanup(() => links.forEach((link) => link.close()));
      const info = links[0]?.info();
      assert.deepEqual([info?.type, info?.ifIndex, info?.attachType], [LinkType.tcx, index, type]);
      assert.deepEqual(
        node.enter(() => queryTcx(index, direction)),
        [first, second, third].map((program) => program.info().id),
      );
      links[0]?.update(fourth, second);
      assert.equal(node.enter(() => queryTcx(index, direction))[1], fourth.info().id);
    });
  });
}

test("an interface without tcx programs has an empty list, and a missing one is refused", async (context) => {
  const program = await loadProgram(context, "tables-fixture", "pass_tc");
  await withNamespaces((lab) => {
    const node = lab.namespace("node");
    const index = node.indexOf("lo");
    assert.deepEqual(
      node.enter(() => queryTcx(index, "ingress")),
      [],
    );
    assert.throws(() => node.enter(() => attachTcx(program, ifIndex(999), "ingress")), {
      code: "SLUICE_NO_INTERFACE",
    });
  });
});

test("a clsact filter is attached, replaced in place and removed without its neighbours", async (context) => {
  const first = await loadProgram(context, "tables-fixture", "pass_tc");
  const second = await loadProgram(context, "tables-fixture", "pass_tc");
  await withNamespaces((lab) => {
    const node = lab.namespace("node");
    const filter = {
      ifIndex: node.indexOf("lo"),
      direction: "egress",
      handle: 0x51,
      priority: 20,
    } as const;
    const neighbour = { ...filter, priority: 30 };
    node.enter(() => {
      assert.equal(queryClsact(filter), undefined);
      assert.equal(detachClsact(filter), false);
      attachClsact(first, filter);
      attachClsact(first, neighbour);
      assert.equal(queryClsact(filter), first.info().id);
      attachClsact(second, filter);
      assert.equal(queryClsact(filter), second.info().id);
      assert.equal(detachClsact(filter), true);
      assert.equal(queryClsact(filter), undefined);
      assert.equal(queryClsact(neighbour), first.info().id);
    });
  });
});

test("a program is attached by tcx where there is tcx, and by clsact where not", async (context) => {
  const program = await loadProgram(context, "tables-fixture", "pass_tc");
  const { id } = program.info();
  await withNamespaces((lab) => {
    const node = lab.namespace("node");
    const ifIndex = node.indexOf("lo");
    const filter = { ifIndex, direction: "ingress", handle: 1, priority: 1 } as const;
    node.enter(() => {
      const older = attachTc(program, filter, false);
      assert.deepEqual(older, { kind: "clsact", filter });
      assert.deepEqual([queryClsact(filter), queryTcx(ifIndex, "ingress")], [id, []]);
      detachClsact(filter);
      const newer = attachTc(program, filter);
      assert.equal(newer.kind, "tcx");
      assert.deepEqual([queryClsact(filter), queryTcx(ifIndex, "ingress")], [undefined, [id]]);
      if (newer.kind === "tcx") newer.link.close();
    });
  });
});

test("a cgroup link runs its program for the cgroup that it names", async (context) => {
  const program = await loadProgram(context, "tables-fixture", "refuse_connect");
  const root = findCgroup2();
  assert.ok(root !== undefined, "this machine has no cgroup2 file system mounted");
  const folder = `${root}/slt-${process.pid}`;
  mkdirSync(folder);
  context.after(() => rmdirSync(folder));
  const link = attachCgroup(program, folder, AttachType.cgroupConnect4);
  context.after(() => link.close());
  const info = link.info();
  assert.equal(info.type, LinkType.cgroup);
  assert.equal(info.attachType, AttachType.cgroupConnect4);
  assert.ok(info.cgroupId !== undefined && info.cgroupId > 0n);
  assert.throws(() => attachCgroup(program, folder, AttachType.cgroupConnect6), {
    code: "SLUICE_ATTACH_FAILED",
    message: /refuse_connect to cgroup .*\/slt-/,
  });
  assert.throws(() => attachCgroup(program, "/tmp", AttachType.cgroupConnect4), {
    code: "SLUICE_ATTACH_FAILED",
    message: /cgroup \/tmp: the folder is not a cgroup/,
  });
});
