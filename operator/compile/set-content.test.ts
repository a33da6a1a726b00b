import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { cidrListOf, parseCidr } from "../../test/oracle/address.js";
import { prefixKey } from "./prefix-key.js";
import { diffKeys, inlineSetContent, memberKey, setPart } from "./set-content.js";
import { splitAddress } from "./v6-prefixes.js";

const SECOND = 1000;

function list(...entries: readonly (readonly [cidr: string, expiresAtS: number])[]) {
  return cidrListOf(entries.map(([text, expiresAt]) => ({ cidr: parseCidr(text), expiresAt })));
}

function key4(text: string, exception = false): number {
  const cidr = parseCidr(text);
  assert.equal(cidr.family, 4);
  return cidr.family === 4 ? prefixKey(cidr.address, cidr.length, 0, exception) : 0;
}

function member6(text: string, exception = false) {
  const cidr = parseCidr(text);
  assert.equal(cidr.family, 6);
  const { high, low } = cidr.family === 6 ? cidr : { high: 0n, low: 0n };
  return { ...splitAddress(high, low), length: cidr.length, exception };
}

describe("a part of a set", () => {
  it("has the prefixes of its list, by family", () => {
    const part = setPart(list(["10.0.0.0/8", 0], ["2001:db8::/32", 0], ["192.0.2.1/32", 0]), 0);
    assert.deepEqual([...part.v4], [key4("10.0.0.0/8"), key4("192.0.2.1/32")]);
    assert.deepEqual(part.v6, [member6("2001:db8::/32")]);
    assert.equal(part.nextExpiryMs, undefined);
  });

  it("leaves out what has expired, and says when the next one will", () => {
    const entries = list(
      ["10.0.0.1/32", 100],
      ["10.0.0.2/32", 200],
      ["10.0.0.3/32", 0],
      ["2001:db8::1/128", 100],
      ["2001:db8::2/128", 150],
    );
    const at = (nowMs: number) => setPart(entries, nowMs);
    assert.equal(at(99_999).v4.length, 3);
    assert.equal(at(99_999).nextExpiryMs, 100 * SECOND);
    const later = at(100_000);
    assert.deepEqual([...later.v4], [key4("10.0.0.2/32"), key4("10.0.0.3/32")]);
    assert.deepEqual(later.v6, [member6("2001:db8::2/128")]);
    assert.equal(later.nextExpiryMs, 150 * SECOND);
    assert.deepEqual([at(200_000).v4.length, at(200_000).v6.length], [1, 0]);
    assert.equal(at(200_000).nextExpiryMs, undefined);
  });

  it("sorts its keys when asked to", () => {
    const part = setPart(list(["192.0.2.0/24", 0], ["10.0.0.0/8", 0], ["10.0.0.0/9", 0]), 0);
    const sorted = ["10.0.0.0/8", "10.0.0.0/9", "192.0.2.0/24"].map((text) => key4(text));
    assert.deepEqual([...part.sortedV4], sorted);
    assert.deepEqual([...part.sortedV4], sorted);
  });
});

describe("a set written inside a rule", () => {
  const content = (cidrs: readonly string[], except: readonly string[] = []) =>
    inlineSetContent({ cidrs: cidrs.map(parseCidr), except: except.map(parseCidr) });

  it("has its blocks, and its exceptions as such", () => {
    const { parts, v4Root, v6Root } = content(["10.0.0.0/8"], ["10.1.0.0/16"]);
    const [part] = parts.values();
    assert.deepEqual([...part!.v4], [key4("10.0.0.0/8"), key4("10.1.0.0/16", true)]);
    assert.deepEqual([v4Root, v6Root], [false, false]);
    const [part6] = content(["2001:db8::/32"], ["2001:db8:1::/48"]).parts.values();
    assert.deepEqual(part6!.v6, [member6("2001:db8::/32"), member6("2001:db8:1::/48", true)]);
  });

  it("holds a whole family without a prefix for it", () => {
    const four = content(["0.0.0.0/0"], ["10.0.0.0/8"]);
    assert.deepEqual([four.v4Root, four.v6Root], [true, false]);
    assert.deepEqual([...[...four.parts.values()][0]!.v4], [key4("10.0.0.0/8", true)]);
    const six = content(["::/0"]);
    assert.deepEqual([six.v4Root, six.v6Root], [false, true]);
    assert.deepEqual([...six.parts.values()][0]!.v6, []);
  });
});

describe("a difference of keys", () => {
  it("is what is only in one of them, duplicates or not", () => {
    const keys = fc.array(fc.nat(20)).map((list) => Float64Array.from(list).sort());
    fc.assert(
      fc.property(keys, keys, (before, after) => {
        const { added, removed } = diffKeys(before, after);
        const only = (one: Float64Array, other: Float64Array) =>
          [...new Set(one)].filter((key) => !other.includes(key));
        assert.deepEqual(added, only(after, before));
        assert.deepEqual(removed, only(before, after));
      }),
    );
  });
});

it("keys of IPv6 members are equal for equal members only", () => {
  const members = [
    member6("2001:db8::/32"),
    member6("2001:db8::/33"),
    member6("2001:db8::/32", true),
    member6("2001:db8::1/128"),
    member6("2001:db8:0:1::/64"),
    member6("2001:db9::/32"),
  ];
  assert.equal(new Set(members.map(memberKey)).size, members.length);
  assert.equal(memberKey(member6("2001:db8::/32")), memberKey(members[0]!));
});
