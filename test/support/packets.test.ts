import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32c, internetChecksum } from "./checksum.js";
import {
  destinationOptions,
  eth,
  fragment,
  hopByHop,
  ipv4,
  ipv6,
  packet,
  payload,
  routing,
  vlan,
} from "./packets.js";
import { icmp, icmpv6, sctp, tcp, udp } from "./transports.js";

test("checksums agree with published examples", () => {
  // RFC 1071 section 3, and the check value of CRC-32C.
  assert.equal(internetChecksum(Buffer.from("0001f203f4f5f6f7", "hex")), 0x220d);
  assert.equal(crc32c(Buffer.from("123456789")), 0xe3069283);
});

test("an IPv4 header sums to zero, options included", () => {
  const bytes = packet(ipv4({ options: Buffer.from([7, 3, 4]) }), udp(), payload("x"));
  assert.equal(bytes[0], 0x46);
  assert.equal(internetChecksum(bytes.subarray(0, 24)), 0);
  assert.equal(bytes.readUInt16BE(2), bytes.length);
});

test("transport checksums sum to zero with the pseudo header", () => {
  for (const [layer, protocol] of [
    [tcp(), 6],
    [udp(), 17],
  ] as const) {
    const bytes = packet(ipv4(), layer, payload("odd"));
    const pseudo = Buffer.from([0, protocol, 0, bytes.length - 20]);
    const segment = bytes.subarray(20);
    assert.equal(internetChecksum(bytes.subarray(12, 20), pseudo, segment), 0);
  }
  const bytes = packet(ipv6(), icmpv6(), payload("odd"));
  const pseudo = Buffer.from([0, 0, 0, bytes.length - 40, 0, 0, 0, 58]);
  assert.equal(internetChecksum(bytes.subarray(8, 40), pseudo, bytes.subarray(40)), 0);
  assert.equal(internetChecksum(packet(icmp(), payload(5))), 0);
  const chunk = packet(sctp(), payload(8));
  const sum = chunk.readUInt32LE(8);
  chunk.writeUInt32LE(0, 8);
  assert.equal(sum, crc32c(chunk));
});

test("each layer names the next", () => {
  const tagged = packet(eth(), vlan({ id: 5, qinq: true }), vlan({ id: 6 }), ipv6(), tcp());
  assert.equal(tagged.subarray(12, 24).toString("hex"), "88a800058100000686dd6000");
  const extended = packet(
    ipv6(),
    hopByHop(),
    destinationOptions(),
    routing(),
    fragment({ offset: 8, more: true, id: 0x01020304 }),
    udp(),
  );
  assert.deepEqual([extended[6], extended[40], extended[48], extended[56]], [0, 60, 43, 44]);
  assert.equal(extended.subarray(64, 72).toString("hex"), "1100000901020304");
  assert.equal(extended.readUInt16BE(4), extended.length - 40);
});

test("a header lies when told to", () => {
  const bytes = packet(
    ipv4({ totalLength: 9, headerWords: 15, version: 5, checksum: 1, fragmentOffset: 800 }),
    udp({ length: 3, checksum: 2 }),
  );
  assert.deepEqual([bytes[0], bytes.readUInt16BE(2), bytes.readUInt16BE(10)], [0x5f, 9, 1]);
  assert.equal(bytes.readUInt16BE(6), 100);
  assert.deepEqual([bytes.readUInt16BE(24), bytes.readUInt16BE(26)], [3, 2]);
});
