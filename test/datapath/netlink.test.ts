import assert from "node:assert/strict";
import { test } from "node:test";
import {
  InterfaceFlag,
  interfaceByIndex,
  interfaceByName,
  listInterfaces,
} from "../../datapath/netlink.js";
import { listAddresses } from "../../datapath/netlink-addresses.js";
import { listDefaultRoutes } from "../../datapath/netlink-routes.js";
import type { InterfaceEvent } from "../../datapath/netlink-watch.js";
import { watchInterfaces } from "../../datapath/netlink-watch.js";
import { eventually } from "../support/eventually.js";
import { withNamespaces } from "../support/netns.js";

test("interfaces are listed with name, kind, MAC, MTU, queues, master and peer", async () => {
  await withNamespaces((lab) => {
    const node = lab.namespace("node");
    const other = lab.namespace("other");
    const [index, peer] = lab.veth(
      { namespace: node, name: "eth0", mac: "02:00:00:00:00:aa", mtu: 1400, queues: 3 },
      { namespace: other, name: "eth0", mtu: 1400 },
    );
    node.run("ip", "link", "add", "br0", "type", "bridge");
    node.run("ip", "link", "set", "eth0", "master", "br0");
    const found = node.enter(() => interfaceByName("eth0"));
    assert.equal(found?.index, index);
    assert.equal(found.kind, "veth");
    assert.equal(found.mac, "02:00:00:00:00:aa");
    assert.equal(found.mtu, 1400);
    assert.deepEqual([found.rxQueues, found.txQueues], [3, 3]);
    assert.equal(found.master, node.indexOf("br0"));
    assert.equal(found.peerIndex, peer);
    assert.ok(found.peerNetnsId !== undefined);
    assert.deepEqual([found.isUp, found.hasCarrier, found.xdp], [true, true, undefined]);
    const names = node.enter(listInterfaces).map(({ name }) => name);
    assert.deepEqual(names.sort(), ["br0", "eth0", "lo"]);
    const loopback = node.enter(() => interfaceByIndex(1));
    assert.ok(((loopback?.flags ?? 0) & InterfaceFlag.loopback) !== 0);
  });
});

test("several hundred interfaces are listed whole", async () => {
  await withNamespaces((lab) => {
    const node = lab.namespace("node");
    node.run("ip", "link", "add", "br0", "type", "bridge");
    const commands = Array.from({ length: 300 }, (_, id) => `link add v${id} type veth`);
    node.run("sh", "-c", `printf '${commands.join("\\n")}\\n' | ip -batch -`);
    assert.equal(node.enter(listInterfaces).length, 602);
  });
});

test("an interface that is not there is undefined", () => {
  assert.equal(interfaceByIndex(999999), undefined);
  assert.equal(interfaceByName("slt-none"), undefined);
});

test("addresses are listed with family, prefix and scope", async () => {
  await withNamespaces((lab) => {
    const node = lab.namespace("node");
    const other = lab.namespace("other");
    const [index] = lab.veth(
      { namespace: node, name: "eth0", addresses: ["192.0.2.1/24", "2001:db8::1/64"] },
      { namespace: other, name: "eth0" },
    );
    const found = node.enter(() => listAddresses()).filter((address) => address.index === index);
    assert.deepEqual(
      found.filter(({ scope }) => scope === "global"),
      [
        { index, family: 4, address: "192.0.2.1", prefixLength: 24, scope: "global" },
        { index, family: 6, address: "2001:db8::1", prefixLength: 64, scope: "global" },
      ],
    );
    assert.equal(found.filter(({ scope }) => scope === "link").length, 1);
  });
});

test("default routes are listed by metric, of both families, multipath ones per hop", async () => {
  await withNamespaces((lab) => {
    const node = lab.namespace("node");
    const other = lab.namespace("other");
    const [first] = lab.veth(
      { namespace: node, name: "eth0", addresses: ["192.0.2.1/24", "2001:db8::1/64"] },
      { namespace: other, name: "eth0" },
    );
    const [second] = lab.veth(
      { namespace: node, name: "eth1", addresses: ["198.51.100.1/24"] },
      { namespace: other, name: "eth1" },
    );
    const route = (...words: string[]) => node.run("ip", ...words);
    route("route", "add", "default", "via", "192.0.2.254", "metric", "200");
    route("-6", "route", "add", "default", "via", "2001:db8::fe", "metric", "50");
    route(
      ..."route add default metric 100 nexthop via 192.0.2.9 nexthop via 198.51.100.9".split(" "),
    );
    route("route", "add", "default", "via", "192.0.2.7", "table", "77");
    route("route", "add", "203.0.113.0/24", "via", "192.0.2.7");
    assert.deepEqual(node.enter(listDefaultRoutes), [
      { family: 6, index: first, gateway: "2001:db8::fe", metric: 50 },
      { family: 4, index: first, gateway: "192.0.2.9", metric: 100 },
      { family: 4, index: second, gateway: "198.51.100.9", metric: 100 },
      { family: 4, index: first, gateway: "192.0.2.254", metric: 200 },
    ]);
  });
});

test("a watch tells of interfaces that come, change and go, in its own namespace only", async () => {
  await withNamespaces(async (lab) => {
    const node = lab.namespace("node");
    const other = lab.namespace("other");
    const events: InterfaceEvent[] = [];
    let wake = () => {};
    const watch = node.enter(() =>
      watchInterfaces((event) => {
        events.push(event);
        wake();
      }),
    );
    lab.onCleanup(() => watch.close());
    const waitFor = async (isThere: (event: InterfaceEvent) => boolean) => {
      while (!events.some(isThere)) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      return events.find(isThere);
    };
    other.run("ip", "link", "add", "br9", "type", "bridge");
    node.run("ip", "link", "add", "br0", "type", "bridge");
    await waitFor((event) => event.type === "changed" && event.interface.name === "br0");
    node.run("ip", "link", "set", "br0", "up");
    await waitFor((event) => event.type === "changed" && event.interface.isUp);
    node.run("ip", "link", "delete", "br0");
    await waitFor((event) => event.type === "removed" && event.interface.name === "br0");
    const names = events.map((event) => (event.type === "overrun" ? "" : event.interface.name));
    assert.deepEqual(new Set(names), new Set(["br0"]));
    const before = events.length;
    watch.close();
    node.run("ip", "link", "add", "br1", "type", "bridge");
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(events.length, before);
  });
});

test("a watch that was not read for too long says that events are lost, and goes on", async () => {
  await withNamespaces(async (lab) => {
    const node = lab.namespace("node");
    const names = new Set<string>();
    const seen = new Promise<void>((resolve) => {
      const watch = node.enter(() =>
        watchInterfaces((event) => {
          if (event.type === "overrun") resolve();
          else names.add(event.interface.name);
        }),
      );
      lab.onCleanup(() => watch.close());
    });
    // While this runs, the event loop stands still and the socket's buffer fills.
    const commands = Array.from({ length: 400 }, (_, id) => `link add v${id} type veth`);
    node.run("sh", "-c", `printf '${commands.join("\\n")}\\n' | ip -batch -`);
    await seen;
    /* What happens before all that waits has been read is lost, too. */
    let count = 0;
    await eventually(async () => {
      const name = `later${++count}`;
      node.run("ip", "link", "add", name, "type", "bridge");
      await new Promise((resolve) => setTimeout(resolve, 20));
      assert.ok(names.has(name));
    });
  });
});
