import assert from "node:assert/strict";
import { test } from "node:test";
import { addAddress } from "../../datapath/netlink-addresses.js";
import { createVxlan, readVxlan } from "../../datapath/netlink-vxlan.js";
import { addRoute, listRoutes, lookUpRoute } from "../../datapath/netlink-routes.js";
import { addRule, deleteRule, listRules } from "../../datapath/netlink-rules.js";
import { watchRouting } from "../../datapath/netlink-watch.js";
import { eventually } from "../support/eventually.js";
import { localWire } from "../support/local-wire.js";
import { withNamespaces } from "../support/netns.js";

const rule = { source: "10.244.1.0/24", table: 1150, priority: 77, protocol: 115 } as const;
const rule6 = { ...rule, source: "fd00:244:1::/64" } as const;

test("routing rules are added, listed by who made them, and deleted", async () => {
  await withNamespaces((lab) => {
    const node = lab.namespace("node");
    node.enter(() => {
      addRule(rule);
      addRule(rule6);
      assert.throws(() => addRule(rule), /EEXIST|file exists/i);
      assert.deepEqual(listRules(115), [rule, rule6]);
      assert.deepEqual(listRules(116), []);
    });
    assert.match(
      node.run("ip", "rule", "show", "priority", "77"),
      /from 10\.244\.1\.0\/24 lookup 1150 proto 115/,
    );
    node.enter(() => {
      assert.equal(deleteRule({ ...rule, table: 7 }), false);
      assert.deepEqual(
        [deleteRule(rule), deleteRule(rule), deleteRule(rule6)],
        [true, false, true],
      );
      assert.deepEqual(listRules(115), []);
    });
  });
});

test("the way to an address is what the kernel takes, with the MTU that routes say", async () => {
  await withNamespaces((lab) => {
    lab.namespace("node").enter(() => {
      const { index: device } = localWire();
      addAddress(device, { address: "192.0.2.1", length: 24 });
      addAddress(device, { address: "2001:db8::1", length: 64, nodad: true });
      const mtu = { mtu: 1300, isMtuLocked: true };
      addRoute({ destination: "198.51.100.0/24", device, gateway: "192.0.2.9", ...mtu });
      addRoute({ destination: "2001:db8:1::/64", device, gateway: "2001:db8::9", ...mtu });
      const [near, far] = ["192.0.2.7", "198.51.100.7"].map(lookUpRoute);
      const source = "192.0.2.1";
      const onWire = { device, gateway: undefined, source, isUnicast: true, mtu: undefined };
      assert.deepEqual(near, onWire);
      assert.deepEqual(far, { ...onWire, gateway: "192.0.2.9", mtu: 1300 });
      assert.equal(lookUpRoute("2001:db8:1::7")?.gateway, "2001:db8::9");
      assert.equal(lookUpRoute("192.0.2.1")?.isUnicast, false);
      assert.equal(lookUpRoute("203.0.113.1"), undefined);
      assert.equal(lookUpRoute("2001:db8:2::1"), undefined);
      const locked = listRoutes().filter(({ isMtuLocked }) => isMtuLocked);
      assert.deepEqual(
        locked.map((route) => [route.destination, route.mtu]),
        [
          ["198.51.100.0/24", 1300],
          ["2001:db8:1::/64", 1300],
        ],
      );
    });
  });
});

test("a VXLAN device is read as it was made", async () => {
  await withNamespaces((lab) => {
    lab.namespace("node").enter(() => {
      const { name } = localWire();
      createVxlan({ name: "v4", id: 7, port: 4789, local: "192.0.2.1", dontFragment: "inherit" });
      const { interface: found, ...rest } = readVxlan("v4")!;
      assert.equal(found.name, "v4");
      const v4 = { id: 7, port: 4789, local: "192.0.2.1", isLearning: false };
      assert.deepEqual(rest, { ...v4, dontFragment: "inherit" });
      createVxlan({ name: "ext", isExternal: true, port: 4790, isLearning: true });
      const { interface: _, ...external } = readVxlan("ext")!;
      const none = { id: undefined, local: undefined };
      assert.deepEqual(external, { ...none, port: 4790, isLearning: true, dontFragment: "unset" });
      assert.equal(readVxlan(name), undefined);
      assert.equal(readVxlan("absent"), undefined);
    });
  });
});

test("what goes of routes, neighbours and rules is told", async () => {
  await withNamespaces(async (lab) => {
    const node = lab.namespace("node");
    const types: string[] = [];
    const device = node.enter(() => localWire().index);
    const watch = node.enter(() => watchRouting((event) => void types.push(JSON.stringify(event))));
    lab.onCleanup(() => watch.close());
    node.enter(() => {
      addAddress(device, { address: "192.0.2.1", length: 24 });
      addRoute({ destination: "198.51.100.0/24", device, gateway: "192.0.2.9", protocol: 115 });
      addRule(rule);
    });
    node.run("ip", "neigh", "add", "192.0.2.9", "lladdr", "02:00:00:00:00:09", "dev", "a");
    node.run("ip", "route", "del", "198.51.100.0/24");
    node.run("ip", "neigh", "del", "192.0.2.9", "dev", "a");
    node.run("ip", "rule", "del", "priority", "77");
    for (const event of [
      { type: "interfaces" },
      { type: "route-removed", protocol: 115 },
      { type: "neighbour-removed", device },
      { type: "rule-removed" },
    ]) {
      await eventually(() => assert.ok(types.includes(JSON.stringify(event)), types.join()));
    }
  });
});
