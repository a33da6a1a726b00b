import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { nodeRecord, nodeText, type NodeText } from "../../test/routes/node-record.js";
import { compileNodePaths } from "./node-paths.js";
import { linkLocal, tunnelMac } from "./node-texts.js";
import {
  compileRouteRows,
  MAIN_TABLE,
  PODS_TABLE,
  type RouteRow,
  type RoutingFacts,
} from "./route-rows.js";

const facts: RoutingFacts = {
  routing: "vxlan",
  devices: { 4: 40, 6: 60 },
  ownAddresses: new Set(["10.9.0.1", "fd00:9::1"]),
  wayTo: () => ({ device: 2, gateway: undefined }),
};

function compile(others: readonly NodeText[], more: Partial<RoutingFacts> = {}) {
  const records = [nodeText(1), ...others].map(nodeRecord);
  return compileRouteRows(compileNodePaths(records, "node1"), { ...facts, ...more });
}

/** `10.244.2.0/24 via 10.9.0.2 dev 40 src 10.9.0.1`, of one table. */
const routes = (rows: readonly RouteRow[], table = MAIN_TABLE) =>
  rows
    .filter((row) => row.table === table)
    .map(({ type, destination, gateway, device, source, mtu }) =>
      type === "unreachable"
        ? `unreachable ${destination}`
        : `${destination} via ${gateway} dev ${device} src ${source}${mtu === undefined ? "" : ` mtu ${mtu}`}`,
    );
const unreachable = ["unreachable 10.244.1.0/24", "unreachable fd00:244:1::/64"];
const mac2 = tunnelMac("node2");
const local2 = linkLocal(mac2);

describe("rows of tunnels", () => {
  it("lead pods to pods and nodes of others, with a neighbour for each next hop", () => {
    const rows = compile([nodeText(2)]);
    assert.deepEqual(routes(rows.routes), [
      ...unreachable,
      "10.244.2.0/24 via 10.9.0.2 dev 40 src 10.9.0.1",
      `fd00:244:2::/64 via ${local2} dev 40 src fd00:9::1`,
    ]);
    assert.deepEqual(routes(rows.routes, PODS_TABLE), [
      "10.9.0.2/32 via 10.9.0.2 dev 40 src 10.9.0.1",
      `fd00:9::2/128 via ${local2} dev 40 src fd00:9::1`,
    ]);
    assert.deepEqual(rows.neighbours, [
      { device: 40, address: "10.9.0.2", mac: mac2 },
      { device: 40, address: local2, mac: mac2 },
    ]);
    assert.deepEqual(rows.tunnels, [{ device: 40, mac: mac2, destination: "10.9.0.2" }]);
    assert.deepEqual(rows.rules, ["10.244.1.0/24", "fd00:244:1::/64"]);
    assert.deepEqual(rows.podRoutes, [
      { cidr: "10.244.2.0/24", node: "node2", device: 40, gateway: "10.9.0.2", isTunnel: true },
      { cidr: "fd00:244:2::/64", node: "node2", device: 40, gateway: local2, isTunnel: true },
    ]);
  });

  it("go over IPv6 to a node without IPv4, by an address of its pods", () => {
    const rows = compile([nodeText(2, { addresses: ["fd00:9::2"] })]);
    assert.deepEqual(routes(rows.routes).slice(2), [
      "10.244.2.0/24 via 10.244.2.1 dev 60 src 10.9.0.1",
      `fd00:244:2::/64 via ${local2} dev 60 src fd00:9::1`,
    ]);
    assert.deepEqual(rows.tunnels, [{ device: 60, mac: mac2, destination: "fd00:9::2" }]);
  });

  it("say the MTU of a path that takes less than the wire, and what IPv6 must have", () => {
    const mtus = (mtu: number) =>
      compile([nodeText(2)], { wayTo: () => ({ device: 2, gateway: "10.9.0.9", mtu }) })
        .routes.filter(({ type }) => type === "unicast")
        .map((row) => row.mtu);
    assert.deepEqual(mtus(1400), [1350, 1350, 1350, 1350]);
    assert.deepEqual(mtus(1300), [1250, 1280, 1250, 1280]);
  });

  it("have no source that no interface has", () => {
    const rows = compile([nodeText(2)], { ownAddresses: new Set(["fd00:9::1"]) });
    assert.deepEqual(
      rows.routes.filter(({ type }) => type === "unicast").map(({ source }) => source),
      [undefined, "fd00:9::1", undefined, "fd00:9::1"],
    );
  });

  it("lead nowhere for a node without podCIDRs, and warn of one without a tunnel", () => {
    const rows = compile([
      nodeText(2, { podCidrs: [] }),
      ...[3, 4, 5, 6, 7].map((number) => nodeText(number, { addresses: [] })),
    ]);
    assert.deepEqual(routes(rows.routes), unreachable);
    assert.deepEqual([rows.neighbours, rows.tunnels, rows.podRoutes], [[], [], []]);
    assert.deepEqual(
      rows.problems.map(({ code }) => code),
      ["SLUICE_NO_TUNNEL"],
    );
    assert.match(
      rows.problems[0]?.message ?? "",
      /^nodes node3, node4, node5 and 2 more: no IP family/,
    );
  });
});

describe("direct rows", () => {
  const direct = { routing: "direct" } as const;

  it("go by the node's own address of the family, where that is on a wire", () => {
    const rows = compile([nodeText(2), nodeText(3)], {
      ...direct,
      wayTo: (address) => ({ device: 2, gateway: address.endsWith("3") ? "10.9.0.9" : undefined }),
    });
    assert.deepEqual(routes(rows.routes), [
      ...unreachable,
      "10.244.2.0/24 via 10.9.0.2 dev 2 src 10.9.0.1",
      "fd00:244:2::/64 via fd00:9::2 dev 2 src fd00:9::1",
    ]);
    assert.deepEqual([rows.neighbours, rows.tunnels, rows.rules], [[], [], []]);
    assert.deepEqual(
      rows.problems.map(({ code, name }) => [code, name]),
      [["SLUICE_NOT_ON_LINK", "node3"]],
    );
  });

  it("need an address of the family", () => {
    const rows = compile([nodeText(2, { addresses: ["10.9.0.2"] })], direct);
    assert.equal(routes(rows.routes).length, 3);
    assert.deepEqual(
      rows.problems.map(({ code }) => code),
      ["SLUICE_NO_NEXT_HOP"],
    );
  });
});

it("an underlay that routes podCIDRs gets none", () => {
  const rows = compile([nodeText(2)], { routing: "underlay" });
  assert.deepEqual(routes(rows.routes), unreachable);
  assert.deepEqual([rows.rules, rows.podRoutes, rows.problems], [[], [], []]);
});

it("a node that is not known yet gets none at all", () => {
  const paths = compileNodePaths([nodeRecord(nodeText(2))], "node1");
  assert.deepEqual(compileRouteRows(paths, facts).routes, []);
});

it("a link-local address is made from a MAC as RFC 4291 says", () => {
  assert.equal(linkLocal("02:00:00:00:00:01"), "fe80::ff:fe00:1");
  assert.equal(linkLocal("52:54:00:12:34:56"), "fe80::5054:ff:fe12:3456");
});
