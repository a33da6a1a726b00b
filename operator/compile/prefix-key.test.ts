import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { MAX_PARTS } from "./address-classes.js";
import {
  keyAddress,
  keyRest,
  prefixKey,
  regionStart,
  restIsException,
  restLength,
  restPart,
} from "./prefix-key.js";

const prefix = fc.record({
  address: fc.oneof(fc.nat(2 ** 32 - 1), fc.constantFrom(0, 2 ** 31, 2 ** 32 - 1)),
  length: fc.integer({ min: 0, max: 32 }),
  part: fc.oneof(fc.nat(MAX_PARTS - 1), fc.constantFrom(0, MAX_PARTS - 1)),
  exception: fc.boolean(),
});

describe("prefix keys", () => {
  it("give back what they were made of", () => {
    fc.assert(
      fc.property(prefix, ({ address, length, part, exception }) => {
        const key = prefixKey(address, length, part, exception);
        assert.ok(Number.isSafeInteger(key));
        const rest = keyRest(key);
        assert.deepEqual(
          [keyAddress(key), restLength(rest), restPart(rest), restIsException(rest)],
          [address, length, part, exception],
        );
      }),
    );
  });

  it("are in the order of a sweep: by address, then wider prefixes first, then exceptions last", () => {
    const inOrder = [
      prefixKey(0, 8, 0, false),
      prefixKey(0, 8, MAX_PARTS - 1, false),
      prefixKey(0, 8, 0, true),
      prefixKey(0, 9, 0, false),
      prefixKey(0, 32, MAX_PARTS - 1, true),
      prefixKey(1, 32, 0, false),
      prefixKey(2 ** 31, 1, 0, false),
      prefixKey(2 ** 32 - 1, 32, 0, false),
    ];
    assert.deepEqual(
      [...inOrder].reverse().sort((a, b) => a - b),
      inOrder,
    );
  });

  it("adding a part's number to a key with part 0 makes the key of that part", () => {
    fc.assert(
      fc.property(prefix, ({ address, length, part, exception }) => {
        const anonymous = prefixKey(address, length, 0, exception);
        assert.equal(anonymous + part, prefixKey(address, length, part, exception));
      }),
    );
  });

  it("of one /16 lie between its start and the next one's", () => {
    fc.assert(
      fc.property(prefix, ({ address, length, part, exception }) => {
        const key = prefixKey(address, length, part, exception);
        const region = address >>> 16;
        assert.ok(key >= regionStart(region) && key < regionStart(region + 1));
      }),
    );
  });
});
