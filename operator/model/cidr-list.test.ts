import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { parseCidr, SET_CIDR } from "./cidr.js";
import { formatCidr, formatV4, formatV6 } from "./cidr-format.js";
import { CidrColumns } from "./cidr-list.js";

describe("columns of CIDRs", () => {
  it("hold what reading each text alone gives, whatever room was expected", () => {
    const v4 = fc
      .tuple(fc.nat(0xffffffff), fc.integer({ min: 1, max: 32 }))
      .map(([bits, length]) => `${formatV4((bits & (-1 << (32 - length))) >>> 0)}/${length}`);
    const v6 = fc
      .tuple(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), fc.integer({ min: 1, max: 64 }))
      .map(([bits, length]) => {
        const high = (bits >> BigInt(64 - length)) << BigInt(64 - length);
        return `${formatV6(high, 0n)}/${length}`;
      });
    fc.assert(
      fc.property(fc.array(fc.oneof(v4, v6), { maxLength: 100 }), fc.nat(50), (texts, room) => {
        const columns = new CidrColumns(SET_CIDR, room);
        for (const text of texts) assert.ok(columns.add(text));
        const { v4: four, v6: six } = columns.finish();
        const cidrs = texts.map((text) => parseCidr(text));
        assert.deepEqual(
          cidrs.filter(({ family }) => family === 4).map(formatCidr),
          Array.from(four.address, (address, i) => `${formatV4(address)}/${four.length[i]}`),
        );
        assert.deepEqual(
          cidrs.filter(({ family }) => family === 6).map(formatCidr),
          Array.from(six.high, (high, i) => `${formatV6(high, six.low[i]!)}/${six.length[i]}`),
        );
        assert.equal(four.length.length, four.address.length);
        assert.equal(six.length.length, six.low.length);
      }),
    );
  });

  it("read a bare address as a single one, and refuse a block of all addresses", () => {
    const columns = new CidrColumns(SET_CIDR, 3);
    assert.ok(columns.add("192.0.2.1"));
    assert.ok(columns.add("2001:db8::1"));
    assert.ok(!columns.add("0.0.0.0/0"));
    assert.ok(!columns.add("::/0"));
    const { v4, v6 } = columns.finish();
    assert.deepEqual([...v4.length], [32]);
    assert.deepEqual([...v6.length], [128]);
  });

  it("have a column of ends only in the family that needs one, 0 where there is no end", () => {
    const columns = new CidrColumns(SET_CIDR, 1);
    columns.add("10.0.0.0/8");
    columns.add("10.1.0.0/16", 1_900_000_000);
    for (let i = 0; i < 40; i++) columns.add(`192.0.2.${i}`, i);
    columns.add("2001:db8::/32");
    const { v4, v6 } = columns.finish();
    assert.deepEqual([...(v4.expiresAt ?? [])].slice(0, 4), [0, 1_900_000_000, 0, 1]);
    assert.equal(v4.expiresAt?.length, 42);
    assert.equal(v6.expiresAt, undefined);
  });
});
