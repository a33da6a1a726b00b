/** Peers on the real program: CIDRs, exceptions, sets, nodes, families, expiry (docs/xdp-policy.md §1, §3). */

import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import type { CidrList, Peer, RuleRecord } from "../../operator/model/records.js";
import { cidrListOf, parseCidr } from "../oracle/address.js";
import { limit, node, policy, rule } from "../oracle/build.js";
import { eth, ipv4, ipv6, packet } from "../support/packets.js";
import { tcp } from "../support/transports.js";
import { openUplink } from "./harness.js";

const GOES_ON = limit({ rate: 1e6, burst: 1e6 });
const SECOND = 1000;

const uplink = await openUplink();
after(() => uplink.close());

function cidr(text: string, ...except: readonly string[]): Peer {
  return { kind: "cidr", cidr: parseCidr(text), except: except.map(parseCidr) };
}

function set(
  ...entries: readonly (string | readonly [cidr: string, expiresAtS: number])[]
): CidrList {
  return cidrListOf(
    entries.map((entry) => {
      const [text, expiresAt] = typeof entry === "string" ? [entry, 0] : entry;
      return { cidr: parseCidr(text), expiresAt };
    }),
  );
}

function from(address: string): Buffer {
  return packet(
    eth(),
    address.includes(":") ? ipv6({ source: address }) : ipv4({ source: address }),
    tcp(),
  );
}

function to(address: string): Buffer {
  const ip = address.includes(":")
    ? ipv6({ destination: address })
    : ipv4({ destination: address });
  return packet(eth(), ip, tcp());
}

/** Names of the rules that match, none of which decides. */
function matches(frame: Buffer): readonly string[] {
  return uplink.judge(frame).counted.map((name) => name.replace("edge/", ""));
}

async function apply(
  rules: Readonly<Record<string, Partial<RuleRecord>>>,
  sets: Readonly<Record<string, CidrList>> = {},
  nowMs = 0,
): Promise<boolean> {
  return uplink.apply({
    policies: [
      policy(
        "edge",
        Object.entries(rules).map(([name, parts]) => rule(name, GOES_ON, parts)),
      ),
    ],
    sets: new Map(Object.entries(sets)),
    nowMs,
  });
}

describe("CIDRs", () => {
  const blocks = [
    "0.0.0.0/0",
    "10.0.0.0/7",
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.2.0/23",
    "10.1.2.0/24",
  ];
  const inner = ["10.1.2.0/25", "10.1.2.128/26", "10.1.2.192/31", "10.1.2.193/32"];

  it("nested IPv4 blocks of every kind of length hold their own addresses to the edges", async () => {
    const all = [...blocks, ...inner];
    await apply(
      Object.fromEntries(all.map((text, index) => [`r${index}`, { from: [cidr(text)] }])),
    );
    for (const [address, expected] of [
      ["9.255.255.255", [0]],
      ["10.0.0.0", [0, 1, 2]],
      ["11.0.0.0", [0, 1]],
      ["11.255.255.255", [0, 1]],
      ["12.0.0.0", [0]],
      ["10.0.255.255", [0, 1, 2]],
      ["10.1.0.0", [0, 1, 2, 3]],
      ["10.1.1.255", [0, 1, 2, 3]],
      ["10.1.2.0", [0, 1, 2, 3, 4, 5, 6]],
      ["10.1.2.127", [0, 1, 2, 3, 4, 5, 6]],
      ["10.1.2.128", [0, 1, 2, 3, 4, 5, 7]],
      ["10.1.2.191", [0, 1, 2, 3, 4, 5, 7]],
      ["10.1.2.192", [0, 1, 2, 3, 4, 5, 8]],
      ["10.1.2.193", [0, 1, 2, 3, 4, 5, 8, 9]],
      ["10.1.2.194", [0, 1, 2, 3, 4, 5]],
      ["10.1.3.255", [0, 1, 2, 3, 4]],
      ["10.1.4.0", [0, 1, 2, 3]],
      ["255.255.255.255", [0]],
    ] as const) {
      assert.deepEqual(
        matches(from(address)),
        expected.map((index) => `r${index}`),
        address,
      );
    }
    assert.deepEqual(matches(from("2001:db8::1")), [], "IPv6 is in no IPv4 block");
  });

  it("nested IPv6 blocks on both sides of /48 and /64 hold their own addresses to the edges", async () => {
    const short = [
      "::/0",
      "2001:db8::/32",
      "2001:db8::/47",
      "2001:db8:1::/48",
      "2001:db8:1:2::/63",
    ];
    const all = [...short, "2001:db8:1:2::/64", "2001:db8:1:2:8000::/65", "2001:db8:1:2::1/128"];
    await apply(
      Object.fromEntries(all.map((text, index) => [`r${index}`, { from: [cidr(text)] }])),
    );
    for (const [address, expected] of [
      ["2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", [0]],
      ["2001:db8::", [0, 1, 2]],
      ["2001:db8:0:ffff::", [0, 1, 2]],
      ["2001:db8:1::", [0, 1, 2, 3]],
      ["2001:db8:1:1:ffff:ffff:ffff:ffff", [0, 1, 2, 3]],
      ["2001:db8:1:2::", [0, 1, 2, 3, 4, 5]],
      ["2001:db8:1:2::1", [0, 1, 2, 3, 4, 5, 7]],
      ["2001:db8:1:2::2", [0, 1, 2, 3, 4, 5]],
      ["2001:db8:1:2:7fff:ffff:ffff:ffff", [0, 1, 2, 3, 4, 5]],
      ["2001:db8:1:2:8000::", [0, 1, 2, 3, 4, 5, 6]],
      ["2001:db8:1:2:ffff:ffff:ffff:ffff", [0, 1, 2, 3, 4, 5, 6]],
      ["2001:db8:1:3::", [0, 1, 2, 3, 4]],
      ["2001:db8:1:4::", [0, 1, 2, 3]],
      ["2001:db8:2::", [0, 1]],
      ["2001:db9::", [0]],
    ] as const) {
      assert.deepEqual(
        matches(from(address)),
        expected.map((index) => `r${index}`),
        address,
      );
    }
    assert.deepEqual(matches(from("32.1.13.184")), [], "IPv4 is in no IPv6 block");
  });

  it("source and destination are fields of their own", async () => {
    const block = cidr("198.51.100.0/24");
    await apply({
      source: { from: [block] },
      target: { to: [block] },
      both: { from: [block], to: [block] },
    });
    assert.deepEqual(matches(from("198.51.100.7")), ["source"]);
    assert.deepEqual(matches(to("198.51.100.7")), ["target"]);
    const inside = { source: "198.51.100.7", destination: "198.51.100.8" };
    assert.deepEqual(matches(packet(eth(), ipv4(inside), tcp())), ["source", "target", "both"]);
  });

  it("peers are alternatives, of either family", async () => {
    await apply({ any: { from: [cidr("10.0.0.0/8"), cidr("2001:db8::/32"), cidr("192.0.2.7")] } });
    for (const address of ["10.9.9.9", "2001:db8::9", "192.0.2.7"]) {
      assert.deepEqual(matches(from(address)), ["any"]);
    }
    for (const address of ["11.0.0.0", "2001:db9::", "192.0.2.8"]) {
      assert.deepEqual(matches(from(address)), []);
    }
  });
});

describe("except", () => {
  it("takes its block out of its own peer only", async () => {
    await apply({
      carved: { from: [cidr("10.0.0.0/8", "10.1.0.0/16")] },
      whole: { from: [cidr("10.0.0.0/8")] },
      again: { from: [cidr("10.0.0.0/8", "10.1.0.0/16"), cidr("10.1.2.0/24")] },
    });
    assert.deepEqual(matches(from("10.0.255.255")), ["carved", "whole", "again"]);
    assert.deepEqual(matches(from("10.1.0.0")), ["whole"]);
    assert.deepEqual(matches(from("10.1.2.3")), ["whole", "again"]);
    assert.deepEqual(matches(from("10.1.255.255")), ["whole"]);
    assert.deepEqual(matches(from("10.2.0.0")), ["carved", "whole", "again"]);
  });

  it("carves everything but a block, and single hosts, in both families", async () => {
    await apply({
      v4: { from: [cidr("0.0.0.0/0", "10.0.0.0/8", "192.0.2.7")] },
      v6: { from: [cidr("::/0", "2001:db8::/32", "2001:db9:1:2::3")] },
    });
    for (const address of ["10.0.0.1", "192.0.2.7", "2001:db8:9::", "2001:db9:1:2::3"]) {
      assert.deepEqual(matches(from(address)), [], address);
    }
    for (const address of ["9.0.0.1", "192.0.2.6", "192.0.2.8", "11.0.0.0"]) {
      assert.deepEqual(matches(from(address)), ["v4"], address);
    }
    for (const address of ["2001:db9:1:2::2", "2001:db9:1:2::4", "::1", "fe80::1"]) {
      assert.deepEqual(matches(from(address)), ["v6"], address);
    }
  });
});

describe("sets", () => {
  const peer = { from: [{ kind: "cidrSet", setName: "bad" } satisfies Peer] };

  it("a set holds what its list holds, duplicates and overlaps included", async () => {
    const bad = set("10.0.0.0/24", "10.0.0.7/32", "10.0.0.7/32", "10.0.0.0/25", "2001:db8::/64");
    await apply({ hit: peer }, { bad });
    for (const address of ["10.0.0.0", "10.0.0.7", "10.0.0.255", "2001:db8::9"]) {
      assert.deepEqual(matches(from(address)), ["hit"]);
    }
    for (const address of ["10.0.1.0", "9.255.255.255", "2001:db8:0:1::"]) {
      assert.deepEqual(matches(from(address)), []);
    }
  });

  it("an empty one matches nothing, and neither does a selector that selects no node", async () => {
    const nobody: Peer = { kind: "nodes", selector: { matchLabels: { role: "none" } } };
    await apply({ empty: peer, nobody: { from: [nobody] }, any: {} }, { bad: set() });
    assert.deepEqual(matches(from("10.0.0.1")), ["any"]);
    assert.deepEqual(matches(from("2001:db8::1")), ["any"]);
  });

  it("entries that have expired are out, those to come are in until their second", async () => {
    const bad = set(["10.0.0.1/32", 100], ["10.0.0.2/32", 200], "10.0.0.3/32", [
      "2001:db8::1/128",
      200,
    ]);
    const inAt = async (nowS: number) => {
      await apply({ hit: peer }, { bad }, nowS * SECOND);
      const addresses = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "2001:db8::1"];
      return addresses.filter((address) => matches(from(address)).length > 0);
    };
    assert.deepEqual(await inAt(99), ["10.0.0.1", "10.0.0.2", "10.0.0.3", "2001:db8::1"]);
    assert.deepEqual(await inAt(100), ["10.0.0.2", "10.0.0.3", "2001:db8::1"]);
    assert.deepEqual(await inAt(201), ["10.0.0.3"]);
  });

  it("an address that comes or goes is an edit in place, without a new generation", async () => {
    await apply({ hit: peer }, { bad: set("10.0.0.1", "2001:db8::1") });
    const { number } = uplink.firewall.generation;
    for (const entry of ["10.0.0.2", "10.0.0.0/25", "10.0.0.0/20", "10.0.0.0/12"]) {
      assert.equal(
        await apply({ hit: peer }, { bad: set("10.0.0.1", "2001:db8::1", entry) }),
        false,
      );
      assert.deepEqual(matches(from("10.0.0.2")), ["hit"], entry);
      assert.equal(await apply({ hit: peer }, { bad: set("10.0.0.1", "2001:db8::1") }), false);
      assert.deepEqual(matches(from("10.0.0.2")), [], entry);
      assert.deepEqual(matches(from("10.0.0.1")), ["hit"], entry);
    }
    for (const entry of ["2001:db8::2", "2001:db8::/64", "2001:db8::/48"]) {
      assert.equal(
        await apply({ hit: peer }, { bad: set("10.0.0.1", "2001:db8::1", entry) }),
        false,
      );
      assert.deepEqual(matches(from("2001:db8::2")), ["hit"], entry);
      assert.equal(await apply({ hit: peer }, { bad: set("10.0.0.1", "2001:db8::1") }), false);
      assert.deepEqual(matches(from("2001:db8::2")), [], entry);
    }
    assert.equal(uplink.firewall.generation.number, number);
  });

  it("10,000 addresses of both families are each found, and their neighbours are not", async () => {
    const count = 5000;
    /* Odd hosts only, spread over the space by a step that is prime to it. */
    const v4 = (index: number) => ((index * 79_201_009) % 2 ** 31) * 2 + 1;
    const text4 = (address: number) =>
      [24, 16, 8, 0].map((bit) => (address >>> bit) & 255).join(".");
    const text6 = (index: number, host: number) =>
      `2001:${(index >> 8).toString(16)}:${(index & 255).toString(16)}::${host.toString(16)}`;
    const entries = Array.from({ length: count }, (_, index) => [
      text4(v4(index)),
      text6(index, 2 * (index % 3000) + 1),
    ]).flat();
    await apply({ hit: peer }, { bad: set(...entries) });
    for (let index = 0; index < count; index += 97) {
      assert.deepEqual(matches(from(text4(v4(index)))), ["hit"]);
      assert.deepEqual(matches(from(text4(v4(index) - 1))), []);
      assert.deepEqual(matches(from(text6(index, 2 * (index % 3000) + 1))), ["hit"]);
      assert.deepEqual(matches(from(text6(index, 2 * (index % 3000) + 2))), []);
    }
  });
});

describe("nodes and rules", () => {
  it("nodes are their addresses, by label", async () => {
    const nodes = [
      node("a", { role: "edge" }, ["192.0.2.10", "2001:db8::10"]),
      node("b", { role: "edge" }, ["192.0.2.11"]),
      node("c", { role: "core" }, ["192.0.2.12"]),
    ];
    const edge: Peer = { kind: "nodes", selector: { matchLabels: { role: "edge" } } };
    const every: Peer = { kind: "nodes", selector: {} };
    const rules = [
      rule("edge", GOES_ON, { from: [edge] }),
      rule("every", GOES_ON, { from: [every] }),
    ];
    await uplink.apply({ nodes, policies: [policy("edge", rules)] });
    for (const address of ["192.0.2.10", "2001:db8::10", "192.0.2.11"]) {
      assert.deepEqual(matches(from(address)), ["edge", "every"]);
    }
    assert.deepEqual(matches(from("192.0.2.12")), ["every"]);
    assert.deepEqual(matches(from("192.0.2.13")), []);
  });

  it("a rule does not exist from its expiry on", async () => {
    const rules = { brief: { expiresAtMs: 5000 }, lasting: {} };
    await apply(rules, {}, 4999);
    assert.deepEqual(matches(from("10.0.0.1")), ["brief", "lasting"]);
    await apply(rules, {}, 5000);
    assert.deepEqual(matches(from("10.0.0.1")), ["lasting"]);
  });
});
