import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { decode, message } from "./protobuf.js";
import { protobufEvents, readObject } from "./protobuf-stream.js";

/** Bytes of fields, each with its tag. */
const varint = (value: number): number[] =>
  value < 128 ? [value] : [(value % 128) | 128, ...varint(Math.floor(value / 128))];
const long = (number: number, bytes: Iterable<number>): number[] => {
  const content = [...bytes];
  return [...varint(number * 8 + 2), ...varint(content.length), ...content];
};
const text = (number: number, value: string): number[] => long(number, Buffer.from(value));
const integer = (number: number, value: number): number[] => [
  ...varint(number * 8),
  ...varint(value),
];

const Port = message({ name: [1, "text"], target: [4, "number or text"] });
const Thing = message({
  name: [1, "text"],
  count: [2, "integer"],
  isReady: [3, "flag"],
  labels: [4, "map"],
  ports: [5, Port, "list"],
  addresses: [20, "text", "list"],
});

describe("decode", () => {
  it("gives what JSON would give, whatever stands between the fields that are read", () => {
    const thing = fc.record({
      name: fc.string({ minLength: 1, unit: "binary" }),
      count: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
      isReady: fc.boolean(),
      labels: fc.dictionary(fc.string(), fc.string(), { minKeys: 1 }),
      addresses: fc.array(fc.string(), { minLength: 1 }),
    });
    const unread = fc.oneof(
      fc.uint8Array().map((bytes) => long(9, bytes)),
      fc.nat().map((value) => integer(200, value)),
      fc.constant([...varint(10 * 8 + 1), 1, 2, 3, 4, 5, 6, 7, 8]),
      fc.constant([...varint(10 * 8 + 5), 1, 2, 3, 4]),
      fc.constant([]),
    );
    fc.assert(
      fc.property(thing, fc.array(unread, { minLength: 5, maxLength: 5 }), (value, between) => {
        const { name, count, isReady, labels, addresses } = value;
        const entries = Object.entries(labels).flatMap(([key, label]) =>
          long(4, [...text(1, key), ...text(2, label)]),
        );
        const fields = [
          text(1, name),
          integer(2, count),
          integer(3, isReady ? 1 : 0),
          entries,
          addresses.flatMap((address) => text(20, address)),
        ];
        const bytes = fields.flatMap((field, at) => [...between[at]!, ...field]);
        assert.deepEqual(JSON.stringify(decode(Buffer.from(bytes), Thing)), JSON.stringify(value));
      }),
    );
  });

  it("leaves out empty texts and zeros, but not what is false", () => {
    const bytes = [...text(1, ""), ...integer(2, 0), ...integer(3, 0)];
    assert.deepEqual(decode(Buffer.from(bytes), Thing), { isReady: false });
  });

  it("reads a port by number and by name", () => {
    const byNumber = long(4, [...integer(1, 0), ...integer(2, 8080), ...text(3, "")]);
    const byName = long(4, [...integer(1, 1), ...integer(2, 0), ...text(3, "http")]);
    const bytes = [...long(5, byNumber), ...long(5, byName)];
    assert.deepEqual(decode(Buffer.from(bytes), Thing), {
      ports: [{ target: 8080 }, { target: "http" }],
    });
  });

  it("throws on what is cut or of another type, and never reads on behind it", () => {
    const bytes = Buffer.from([...text(1, "name"), ...long(5, text(1, "http"))]);
    for (const length of [1, 3, 5, 8, 9, 11]) {
      assert.throws(() => decode(bytes.subarray(0, length), Thing), RangeError, `${length}`);
    }
    assert.throws(() => decode(Buffer.from(integer(1, 7)), Thing), RangeError);
    assert.throws(() => decode(Buffer.from(text(2, "7")), Thing), RangeError);
    assert.throws(() => decode(Buffer.from([9 * 8 + 3]), Thing), RangeError);
  });

  it("takes no other bytes for a message than such without an end", () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        try {
          decode(Buffer.from(bytes), Thing);
        } catch (error) {
          assert.ok(error instanceof RangeError);
        }
      }),
    );
  });
});

describe("protobufEvents", () => {
  const standing = (kind: string, object: number[]) => [
    ...Buffer.from("k8s\0"),
    ...long(1, [...text(1, "v1"), ...text(2, kind)]),
    ...long(2, object),
  ];
  const frame = (type: string, kind: string, object: number[]) => {
    const event = [...text(1, type), ...long(2, long(1, standing(kind, object)))];
    const length = Buffer.alloc(4);
    length.writeUInt32BE(event.length);
    return [...length, ...event];
  };

  it("gives each event, wherever the bytes are cut", () => {
    const names = fc.array(fc.string({ minLength: 1, maxLength: 300 }));
    const cuts = fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1 });
    fc.assert(
      fc.property(names, cuts, (names, cuts) => {
        const bytes = Buffer.from(names.flatMap((name) => frame("ADDED", "Thing", text(1, name))));
        const seen: unknown[] = [];
        const write = protobufEvents(Thing, (event) => void seen.push(event));
        for (let at = 0, turn = 0; at < bytes.length; turn++) {
          const end = at + cuts[turn % cuts.length]!;
          write(bytes.subarray(at, end));
          at = end;
        }
        assert.deepEqual(
          seen,
          names.map((name) => ({ type: "ADDED", object: { name } })),
        );
      }),
    );
  });

  it("gives an object larger than its room, and small ones after it", () => {
    const large = "x".repeat(300_000);
    const bytes = Buffer.from(
      [large, "a", large, "b"].flatMap((name) => frame("ADDED", "Thing", text(1, name))),
    );
    const seen: unknown[] = [];
    const write = protobufEvents(Thing, (event) => {
      seen.push((event as { object: { name: string } }).object.name.length);
    });
    for (let at = 0; at < bytes.length; at += 16_384) write(bytes.subarray(at, at + 16_384));
    assert.deepEqual(seen, [large.length, 1, large.length, 1]);
  });

  it("gives the Status of an error", () => {
    const seen: unknown[] = [];
    const status = [...text(3, "too old"), ...text(4, "Expired"), ...integer(6, 410)];
    protobufEvents(
      Thing,
      (event) => void seen.push(event),
    )(Buffer.from(frame("ERROR", "Status", status)));
    const object = { message: "too old", reason: "Expired", code: 410 };
    assert.deepEqual(seen, [{ type: "ERROR", object }]);
  });

  it("throws on a frame that is too large, and on what is no object", () => {
    assert.throws(() => protobufEvents(Thing, () => {})(Buffer.alloc(8, 0xff)), RangeError);
    assert.throws(() => readObject(Buffer.from("{}"), Thing), RangeError);
  });
});
