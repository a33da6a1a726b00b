import assert from "node:assert/strict";
import { test } from "node:test";
import { decodePacket, describePacket } from "./packet-decode.js";
import { buildFrame } from "./packet-frame.js";
import { readPacketWords } from "./packet-words.js";

test("every prefix of a frame is decoded as far as it reaches, without an error", () => {
  for (const words of [
    ["tcp", "10.0.0.1:1", "10.0.0.2:2"],
    ["tcp", "[2001:db8::1]:1", "[2001:db8::2]:2"],
  ]) {
    const frame = buildFrame(readPacketWords(words, { vlan: ["5", "6"], ipOptions: true }));
    for (let length = 0; length <= frame.length; length++) {
      const decoded = decodePacket(frame.subarray(0, length));
      assert.ok(describePacket(decoded).length > 0);
      assert.equal(decoded.source === undefined, decoded.protocol === undefined);
    }
    assert.match(describePacket(decodePacket(frame)), /^vlan 5 vlan 6 tcp .* SYN$/);
  }
});

test("frames that are not IP are called by their EtherType", () => {
  const frame = (type: string) => Buffer.from(`ffffffffffff020000000001${type}0001`, "hex");
  assert.equal(describePacket(decodePacket(frame("0806"))), "ARP");
  assert.equal(describePacket(decodePacket(frame("88cc"))), "LLDP");
  assert.equal(describePacket(decodePacket(frame("1234"))), "EtherType 0x1234");
  assert.equal(describePacket(decodePacket(frame("0800"))), "IPv4, cut short");
  assert.equal(describePacket(decodePacket(Buffer.alloc(3))), "frame, cut short");
});

test("a chain of IPv6 extension headers that never ends is given up", () => {
  const frame = buildFrame(readPacketWords(["udp", "2001:db8::1", "[2001:db8::2]:2"], {}));
  frame.writeUInt8(0, 20);
  const chain = Buffer.concat([frame.subarray(0, 54), Buffer.alloc(8 * 100)]);
  assert.equal(decodePacket(chain).protocol, 0);
});
