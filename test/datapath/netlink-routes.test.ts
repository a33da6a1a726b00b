import assert from "node:assert/strict";
import { test } from "node:test";
import type { IfIndex } from "../../datapath/handles.js";
import { addAddress } from "../../datapath/netlink-addresses.js";
import type { NewRoute } from "../../datapath/netlink-routes.js";
import { addRoute, deleteRoute, listRoutes, replaceRoute } from "../../datapath/netlink-routes.js";
import { ipJson, ipObject, pick } from "../support/iproute.js";
import { localWire } from "../support/local-wire.js";
import type { Lab, Namespace } from "../support/netns.js";
import { withNamespaces } from "../support/netns.js";

/** A namespace with an interface that is up and has an address of each family. */
function nodeWithInterface(lab: Lab): { node: Namespace; device: IfIndex } {
  const node = lab.namespace("node");
  const device = node.enter(() => {
    const { index } = localWire();
    addAddress(index, { address: "192.0.2.1", length: 24 });
    addAddress(index, { address: "2001:db8::1", length: 64, nodad: true });
    return index;
  });
  return { node, device };
}

const shown = (node: Namespace, family: "-4" | "-6", ...args: string[]) =>
  ipJson(node, family, "route", "show", ...args).map((route) =>
    pick(route, "dst", "type", "gateway", "dev", "scope", "prefsrc", "metric", "flags", "metrics"),
  );

test("routes of both families are written as ip shows them", async () => {
  await withNamespaces((lab) => {
    const { node, device } = nodeWithInterface(lab);
    node.enter(() => {
      addRoute({ destination: "10.0.0.1/32", device });
      addRoute({
        destination: "10.1.0.0/16",
        device,
        gateway: "169.254.1.1",
        onLink: true,
        source: "192.0.2.1",
        metric: 7,
        mtu: 1400,
      });
      addRoute({ destination: "10.2.0.0/16", type: "blackhole" });
      addRoute({ destination: "10.3.0.0/16", type: "unreachable" });
      addRoute({ destination: "0.0.0.0/0", device, gateway: "192.0.2.254", table: 1000 });
      addRoute({ destination: "fd00::1/128", device });
      addRoute({
        destination: "fd01::/64",
        device,
        gateway: "fe80::1",
        onLink: true,
        source: "2001:db8::1",
        metric: 7,
        mtu: 1400,
      });
      addRoute({ destination: "fd02::/64", type: "blackhole" });
      addRoute({ destination: "fd03::/64", type: "unreachable" });
      addRoute({ destination: "::/0", device, gateway: "2001:db8::fe", table: 1000 });
    });
    const none = {
      gateway: undefined,
      prefsrc: undefined,
      metric: undefined,
      flags: [],
      metrics: undefined,
    };
    assert.deepEqual(shown(node, "-4", "proto", "static"), [
      { ...none, dst: "10.0.0.1", type: "unicast", dev: "a", scope: "link" },
      {
        dst: "10.1.0.0/16",
        type: "unicast",
        gateway: "169.254.1.1",
        dev: "a",
        scope: "global",
        prefsrc: "192.0.2.1",
        metric: 7,
        flags: ["onlink"],
        metrics: [{ mtu: 1400 }],
      },
      { ...none, dst: "10.2.0.0/16", type: "blackhole", dev: undefined, scope: "global" },
      { ...none, dst: "10.3.0.0/16", type: "unreachable", dev: undefined, scope: "global" },
    ]);
    assert.deepEqual(
      shown(node, "-4", "table", "1000").map((route) => pick(route, "dst", "gateway")),
      [{ dst: "default", gateway: "192.0.2.254" }],
    );
    const v6 = shown(node, "-6", "proto", "static");
    assert.deepEqual(
      v6.map((route) => pick(route, "dst", "type", "gateway", "prefsrc", "metric", "metrics")),
      [
        { ...none, dst: "fd00::1", type: "unicast", metric: 1024 },
        {
          dst: "fd01::/64",
          type: "unicast",
          gateway: "fe80::1",
          prefsrc: "2001:db8::1",
          metric: 7,
          metrics: [{ mtu: 1400 }],
        },
        { ...none, dst: "fd02::/64", type: "blackhole", metric: 1024 },
        { ...none, dst: "fd03::/64", type: "unreachable", metric: 1024 },
      ].map((route) => pick(route, "dst", "type", "gateway", "prefsrc", "metric", "metrics")),
    );
    assert.equal(shown(node, "-6", "table", "1000")[0]?.gateway, "2001:db8::fe");
  });
});

test("routes that ip wrote are listed with all they have, and narrowed", async () => {
  await withNamespaces((lab) => {
    const { node, device } = nodeWithInterface(lab);
    const add = (line: string) => node.run("ip", ...line.split(" "));
    add("route add 10.1.0.0/16 via 169.254.1.1 dev a onlink src 192.0.2.1 metric 7 mtu 1400");
    add("route add 10.2.0.0/16 via inet6 fe80::1 dev a proto 99");
    add("route add blackhole 10.3.0.0/16 table 1000");
    add("-6 route add fd01::/64 nexthop via 2001:db8::2 dev a nexthop via 2001:db8::3 dev a");
    add("link add br0 type bridge");
    add("link set br0 up");
    add("route add 10.4.0.0/16 dev br0");
    node.enter(() => {
      const routes = listRoutes({ protocol: 3 });
      const common = {
        type: "unicast",
        table: 254,
        metric: 0,
        protocol: 3,
        onLink: false,
        isMtuLocked: false,
      } as const;
      const bare = { source: undefined, mtu: undefined, gateway: undefined };
      assert.deepEqual(
        routes.find(({ destination }) => destination === "10.1.0.0/16"),
        {
          ...common,
          destination: "10.1.0.0/16",
          device,
          gateway: "169.254.1.1",
          onLink: true,
          source: "192.0.2.1",
          scope: "global",
          metric: 7,
          mtu: 1400,
        },
      );
      const bridge = node.indexOf("br0");
      assert.deepEqual(listRoutes({ device: bridge, family: 4 }), [
        { ...common, ...bare, destination: "10.4.0.0/16", device: bridge, scope: "link" },
      ]);
      const hops = { ...common, ...bare, destination: "fd01::/64", device, scope: "global" };
      assert.deepEqual(listRoutes({ family: 6, protocol: 3 }), [
        { ...hops, metric: 1024, gateway: "2001:db8::2" },
        { ...hops, metric: 1024, gateway: "2001:db8::3" },
      ]);
      assert.deepEqual(
        listRoutes({ protocol: 99 }).map(({ destination, gateway }) => [destination, gateway]),
        [["10.2.0.0/16", "fe80::1"]],
      );
      assert.deepEqual(
        listRoutes({ table: 1000 }).map(({ destination, type }) => [destination, type]),
        [["10.3.0.0/16", "blackhole"]],
      );
      assert.deepEqual(listRoutes({ table: 77_777 }), []);
      // The table of own addresses is another one.
      assert.ok(listRoutes().every(({ type }) => type !== "local"));
      assert.ok(listRoutes({ table: 255 }).some(({ type }) => type === "local"));
    });
  });
});

test("replace takes the place of a route, of another kind too; add refuses; delete is idempotent", async () => {
  await withNamespaces((lab) => {
    const { node, device } = nodeWithInterface(lab);
    node.enter(() => {
      const cases: readonly (readonly [NewRoute, NewRoute])[] = [
        [
          { destination: "10.0.0.1/32", device },
          { destination: "10.0.0.1/32", device, gateway: "192.0.2.2" },
        ],
        [
          { destination: "fd00::1/128", device },
          { destination: "fd00::1/128", device, gateway: "2001:db8::2" },
        ],
        [
          { destination: "10.0.0.0/24", type: "blackhole" },
          { destination: "10.0.0.0/24", device },
        ],
        [
          { destination: "fd00:1::/64", type: "blackhole" },
          { destination: "fd00:1::/64", device },
        ],
      ];
      for (const [before, after] of cases) {
        const { destination } = before;
        const found = () => listRoutes().filter((route) => route.destination === destination);
        replaceRoute(before);
        replaceRoute(before);
        assert.throws(() => addRoute(after), { code: "SLUICE_NETLINK_FAILED", message: /EEXIST/ });
        replaceRoute(after);
        assert.deepEqual(
          found().map(({ gateway, type }) => [gateway, type]),
          [[after.gateway, "unicast"]],
          destination,
        );
        // What is given must agree.
        assert.equal(deleteRoute({ destination, metric: 5 }), false);
        assert.equal(found().length, 1);
        assert.equal(deleteRoute(after), true);
        assert.equal(deleteRoute(after), false);
        assert.deepEqual(found(), []);
      }
    });
  });
});

test("a pod's default route by a link-local gateway, IPv4 by way of IPv6 too", async () => {
  await withNamespaces((lab) => {
    const { node, device } = nodeWithInterface(lab);
    node.enter(() => {
      replaceRoute({ destination: "169.254.1.1/32", device, scope: "link" });
      replaceRoute({ destination: "0.0.0.0/0", device, gateway: "169.254.1.1" });
      replaceRoute({ destination: "::/0", device, gateway: "fe80::1" });
      replaceRoute({ destination: "10.0.0.0/8", device, gateway: "fe80::1" });
    });
    assert.equal(shown(node, "-4", "default")[0]?.gateway, "169.254.1.1");
    assert.equal(shown(node, "-6", "default")[0]?.gateway, "fe80::1");
    const via = ipObject(node, "-4", "route", "show", "10.0.0.0/8");
    assert.deepEqual(via.via, { family: "inet6", host: "fe80::1" });
  });
});

test("what the kernel refuses is told in its words, and what makes no sense before", async () => {
  await withNamespaces((lab) => {
    const { node, device } = nodeWithInterface(lab);
    node.enter(() => {
      assert.throws(() => addRoute({ destination: "10.0.0.0/8", device, gateway: "203.0.113.1" }), {
        code: "SLUICE_NETLINK_FAILED",
        message:
          /^cannot add route 10\.0\.0\.0\/8 via 203\.0\.113\.1 by interface \d+: Nexthop has invalid gateway \(ENETUNREACH\)\. .*on-link/,
      });
      for (const destination of ["10.0.0.0", "10.0.0.0/33", "web/8", "10.0.0.0/8/8", "10.0.0.0/"]) {
        assert.throws(() => addRoute({ destination, device }), { code: "SLUICE_BAD_VALUE" });
      }
      assert.throws(() => addRoute({ destination: "10.0.0.1/8", device }), {
        code: "SLUICE_BAD_VALUE",
        message: /10\.0\.0\.1\/8 has bits set behind its prefix\. Write 10\.0\.0\.0\/8/,
      });
      assert.throws(() => addRoute({ destination: "10.0.0.0/8", device, table: -1 }), {
        code: "SLUICE_BAD_VALUE",
        message: /routing table -1/,
      });
      assert.throws(() => deleteRoute({ destination: "10.0.0.0/8", gateway: "x" }), {
        code: "SLUICE_BAD_VALUE",
      });
    });
  });
});

test("a list of thousands of routes comes whole", async () => {
  await withNamespaces((lab) => {
    const { node, device } = nodeWithInterface(lab);
    node.enter(() => {
      for (let id = 0; id < 3000; id++) {
        addRoute({ destination: `10.${id >> 8}.${id & 255}.1/32`, device, protocol: 99 });
      }
    });
    const found = node.enter(() => listRoutes({ protocol: 99 }));
    assert.equal(new Set(found.map(({ destination }) => destination)).size, 3000);
  });
});
