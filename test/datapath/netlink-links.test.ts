import assert from "node:assert/strict";
import { closeSync, openSync } from "node:fs";
import { test } from "node:test";
import { hasGro, setGro } from "../../datapath/ethtool.js";
import { interfaceByName, listInterfaces } from "../../datapath/netlink.js";
import {
  changeLink,
  createVeth,
  deleteLink,
  deleteLinkAside,
  setLinkDown,
  setLinkUp,
} from "../../datapath/netlink-links.js";
import { ipObject, pick } from "../support/iproute.js";
import { withNamespaces } from "../support/netns.js";

test("a veth pair is made with its other end in another namespace, by path or descriptor", async () => {
  await withNamespaces((lab) => {
    const node = lab.namespace("node");
    const first = lab.namespace("first");
    const second = lab.namespace("second");
    const made = node.enter(() =>
      createVeth({
        name: "slc0",
        mac: "02:00:00:00:00:01",
        mtu: 1450,
        rxQueues: 2,
        isUp: true,
        peer: {
          name: "eth0",
          mac: "02:00:00:00:00:02",
          netns: first.path,
          txQueues: 3,
        },
      }),
    );
    first.enter(() => setLinkUp(first.indexOf("eth0")));
    const fd = openSync(second.path, "r");
    lab.onCleanup(() => closeSync(fd));
    node.enter(() => createVeth({ name: "slc1", mtu: 9000, peer: { name: "eth0", netns: fd } }));

    const shape = ["ifname", "address", "mtu", "num_rx_queues", "num_tx_queues", "flags"];
    assert.deepEqual(pick(ipObject(node, "link", "show", "slc0"), ...shape), {
      ifname: "slc0",
      address: "02:00:00:00:00:01",
      mtu: 1450,
      num_rx_queues: 2,
      num_tx_queues: 1,
      flags: ["BROADCAST", "MULTICAST", "UP", "LOWER_UP"],
    });
    assert.deepEqual(pick(ipObject(first, "link", "show", "eth0"), ...shape), {
      ifname: "eth0",
      address: "02:00:00:00:00:02",
      mtu: 1450,
      num_rx_queues: 1,
      num_tx_queues: 3,
      flags: ["BROADCAST", "MULTICAST", "UP", "LOWER_UP"],
    });
    assert.deepEqual(pick(ipObject(second, "link", "show", "eth0"), "mtu", "flags"), {
      mtu: 9000,
      flags: ["BROADCAST", "MULTICAST"],
    });
    assert.equal(made.peerIndex, first.indexOf("eth0"));
    assert.deepEqual([made.name, made.kind, made.isUp], ["slc0", "veth", true]);
    assert.ok(made.peerNetnsId !== undefined);
  });
});

test("name, MAC, MTU, mark and state are changed by one request, and the mark is taken away", async () => {
  await withNamespaces((lab) => {
    const node = lab.namespace("node");
    node.enter(() => {
      const { index } = createVeth({ name: "a", mtu: 1500, peer: { name: "b" } });
      const mac = "02:00:00:00:00:09";
      changeLink(index, { name: "c", mac, mtu: 1400, alias: "sluice pod web/a", isUp: true });
      assert.equal(interfaceByName("c")?.alias, "sluice pod web/a");
    });
    const shown = ipObject(node, "link", "show", "c");
    assert.deepEqual(pick(shown, "address", "mtu", "ifalias"), {
      address: "02:00:00:00:00:09",
      mtu: 1400,
      ifalias: "sluice pod web/a",
    });
    assert.ok((shown.flags as string[]).includes("UP"));
    node.enter(() => {
      const { index } = interfaceByName("c") ?? assert.fail();
      setLinkDown(index);
      assert.equal(interfaceByName("c")?.isUp, false);
      setLinkUp(index);
      changeLink(index, { alias: "" });
      assert.deepEqual(
        [interfaceByName("c")?.isUp, interfaceByName("c")?.alias],
        [true, undefined],
      );
    });
  });
});

test("a pair is deleted by either end, and deleting what is gone is no error", async () => {
  await withNamespaces((lab) => {
    const node = lab.namespace("node");
    const pod = lab.namespace("pod");
    const peer = { name: "eth0", netns: pod.path };
    node.enter(() => createVeth({ name: "slc0", mtu: 1500, peer }));
    assert.equal(
      pod.enter(() => deleteLink("eth0")),
      true,
    );
    assert.deepEqual(
      node.enter(listInterfaces).map(({ name }) => name),
      ["lo"],
    );
    assert.equal(
      node.enter(() => deleteLink("slc0")),
      false,
    );
  });
});

test("pairs are deleted aside, some at once, while this thread goes on", async () => {
  await withNamespaces(async (lab) => {
    const node = lab.namespace("node");
    const names = ["slc0", "slc1", "slc2"];
    node.enter(() => {
      for (const name of names) createVeth({ name, mtu: 1500, peer: { name: `${name}-peer` } });
    });
    const deleted: Promise<boolean>[] = [];
    const deleteAside = (name: string) =>
      node.enter(() => void deleted.push(deleteLinkAside(name)));
    let isDone = false;
    names.forEach(deleteAside);
    const all = Promise.all(deleted).then((answers) => {
      isDone = true;
      return answers;
    });
    await Promise.resolve();
    assert.equal(isDone, false);
    assert.deepEqual(await all, [true, true, true]);
    assert.deepEqual(
      node.enter(listInterfaces).map(({ name }) => name),
      ["lo"],
    );
    deleteAside("slc0");
    assert.equal(await deleted[names.length], false);
  });
});

test("an interface is not found, and so not deleted, by another of its names", async () => {
  await withNamespaces((lab) => {
    const node = lab.namespace("node");
    node.run("ip", "link", "add", "br0", "type", "bridge");
    node.run("ip", "link", "property", "add", "dev", "br0", "altname", "other");
    node.enter(() => {
      assert.equal(interfaceByName("other"), undefined);
      assert.equal(deleteLink("other"), false);
      assert.equal(interfaceByName("br0")?.kind, "bridge");
    });
  });
});

test("GRO of a veth is switched", async () => {
  await withNamespaces((lab) => {
    const node = lab.namespace("node");
    node.enter(() => {
      createVeth({ name: "a", mtu: 1500, peer: { name: "b" } });
      assert.equal(hasGro("a"), false);
      setGro("a", true);
      assert.deepEqual([hasGro("a"), hasGro("b")], [true, false]);
      setGro("a", false);
      assert.equal(hasGro("a"), false);
      assert.throws(() => setGro("none", true), { code: "SLUICE_NO_INTERFACE" });
    });
  });
});

test("what is wrong is named: a taken name, no namespace, no interface, values out of range", async () => {
  await withNamespaces((lab) => {
    const node = lab.namespace("node");
    const pod = lab.namespace("pod");
    const create = (name: string, peer: Parameters<typeof createVeth>[0]["peer"], mtu = 1500) =>
      node.enter(() => createVeth({ name, mtu, peer }));
    create("a", { name: "eth0", netns: pod.path });
    assert.throws(() => create("a", { name: "b" }), {
      code: "SLUICE_NETLINK_FAILED",
      message: /cannot create veth pair a and b: .*EEXIST.*delete it first/,
    });
    // The other end's name is taken: nothing is left of this end.
    assert.throws(() => create("b", { name: "eth0", netns: pod.path }), /EEXIST/);
    assert.throws(() => create("b", { name: "c", netns: "/run/netns/slt-none" }), {
      code: "SLUICE_NETNS_FAILED",
    });
    const file = openSync("/dev/null", "r");
    lab.onCleanup(() => closeSync(file));
    assert.throws(() => create("b", { name: "c", netns: file }), { code: "SLUICE_NETLINK_FAILED" });
    assert.throws(() => create("b", { name: "c" }, 10), {
      code: "SLUICE_NETLINK_FAILED",
      message: /cannot create veth pair b and c: EINVAL/,
    });
    for (const name of ["", "sixteen-letters-", "a b", "a/b", "a%d", "..", "a\0b"]) {
      assert.throws(() => create(name, { name: "c" }), { code: "SLUICE_BAD_VALUE" }, name);
    }
    assert.throws(() => create("b", { name: "c", mac: "02:00" }), { code: "SLUICE_BAD_VALUE" });
    assert.throws(() => create("b", { name: "c" }, -1), { code: "SLUICE_BAD_VALUE" });
    assert.deepEqual(
      node.enter(listInterfaces).map(({ name }) => name),
      ["lo", "a"],
    );
    node.enter(() => {
      const { index } = interfaceByName("a") ?? assert.fail();
      assert.throws(() => changeLink(index, { mac: "ff:ff:ff:ff:ff:ff" }), {
        code: "SLUICE_NETLINK_FAILED",
        message: new RegExp(`cannot change mac of interface ${index}: `),
      });
      assert.throws(() => changeLink(index, { mtu: 10 }), {
        code: "SLUICE_NETLINK_FAILED",
        message: /cannot change mtu of interface \d+: mtu less than device minimum \(EINVAL\)/,
      });
      assert.throws(() => changeLink(index, { alias: "x".repeat(256) }), {
        code: "SLUICE_BAD_VALUE",
      });
      deleteLink("a");
      assert.throws(() => setLinkUp(index), { code: "SLUICE_NETLINK_FAILED", message: /ENODEV/ });
    });
  });
});
