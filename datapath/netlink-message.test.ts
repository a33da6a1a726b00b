import assert from "node:assert/strict";
import { test } from "node:test";
import {
  attributeString,
  attributeU32,
  encodeRequest,
  parseAttributes,
  parseMessages,
} from "./netlink-message.js";

test("messages of one buffer are split at their padded ends", () => {
  const first = encodeRequest(16, 0x300, 7, Buffer.from([1, 2, 3]));
  const second = encodeRequest(17, 0, 8, Buffer.alloc(0));
  assert.equal(first.length, 20);
  const found = [...parseMessages(Buffer.concat([first, second]))];
  assert.deepEqual(
    found.map(({ type, flags, sequence, payload }) => [type, flags, sequence, payload.length]),
    [
      [16, 0x301, 7, 3],
      [17, 1, 8, 0],
    ],
  );
});

test("attributes are read after the fixed header, without the bits that are flags", () => {
  const bytes = Buffer.from("ffffffff0600030065740000080004802a000000", "hex");
  const attributes = parseAttributes(bytes, 4);
  assert.equal(attributeString(attributes, 3), "et");
  assert.equal(attributeU32(attributes, 4), 42);
  assert.equal(attributeU32(attributes, 9), undefined);
});

test("bytes that are cut or lie about their length end the list and do not loop", () => {
  assert.deepEqual([...parseMessages(Buffer.alloc(15))], []);
  assert.deepEqual([...parseMessages(Buffer.alloc(32))], []);
  const lying = Buffer.alloc(16);
  lying.writeUInt32LE(1000, 0);
  assert.deepEqual([...parseMessages(lying)], []);
  assert.equal(parseAttributes(Buffer.from("00000300", "hex")).size, 0);
  assert.equal(parseAttributes(Buffer.from("ff000300", "hex")).size, 0);
  assert.equal(attributeU32(parseAttributes(Buffer.from("060003000102", "hex")), 3), undefined);
});
