import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { nicChannels, nicDriver, rssQueues } from "../../datapath/ethtool.js";
import { SluiceError } from "../../datapath/errors.js";
import { interfaceByName } from "../../datapath/netlink.js";
import { xdpFeatures } from "../../datapath/xdp-features.js";
import { examineMachine } from "../../operator/health/doctor.js";
import { examineNic } from "../../operator/health/doctor-nic.js";
import { type Namespace, withNamespaces } from "../support/netns.js";

const dropTcp = fileURLToPath(new URL("../../bpf/drop-tcp.o", import.meta.url));

function nicOf(namespace: Namespace, name: string, cpus: number) {
  return namespace.enter(() => {
    const found = interfaceByName(name);
    assert.ok(found);
    return examineNic(found, cpus);
  });
}

test("drivers tell their name, their queues and what they offer to XDP", async () => {
  await withNamespaces((lab) => {
    const node = lab.namespace("node");
    const peer = lab.namespace("peer");
    const [index] = lab.veth(
      { namespace: node, name: "eth0", queues: 3 },
      { namespace: peer, name: "wire" },
    );
    node.run("ip", "link", "add", "idle0", "type", "bridge");
    node.enter(() => {
      assert.equal(nicDriver("eth0"), "veth");
      assert.equal(nicChannels("eth0")?.rx, 3);
      assert.equal(nicChannels("idle0"), undefined);
      assert.equal(rssQueues("eth0"), undefined);
      assert.ok(xdpFeatures(index)?.includes("basic"));
      assert.deepEqual(xdpFeatures(node.indexOf("idle0")), []);
    });
  });
});

test("an interface that is not there is an error with its name", async () => {
  await withNamespaces((lab) => {
    lab.namespace("node").enter(() => {
      assert.throws(
        () => nicDriver("gone0"),
        (error: unknown) =>
          error instanceof SluiceError &&
          error.code === "SLUICE_NO_INTERFACE" &&
          error.message.includes("gone0"),
      );
      assert.equal(xdpFeatures(4_000_000), undefined);
    });
  });
});

test("a driver without native XDP is noted with what it means", async () => {
  await withNamespaces((lab) => {
    const node = lab.namespace("node");
    node.run("ip", "link", "add", "idle0", "type", "bridge");
    const nic = nicOf(node, "idle0", 1);
    const mode = nic.findings.find(({ name }) => name === "XDP mode");
    assert.equal(mode?.grade, "note");
    assert.match(mode?.text ?? "", /generic mode/);
    assert.equal(nic.driver, "bridge");
    assert.equal(nic.isUp, false);
  });
});

test("fewer queues than CPUs are noted when the driver would give more", async () => {
  await withNamespaces((lab) => {
    const node = lab.namespace("node");
    const peer = lab.namespace("peer");
    lab.veth({ namespace: node, name: "eth0", queues: 4 }, { namespace: peer, name: "wire" });
    node.run("ethtool", "-L", "eth0", "rx", "1");
    const queues = nicOf(node, "eth0", 4).findings.find(({ name }) => name === "receive queues");
    assert.equal(queues?.grade, "note");
    assert.match(queues?.text ?? "", /^1 of 4: only 1 of 4 CPUs/);
    assert.equal(queues?.remedy, "ethtool -L eth0 rx 4");
    assert.equal(
      nicOf(node, "eth0", 1).findings.find(({ name }) => name === "receive queues")?.grade,
      "ok",
    );
  });
});

test("a program that somebody attached is shown with its mode", async () => {
  await withNamespaces((lab) => {
    const node = lab.namespace("node");
    const peer = lab.namespace("peer");
    lab.veth({ namespace: node, name: "eth0" }, { namespace: peer, name: "wire" });
    node.run("ip", "link", "set", "dev", "eth0", "xdpgeneric", "obj", dropTcp, "sec", "xdp");
    const { attached } = nicOf(node, "eth0", 1);
    assert.equal(attached?.mode, "generic");
    assert.equal(attached?.programIds.length, 1);
  });
});

test("only NICs and uplinks are looked at, unless all are asked for", async () => {
  await withNamespaces((lab) => {
    const node = lab.namespace("node");
    const peer = lab.namespace("peer");
    lab.veth(
      { namespace: node, name: "eth0", addresses: ["10.9.0.1/24"] },
      { namespace: peer, name: "wire" },
    );
    lab.veth({ namespace: node, name: "pod0" }, { namespace: peer, name: "pod1" });
    node.run("ip", "route", "add", "default", "via", "10.9.0.2");
    const names = (allInterfaces: boolean) =>
      node.enter(() => examineMachine({ allInterfaces }).nics.map(({ name }) => name));
    assert.deepEqual(names(false), ["eth0"]);
    assert.deepEqual(names(true).toSorted(), ["eth0", "pod0"]);
  });
});
