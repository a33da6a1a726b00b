import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type AddressRange,
  deleteNfTable,
  hasNfTable,
  isMasquerade,
  type Masquerade,
  writeMasquerade,
} from "../../datapath/nf-masquerade.js";
import { withNamespaces } from "../support/netns.js";

const v4 = (text: string) => Buffer.from(text.split(".").map(Number));
const range = (first: string, last: string): AddressRange => ({ first: v4(first), last: v4(last) });
const v6 = (hex: string, fill: string) => Buffer.from(hex.padEnd(32, fill), "hex");

const rules: readonly Masquerade[] = [
  {
    family: 4,
    sources: [range("10.244.1.0", "10.244.1.255")],
    /* The second begins where the first ends, and the last goes to the end of all addresses. */
    exceptions: [
      range("10.244.0.0", "10.244.255.255"),
      range("10.245.0.0", "10.245.0.0"),
      range("255.0.0.0", "255.255.255.255"),
    ],
  },
  {
    family: 6,
    sources: [{ first: v6("fd00024400010000", "0"), last: v6("fd00024400010000", "f") }],
    exceptions: [],
  },
];

test("a table is written at one moment, found again, and deleted", async () => {
  await withNamespaces((lab) => {
    const node = lab.namespace("node");
    node.enter(() => {
      assert.equal(hasNfTable("t"), false);
      assert.equal(isMasquerade("t", rules, "first"), false);
      writeMasquerade("t", rules, "first");
      assert.equal(hasNfTable("t"), true);
      assert.equal(isMasquerade("t", rules, "first"), true);
      assert.equal(isMasquerade("t", rules, "second"), false);
      assert.equal(isMasquerade("t", rules.slice(0, 1), "first"), false);
    });
    const shown = node.run("nft", "list", "table", "inet", "t");
    assert.match(shown, /type nat hook postrouting priority srcnat; policy accept;/);
    for (const line of [
      'ip saddr @pods4 ip daddr != @exceptions4 masquerade fully-random comment "first"',
      'ip6 saddr @pods6 ip6 daddr != @exceptions6 masquerade fully-random comment "first"',
      "elements = { 10.244.1.0/24 }",
      "elements = { fd00:244:1::/64 }",
    ]) {
      assert.ok(shown.includes(line), shown);
    }
    assert.match(shown, /elements = \{ 10\.244\.0\.0\/16, 10\.245\.0\.0,\s+255\.0\.0\.0\/8 \}/);
    node.run("nft", "add", "element", "inet", "t", "exceptions4", "{ 192.0.2.0/24 }");
    node.enter(() => {
      assert.equal(isMasquerade("t", rules, "first"), false);
      writeMasquerade("t", rules, "second");
      assert.equal(isMasquerade("t", rules, "second"), true);
      deleteNfTable("t");
      deleteNfTable("t");
      assert.equal(hasNfTable("t"), false);
    });
  });
});

test("many ranges take several messages, in one step", async () => {
  await withNamespaces((lab) => {
    lab.namespace("node").enter(() => {
      const exceptions = Array.from({ length: 5000 }, (_, index) =>
        range(`10.${index >> 8}.${index & 255}.0`, `10.${index >> 8}.${index & 255}.9`),
      );
      const many: Masquerade = { family: 4, sources: [], exceptions };
      writeMasquerade("t", [many], "many");
      assert.equal(isMasquerade("t", [many], "many"), true);
      /* Two that overlap are refused, and what was there stays. */
      const wrong = {
        ...many,
        exceptions: [range("10.0.0.0", "10.0.0.9"), range("10.0.0.5", "10.0.0.6")],
      };
      assert.throws(() => writeMasquerade("t", [wrong], "wrong"), /cannot write nftables table t/);
      assert.equal(isMasquerade("t", [many], "many"), true);
    });
  });
});
