/** The rows of one node's kernel, by what its source tells of the others. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "../support/eventually.js";
import { type Lab, type Namespace, withNamespaces } from "../support/netns.js";
import { startNode, type RoutesNode } from "./node-process.js";
import { nodeText } from "./node-record.js";

interface World {
  readonly ns: Namespace;
  readonly node: RoutesNode;
  readonly lab: Lab;
}

async function withNode(body: (world: World) => Promise<void>): Promise<void> {
  await withNamespaces(async (lab) => {
    const ns = lab.namespace("node1");
    lab.veth(
      { namespace: ns, name: "eth0", addresses: ["10.9.0.1/24", "fd00:9::1/64"] },
      { namespace: lab.namespace("wire"), name: "wire" },
    );
    ns.run("ip", "route", "add", "default", "via", "10.9.0.254");
    await body({ ns, node: startNode(lab, ns, "node1"), lab });
  });
}

/** Sorted lines of `ip`, as it shows them. */
function show(ns: Namespace, ...words: readonly string[]): readonly string[] {
  const text = ns.run("ip", ...words);
  return text
    .split("\n")
    .map((line) => line.trim().replaceAll(/\s+/g, " "))
    .filter((line) => line !== "")
    .sort();
}

function routes(ns: Namespace, table = "main"): readonly string[] {
  return ["-4", "-6"].flatMap((family) =>
    show(ns, family, "route", "show", "table", table, "proto", "115"),
  );
}

const neighbours = (ns: Namespace) =>
  show(ns, "neigh", "show", "dev", "sluice.vxlan", "nud", "permanent");

function fdb(ns: Namespace): readonly string[] {
  const text = ns.run("bridge", "fdb", "show", "dev", "sluice.vxlan");
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

const both = [nodeText(1), nodeText(2)];

test("a tunnel to another node: device, routes, neighbours, forwarding entry, rules", async () => {
  await withNode(async ({ ns, node }) => {
    await node.start();
    await node.tell({ nodes: both });
    assert.deepEqual(routes(ns), [], "nothing before the source is in sync");
    await node.tell({ nodes: [], synced: true });
    await eventually(async () => assert.equal((await node.state()).inSync, true));
    const link = show(ns, "-d", "-o", "link", "show", "sluice.vxlan").join();
    assert.match(
      link,
      /mtu 1450 .* vxlan id 1 local 10\.9\.0\.1 .*dstport 4789 .*nolearning .*df inherit/,
    );
    const mac = /([0-9a-f]{2}:){5}[0-9a-f]{2}/.exec(fdb(ns).join())?.[0] ?? "none";
    assert.deepEqual(routes(ns), [
      "10.244.2.0/24 via 10.9.0.2 dev sluice.vxlan src 10.9.0.1 onlink",
      "unreachable 10.244.1.0/24",
      routes(ns)[2],
      "unreachable fd00:244:1::/64 dev lo metric 1024 pref medium",
    ]);
    assert.match(
      routes(ns)[2] ?? "",
      /^fd00:244:2::\/64 via fe80::[0-9a-f:]+ dev sluice\.vxlan src fd00:9::1 metric 1024 onlink/,
    );
    assert.deepEqual(
      routes(ns, "1150").map((line) => line.replace(/ via.*/, "")),
      ["10.9.0.2", "fd00:9::2"],
    );
    assert.equal(neighbours(ns).length, 2);
    for (const line of neighbours(ns)) assert.ok(line.includes(`lladdr ${mac}`), line);
    assert.deepEqual(fdb(ns), [`${mac} dst 10.9.0.2 self permanent`]);
    assert.deepEqual(
      ["-4", "-6"].flatMap((family) => show(ns, family, "rule", "show", "priority", "1150")),
      [
        "1150: from 10.244.1.0/24 lookup 1150 proto 115",
        "1150: from fd00:244:1::/64 lookup 1150 proto 115",
      ],
    );
    const state = await node.state();
    assert.deepEqual([state.mtu, state.nodes, state.routes], [1450, 1, 6]);
    assert.deepEqual(state.podDevices, ["sluice.vxlan"]);
  });
});

test("nodes come, change and go; what others have stays", async () => {
  await withNode(async ({ ns, node }) => {
    ns.run("ip", "route", "add", "10.99.0.0/24", "via", "10.9.0.9");
    await node.start();
    await node.tell({ nodes: both, synced: true });
    await eventually(() => assert.ok(routes(ns).length === 4));
    await node.tell({ nodes: [nodeText(3)] });
    await eventually(() => assert.equal(fdb(ns).length, 2));
    await node.tell({
      nodes: [nodeText(2, { addresses: ["10.9.0.22", "fd00:9::2"], podCidrs: ["10.245.2.0/24"] })],
      gone: ["node3"],
    });
    await eventually(() => {
      assert.deepEqual(routes(ns), [
        "10.245.2.0/24 via 10.9.0.22 dev sluice.vxlan src 10.9.0.1 onlink",
        "unreachable 10.244.1.0/24",
        "unreachable fd00:244:1::/64 dev lo metric 1024 pref medium",
      ]);
      assert.deepEqual(
        fdb(ns).map((line) => line.split(" ").slice(1, 3)),
        [["dst", "10.9.0.22"]],
      );
      assert.equal(neighbours(ns).length, 2);
    });
    assert.ok(show(ns, "route").includes("10.99.0.0/24 via 10.9.0.9 dev eth0"));
  });
});

test("what somebody takes away comes back, what is left of an earlier agent goes", async () => {
  await withNode(async ({ ns, node }) => {
    await node.start();
    await node.tell({ nodes: [...both, nodeText(3)], synced: true });
    await eventually(async () => assert.equal((await node.state()).inSync, true));
    const before = routes(ns);
    const repairs: readonly (readonly string[])[] = [
      ["ip", "route", "del", "10.244.2.0/24"],
      ["ip", "neigh", "flush", "dev", "sluice.vxlan", "nud", "permanent"],
      ["ip", "rule", "del", "priority", "1150"],
      ["ip", "route", "flush", "table", "1150"],
      ["ip", "link", "del", "sluice.vxlan"],
      ["ip", "link", "set", "eth0", "down"],
      ["nft", "flush", "ruleset"],
    ];
    const whole = () => {
      assert.deepEqual(routes(ns), before);
      assert.deepEqual([neighbours(ns).length, fdb(ns).length], [4, 2]);
      assert.equal(routes(ns, "1150").length, 4);
      assert.equal(show(ns, "rule", "show", "priority", "1150").length, 1);
      assert.match(ns.run("nft", "list", "table", "inet", "sluice"), /masquerade/);
    };
    for (const [program = "", ...words] of repairs) {
      ns.run(program, ...words);
      if (words.at(-1) === "down") {
        ns.run("ip", "link", "set", "eth0", "up");
        ns.run("ip", "address", "add", "fd00:9::1/64", "dev", "eth0", "nodad");
      }
      await eventually(whole);
    }
    await node.close();
    ns.run("ip", "route", "add", "10.250.0.0/24", "via", "10.9.0.9", "proto", "115");
    await node.start();
    await node.tell({ nodes: [...both, nodeText(3)] });
    assert.ok(
      routes(ns).some((line) => line.startsWith("10.250.0.0/24")),
      "not before it is in sync",
    );
    await node.tell({ nodes: [], synced: true });
    await eventually(whole);
  });
});

test("what is another's stays, and is told: a route, an interface of the tunnel's name", async () => {
  await withNode(async ({ ns, node }) => {
    ns.run("ip", "route", "add", "10.244.2.0/24", "via", "10.9.0.9");
    ns.run("ip", "link", "add", "sluice.vxlan", "type", "bridge");
    await node.start();
    await node.tell({ nodes: both, synced: true });
    await eventually(async () => {
      assert.match((await node.state()).error ?? "", /another interface sluice\.vxlan \(bridge/);
    });
    ns.run("ip", "link", "del", "sluice.vxlan");
    await eventually(async () => {
      const { problems, error } = await node.state();
      assert.deepEqual(
        problems.map(({ code }) => code),
        ["SLUICE_FOREIGN_ROUTE"],
      );
      assert.match(error ?? "", /10\.244\.2\.0\/24/);
    });
    assert.match(ns.run("ip", "route", "get", "10.244.2.9"), /via 10\.9\.0\.9 dev eth0/);
    assert.equal(routes(ns, "1150").length, 2, "the rest is there");
    ns.run("ip", "route", "del", "10.244.2.0/24");
    await node.tell({ nodes: [nodeText(2, { createdAtMs: 5 })] });
    await eventually(async () => assert.equal((await node.state()).error, undefined));
    assert.equal(routes(ns).length, 4);
  });
});

test("another port, identifier, address, MTU or mode takes the place of the old one", async () => {
  await withNode(async ({ ns, node }) => {
    const device = () => ns.run("ip", "-d", "-o", "link", "show", "sluice.vxlan");
    const inSync = () => eventually(async () => assert.equal((await node.state()).inSync, true));
    await node.start();
    await node.tell({ nodes: both, synced: true });
    await inSync();
    await node.close();
    await node.start({ vxlan: { port: 8472, vni: 9 } });
    await node.tell({ nodes: both, synced: true });
    await inSync();
    assert.match(device(), /vxlan id 9 .*dstport 8472/);
    ns.run("ip", "link", "set", "eth0", "mtu", "1400");
    await eventually(async () => {
      assert.match(device(), /mtu 1350/);
      assert.equal((await node.state()).mtu, 1350);
    });
    ns.run("ip", "address", "add", "10.9.0.11/24", "dev", "eth0");
    await node.tell({ nodes: [nodeText(1, { addresses: ["10.9.0.11", "fd00:9::1"] })] });
    await eventually(() => {
      assert.match(device(), /local 10\.9\.0\.11/);
      assert.equal(
        routes(ns)[0],
        "10.244.2.0/24 via 10.9.0.2 dev sluice.vxlan src 10.9.0.11 onlink",
      );
      assert.match(
        ns.run("ip", "-o", "address", "show", "dev", "sluice.vxlan"),
        /inet 10\.9\.0\.11\/32/,
      );
    });
    await node.close();
    await node.start({ routing: "direct", mtu: 1300 });
    await node.tell({ nodes: both, synced: true });
    await eventually(() => {
      assert.equal(ns.run("ip", "-o", "link").includes("sluice"), false);
      assert.deepEqual(routes(ns), [
        "10.244.2.0/24 via 10.9.0.2 dev eth0 src 10.9.0.1",
        "unreachable 10.244.1.0/24",
        "fd00:244:2::/64 via fd00:9::2 dev eth0 src fd00:9::1 metric 1024 pref medium",
        "unreachable fd00:244:1::/64 dev lo metric 1024 pref medium",
      ]);
    });
    assert.deepEqual([routes(ns, "1150"), show(ns, "rule", "show", "priority", "1150")], [[], []]);
    const state = await node.state();
    assert.deepEqual([state.mtu, state.podDevices], [1300, ["eth0"]]);
    await node.close();
    await node.start({ routing: "underlay" });
    await node.tell({ nodes: both, synced: true });
    await eventually(() => assert.equal(routes(ns).length, 2));
  });
});

test("a node without IPv4 has its tunnels over IPv6", async () => {
  await withNode(async ({ ns, node }) => {
    await node.start();
    const six = nodeText(1, { addresses: ["fd00:9::1"] });
    await node.tell({ nodes: [six, nodeText(2)], synced: true });
    await eventually(async () => assert.equal((await node.state()).inSync, true));
    const { devices, mtu } = await node.state();
    assert.deepEqual([devices, mtu], [[{ name: "sluice.vxlan6", mtu: 1430 }], 1430]);
    assert.match(
      routes(ns)[0] ?? "",
      /^10\.244\.2\.0\/24 via 10\.9\.0\.2 dev sluice\.vxlan6 onlink$/,
    );
    assert.match(
      ns.run("bridge", "fdb", "show", "dev", "sluice.vxlan6"),
      /dst fd00:9::2 self permanent/,
    );
  });
});

test("masquerade goes when it is not wanted, and the tables of others stay", async () => {
  await withNode(async ({ ns, node }) => {
    const tables = () => ns.run("nft", "list", "tables").trim().split("\n").sort();
    ns.run("nft", "add", "table", "inet", "theirs");
    ns.run("nft", "add", "table", "ip", "sluice");
    await node.start({ exceptions: ["192.0.2.0/24"] });
    await node.tell({ nodes: both, synced: true });
    await eventually(async () => assert.equal((await node.state()).masquerade, true));
    assert.deepEqual(tables(), ["table inet sluice", "table inet theirs", "table ip sluice"]);
    const rules = ns.run("nft", "list", "table", "inet", "sluice");
    assert.match(rules, /ip saddr @pods4 ip daddr != @exceptions4 masquerade fully-random/);
    assert.match(
      rules,
      /elements = \{ 10\.9\.0\.1-10\.9\.0\.2, 10\.244\.1\.0-10\.244\.2\.255,\s+192\.0\.2\.0\/24, 224\.0\.0\.0\/4 \}/,
    );
    ns.run("nft", "delete", "element", "inet", "sluice", "exceptions4", "{ 192.0.2.0/24 }");
    await eventually(() => assert.equal(ns.run("nft", "list", "table", "inet", "sluice"), rules));
    await node.close();
    assert.equal(
      ns.run("nft", "list", "table", "inet", "sluice"),
      rules,
      "it stays without an agent",
    );
    await node.start({ masquerade: false });
    await node.tell({ nodes: both, synced: true });
    await eventually(() => assert.deepEqual(tables(), ["table inet theirs", "table ip sluice"]));
  });
});

test("5,000 nodes are reached, and what is taken away of their routes comes back", async () => {
  await withNode(async ({ ns, node }) => {
    const others = Array.from({ length: 5000 }, (_, index) => {
      const [high, low] = [index >> 8, index & 255];
      return nodeText(2, {
        name: `n${index}`,
        addresses: [`10.9.${high + 1}.${low}`, `fd00:9::${(index + 256).toString(16)}`],
        podCidrs: [`10.${100 + high}.${low}.0/24`, `fd00:244:${(index + 2).toString(16)}::/64`],
      });
    });
    await node.start();
    await node.tell({ nodes: [nodeText(1), ...others], synced: true });
    await eventually(async () => {
      const state = await node.state();
      assert.deepEqual([state.inSync, state.nodes, state.error], [true, 5000, undefined]);
    }, 60_000);
    assert.equal(fdb(ns).length, 5000);
    assert.equal(neighbours(ns).length, 10_000);
    await node.tell({ nodes: [], gone: ["n7"] });
    const patienceMs = 60_000;
    const route = (range: string) => ns.run("ip", "route", "show", range);
    await eventually(() => assert.equal(route("10.100.7.0/24"), ""), patienceMs);
    /* All that was told of the kernel by all these changes must not have cost the ear for it. */
    ns.run("ip", "route", "del", "10.100.8.0/24");
    await eventually(() => assert.notEqual(route("10.100.8.0/24"), ""), 30_000);
  });
});
