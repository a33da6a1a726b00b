import assert from "node:assert/strict";
import { test } from "node:test";
import { addAddress } from "../../datapath/netlink-addresses.js";
import {
  appendFdbEntry,
  deleteFdbEntry,
  floodMac,
  listFdb,
  replaceFdbEntry,
} from "../../datapath/netlink-fdb.js";
import { createVxlan } from "../../datapath/netlink-vxlan.js";
import { ipObject, pick } from "../support/iproute.js";
import type { Namespace } from "../support/netns.js";
import { localWire } from "../support/local-wire.js";
import { withNamespaces } from "../support/netns.js";

const dataOf = (node: Namespace, name: string) =>
  (ipObject(node, "link", "show", name).linkinfo as { info_data: Record<string, unknown> })
    .info_data;

test("VXLAN devices are made with an identifier, over IPv6 and with external metadata", async () => {
  await withNamespaces((lab) => {
    const node = lab.namespace("node");
    node.enter(() => {
      const { index: device } = localWire();
      addAddress(device, { address: "192.0.2.1", length: 24 });
      const mac = "02:00:00:00:00:05";
      const made = createVxlan({
        name: "v4",
        id: 7,
        port: 4789,
        local: "192.0.2.1",
        device,
        mac,
        isUp: true,
      });
      assert.deepEqual([made.kind, made.mac, made.mtu, made.isUp], ["vxlan", mac, 1450, true]);
      createVxlan({ name: "v6", id: 8, port: 8472, local: "2001:db8::1", isLearning: true });
      createVxlan({ name: "ext", isExternal: true, port: 4790, mtu: 1400 });
    });
    const shape = ["id", "local", "local6", "port", "learning", "external"];
    const none = { id: undefined, local: undefined, local6: undefined, external: undefined };
    assert.deepEqual(pick(dataOf(node, "v4"), ...shape, "link"), {
      ...none,
      id: 7,
      local: "192.0.2.1",
      link: "a",
      port: 4789,
      learning: false,
    });
    assert.deepEqual(pick(dataOf(node, "v6"), ...shape), {
      ...none,
      id: 8,
      local6: "2001:db8::1",
      port: 8472,
      learning: true,
    });
    assert.deepEqual(pick(dataOf(node, "ext"), "external", "port", "learning"), {
      external: true,
      port: 4790,
      learning: false,
    });
    assert.equal(ipObject(node, "link", "show", "ext").mtu, 1400);
    const create = (options: Parameters<typeof createVxlan>[0]) =>
      node.enter(() => createVxlan(options));
    assert.throws(() => create({ name: "v9", port: 4789 }), { code: "SLUICE_BAD_VALUE" });
    assert.throws(() => create({ name: "v9", id: 2 ** 24, port: 4789 }), {
      code: "SLUICE_BAD_VALUE",
    });
    assert.throws(() => create({ name: "v9", id: 9, port: 65_536 }), { code: "SLUICE_BAD_VALUE" });
    assert.throws(() => create({ name: "v9", id: 7, port: 4789, local: "192.0.2.1" }), {
      code: "SLUICE_NETLINK_FAILED",
      message: /cannot create VXLAN device v9: .*VNI.*EEXIST/,
    });
  });
});

test("forwarding entries are replaced for a station, appended for floods, listed and deleted", async () => {
  await withNamespaces((lab) => {
    const node = lab.namespace("node");
    node.enter(() => {
      const { index: device } = createVxlan({ name: "v", id: 7, port: 4789 });
      createVxlan({ name: "w", id: 8, port: 4789 });
      const mac = "02:00:00:00:00:07";
      replaceFdbEntry({ device, mac, destination: "192.0.2.7" });
      replaceFdbEntry({ device, mac, destination: "192.0.2.8", port: 8472, id: 9 });
      appendFdbEntry({ device, mac: floodMac, destination: "192.0.2.2" });
      appendFdbEntry({ device, mac: floodMac, destination: "192.0.2.3" });
      appendFdbEntry({ device, mac: floodMac, destination: "192.0.2.3" });
      const entries = [
        { device, mac: floodMac, destination: "192.0.2.2" },
        { device, mac: floodMac, destination: "192.0.2.3" },
        { device, mac, destination: "192.0.2.8", port: 8472, id: 9 },
      ];
      const sorted = () =>
        [...listFdb(device)].sort((left, right) => (left.destination < right.destination ? -1 : 1));
      assert.deepEqual(sorted(), entries);
      const shown = JSON.parse(node.run("bridge", "-j", "fdb", "show", "dev", "v")) as {
        mac: string;
        dst: string;
        state: string;
      }[];
      assert.deepEqual(
        new Set(shown.map(({ mac, dst, state }) => `${mac} ${dst} ${state}`)),
        new Set(entries.map((entry) => `${entry.mac} ${entry.destination} permanent`)),
      );
      for (const entry of entries) assert.equal(deleteFdbEntry(entry), true);
      for (const entry of entries) assert.equal(deleteFdbEntry(entry), false);
      assert.deepEqual(listFdb(device), []);
      assert.throws(() => appendFdbEntry({ device, mac, destination: "192.0.2.7" }), {
        code: "SLUICE_BAD_VALUE",
      });
      assert.throws(() => replaceFdbEntry({ device, mac: floodMac, destination: "192.0.2.7" }), {
        code: "SLUICE_BAD_VALUE",
      });
    });
  });
});
