import assert from "node:assert/strict";
import { test } from "node:test";
import type { IfIndex } from "../../datapath/handles.js";
import { ifIndex } from "../../datapath/handles.js";
import { LinkType } from "../../datapath/kernel-info.js";
import { Link } from "../../datapath/links.js";
import { interfaceByIndex } from "../../datapath/netlink.js";
import { attachXdp, describeXdp, findXdpLink, queryXdp } from "../../datapath/xdp-attach.js";
import type { Lab, Namespace } from "../support/netns.js";
import { withNamespaces } from "../support/netns.js";
import { loadProgram, objectPath } from "../support/objects.js";

interface Wire {
  readonly node: Namespace;
  readonly index: IfIndex;
}

function wire(lab: Lab, mtu?: number): Wire {
  const node = lab.namespace("node");
  const client = lab.namespace("client");
  const size = mtu === undefined ? {} : { mtu };
  const [index] = lab.veth(
    { namespace: node, name: "eth0", addresses: ["192.0.2.1/24"], ...size },
    { namespace: client, name: "eth0", addresses: ["192.0.2.2/24"], ...size },
  );
  return { node, index };
}

for (const mode of ["native", "generic"] as const) {
  test(`a program is attached in ${mode} mode, listed, and off when its link closes`, async (context) => {
    const program = await loadProgram(context, "drop-tcp", "drop_tcp");
    const { id } = program.info();
    await withNamespaces((lab) => {
      const { node, index } = wire(lab);
      const attached = node.enter(() => attachXdp(program, index, { mode }));
      assert.equal(attached.mode, mode);
      assert.equal(attached.fallbackReason, undefined);
      const info = attached.link.info();
      assert.deepEqual([info.type, info.programId, info.ifIndex], [LinkType.xdp, id, index]);
      const state = node.enter(() => queryXdp(index));
      const none = { native: undefined, generic: undefined, offload: undefined };
      assert.deepEqual(state, { ...none, [mode]: id });
      assert.equal(describeXdp(state), `${mode} program drop_tcp (id ${id})`);
      const { xdp } = node.enter(() => interfaceByIndex(index)) ?? {};
      assert.deepEqual(xdp, { mode, programIds: [id] });
      attached.link.close();
      assert.deepEqual(
        node.enter(() => queryXdp(index)),
        none,
      );
    });
  });
}

test("generic mode beside native mode is refused as a conflict that names the other", async (context) => {
  const program = await loadProgram(context, "drop-tcp", "drop_tcp");
  await withNamespaces((lab) => {
    const { node, index } = wire(lab);
    const { link } = node.enter(() => attachXdp(program, index, { mode: "native" }));
    lab.onCleanup(() => link.close());
    assert.throws(() => node.enter(() => attachXdp(program, index, { mode: "generic" })), {
      code: "SLUICE_XDP_MODE_CONFLICT",
      message: /interface eth0 in generic mode: it has native program drop_tcp .*\(EEXIST\)/,
    });
  });
});

test("a program that iproute2 attached is reported and stays", async (context) => {
  const program = await loadProgram(context, "rewrite-tx", "rewrite_tx");
  await withNamespaces((lab) => {
    const { node, index } = wire(lab);
    const object = objectPath("drop-tcp");
    node.run("ip", "link", "set", "eth0", "xdp", "obj", object, "sec", "xdp");
    const before = node.enter(() => queryXdp(index));
    assert.ok(before.native !== undefined);
    assert.equal(findXdpLink(index, before.native), undefined);
    assert.throws(
      () => node.enter(() => attachXdp(program, index, { mode: "native", fallback: true })),
      {
        code: "SLUICE_XDP_FOREIGN_PROGRAM",
        message: /eth0 in native mode: it already has native program drop_tcp/,
      },
    );
    assert.deepEqual(
      node.enter(() => queryXdp(index)),
      before,
    );
  });
});

test("a program of another link is reported and stays, and its link is found", async (context) => {
  const mine = await loadProgram(context, "rewrite-tx", "rewrite_tx");
  const other = await loadProgram(context, "drop-tcp", "drop_tcp");
  await withNamespaces((lab) => {
    const { node, index } = wire(lab);
    const { link } = node.enter(() => attachXdp(other, index, { mode: "native" }));
    lab.onCleanup(() => link.close());
    assert.throws(() => node.enter(() => attachXdp(mine, index, { mode: "native" })), {
      code: "SLUICE_XDP_FOREIGN_PROGRAM",
    });
    const found = findXdpLink(index, other.info().id);
    assert.equal(found?.info().id, link.info().id);
    found?.close();
  });
});

test("offload is refused cleanly where the driver has none", async (context) => {
  const program = await loadProgram(context, "drop-tcp", "drop_tcp");
  await withNamespaces((lab) => {
    const { node, index } = wire(lab);
    assert.throws(() => node.enter(() => attachXdp(program, index, { mode: "offload" })), {
      code: "SLUICE_XDP_OFFLOAD_UNSUPPORTED",
      message: /eth0 in offload mode.*\. Use native or generic mode/,
    });
  });
});

test("an MTU that native mode cannot take is named, and generic mode is the fallback", async (context) => {
  const program = await loadProgram(context, "drop-tcp", "drop_tcp");
  await withNamespaces((lab) => {
    const { node, index } = wire(lab, 9000);
    assert.throws(() => node.enter(() => attachXdp(program, index, { mode: "native" })), {
      code: "SLUICE_MTU_TOO_LARGE",
      message: /its MTU of 9000.*\(ERANGE\).*3,498/,
    });
    const attached = node.enter(() =>
      attachXdp(program, index, { mode: "native", fallback: true }),
    );
    lab.onCleanup(() => attached.link.close());
    assert.equal(attached.mode, "generic");
    assert.match(attached.fallbackReason ?? "", /its MTU of 9000/);
  });
});

test("a device without native mode is served in generic mode, with the reason", async (context) => {
  const program = await loadProgram(context, "drop-tcp", "drop_tcp");
  await withNamespaces((lab) => {
    const node = lab.namespace("node");
    const index = node.indexOf("lo");
    assert.throws(() => node.enter(() => attachXdp(program, index, { mode: "native" })), {
      code: "SLUICE_XDP_NATIVE_UNSUPPORTED",
      message: /lo in native mode: the driver refuses native mode/,
    });
    const attached = node.enter(() =>
      attachXdp(program, index, { mode: "native", fallback: true }),
    );
    lab.onCleanup(() => attached.link.close());
    assert.deepEqual([attached.mode, attached.fallbackReason !== undefined], ["generic", true]);
  });
});

test("an interface that is not there is refused by its number", async (context) => {
  const program = await loadProgram(context, "drop-tcp", "drop_tcp");
  assert.throws(() => attachXdp(program, ifIndex(999999), { mode: "native" }), {
    code: "SLUICE_NO_INTERFACE",
    message: /interface number 999999/,
  });
  assert.throws(() => queryXdp(ifIndex(999999)), { code: "SLUICE_NO_INTERFACE" });
  assert.throws(() => ifIndex(0), RangeError);
});

test("a pinned link keeps its program after all is closed, and is updated in place", async (context) => {
  const first = await loadProgram(context, "drop-tcp", "drop_tcp");
  const second = await loadProgram(context, "rewrite-tx", "rewrite_tx");
  await withNamespaces((lab) => {
    const { node, index } = wire(lab);
    const path = `${lab.pinFolder()}/link`;
    const { link } = node.enter(() => attachXdp(first, index, { mode: "native" }));
    link.pin(path);
    link.close();
    const again = Link.openPinned(path);
    lab.onCleanup(() => again.close());
    assert.equal(again.info().programId, first.info().id);
    again.update(second, first);
    assert.equal(node.enter(() => queryXdp(index)).native, second.info().id);
    assert.throws(() => again.update(first, first), {
      code: "SLUICE_LINK_STALE",
      message: /drop_tcp is not the program in place/,
    });
    again.update(first);
    assert.equal(node.enter(() => queryXdp(index)).native, first.info().id);
    again.detach();
    assert.equal(node.enter(() => queryXdp(index)).native, undefined);
    assert.equal(again.info().ifIndex, undefined);
  });
});

test("a link of an interface that is gone says so", async (context) => {
  const program = await loadProgram(context, "drop-tcp", "drop_tcp");
  await withNamespaces((lab) => {
    const { node, index } = wire(lab);
    const { link } = node.enter(() => attachXdp(program, index, { mode: "native" }));
    lab.onCleanup(() => link.close());
    node.run("ip", "link", "delete", "eth0");
    assert.equal(link.info().ifIndex, undefined);
    assert.throws(() => link.update(program), { code: "SLUICE_LINK_FAILED" });
  });
});
