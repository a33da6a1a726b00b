import assert from "node:assert/strict";
import { test } from "node:test";
import { SluiceError } from "../errors.js";
import { decodePacket, describePacket } from "./packet-decode.js";
import { buildFrame, crc32c, internetChecksum } from "./packet-frame.js";
import { type PacketOptions, readPacketWords } from "./packet-words.js";

const build = (words: string, options: PacketOptions = {}) =>
  buildFrame(readPacketWords(words.split(" "), options));

/** Sum over what the checksum of a TCP, UDP or ICMPv6 segment covers; 0 when it is right. */
function pseudoChecksum(frame: Buffer, protocol: number): number {
  const isIpv6 = frame.readUInt16BE(12) === 0x86dd;
  const addresses = isIpv6 ? frame.subarray(22, 54) : frame.subarray(26, 34);
  const segment = frame.subarray(isIpv6 ? 54 : 34);
  const tail = Buffer.from([0, 0, segment.length >> 8, segment.length & 255, 0, 0, 0, protocol]);
  return internetChecksum(Buffer.concat([addresses, tail, segment]));
}

const described: readonly (readonly [words: string, options: PacketOptions, says: string])[] = [
  ["tcp 10.0.0.1:1234 10.77.0.11:80", {}, "tcp 10.0.0.1:1234 > 10.77.0.11:80 SYN"],
  ["tcp 10.0.0.1 10.77.0.11:80", {}, "tcp 10.0.0.1:32768 > 10.77.0.11:80 SYN"],
  ["tcp 10.0.0.1:0 10.77.0.11:80", { flags: "none" }, "tcp 10.0.0.1:0 > 10.77.0.11:80 no flags"],
  [
    "TCP [2001:db8::1]:5 [2001:db8::2]:443",
    { flags: "syn,Ack" },
    "tcp [2001:db8::1]:5 > [2001:db8::2]:443 SYN,ACK",
  ],
  ["udp 10.0.0.1:53 10.0.0.2:9090", { vlan: ["7"] }, "vlan 7 udp 10.0.0.1:53 > 10.0.0.2:9090"],
  ["sctp 10.0.0.1:1 10.0.0.2:9003", {}, "sctp 10.0.0.1:1 > 10.0.0.2:9003"],
  ["icmp 10.0.0.1 10.0.0.2", {}, "icmp 10.0.0.1 > 10.0.0.2 type 8 code 0"],
  [
    "icmp 2001:db8::1 2001:db8::2",
    { type: "3", code: "1" },
    "icmpv6 2001:db8::1 > 2001:db8::2 type 3 code 1",
  ],
  ["ip 10.0.0.1 10.0.0.2", { protocol: "47" }, "gre 10.0.0.1 > 10.0.0.2"],
  ["10.0.0.1 10.0.0.2", { protocol: "50" }, "esp 10.0.0.1 > 10.0.0.2"],
  [
    "udp 10.0.0.1:1 10.0.0.2:2",
    { fragment: "first" },
    "udp 10.0.0.1:1 > 10.0.0.2:2 first fragment",
  ],
  ["udp 10.0.0.1:1 10.0.0.2:2", { fragment: "later" }, "udp 10.0.0.1 > 10.0.0.2 later fragment"],
  [
    "tcp [2001:db8::1]:5 [2001:db8::2]:443",
    { fragment: "later", ipOptions: true },
    "tcp 2001:db8::1 > 2001:db8::2 later fragment",
  ],
  [
    "udp [2001:db8::1]:5 [2001:db8::2]:443",
    { ipOptions: true },
    "udp [2001:db8::1]:5 > [2001:db8::2]:443",
  ],
];

for (const [words, options, says] of described) {
  const given = Object.entries(options).map(([name, value]) => ` --${name} ${String(value)}`);
  test(`"${words}${given.join("")}" becomes the frame it describes`, () => {
    assert.equal(describePacket(decodePacket(build(words, options))), says);
  });
}

test("two VLAN tags are 802.1ad outside and 802.1Q inside", () => {
  const frame = build("udp 10.0.0.1:1 10.0.0.2:2", { vlan: ["100", "7"] });
  assert.equal(frame.subarray(12, 22).toString("hex"), "88a80064810000070800");
});

test("lengths and header checksum of an IPv4 packet are those of RFC 791", () => {
  const frame = build("tcp 10.0.0.1:1 10.0.0.2:2", { ipOptions: true, payload: "3" });
  assert.equal(frame[14], 0x46);
  assert.equal(frame.readUInt16BE(16), frame.length - 14);
  assert.equal(internetChecksum(frame.subarray(14, 38)), 0);
});

test("the checksum of RFC 1071's example is its sum's complement", () => {
  assert.equal(internetChecksum(Buffer.from("0001f203f4f5f6f7", "hex")), 0xffff - 0xddf2);
});

for (const [words, protocol] of [
  ["tcp 10.0.0.1:1 10.0.0.2:2", 6],
  ["udp 10.0.0.1:1 10.0.0.2:2", 17],
  ["tcp [2001:db8::1]:1 [2001:db8::2]:2", 6],
  ["udp [2001:db8::1]:1 [2001:db8::2]:2", 17],
  ["icmp 2001:db8::1 2001:db8::2", 58],
] as const) {
  test(`the checksum of "${words}" covers the pseudo-header, odd lengths included`, () => {
    for (const payload of ["0", "7", "32"]) {
      assert.equal(pseudoChecksum(build(words, { payload }), protocol), 0);
    }
  });
}

test("CRC-32C of the digits 1 to 9 is the published check value", () => {
  assert.equal(crc32c(Buffer.from("123456789")), 0xe3069283);
});

test("the checksum of SCTP is CRC-32C over the packet with a zero checksum, low byte first", () => {
  const segment = build("sctp 10.0.0.1:1 10.0.0.2:2", { payload: "9" }).subarray(34);
  const sum = segment.readUInt32LE(8);
  segment.writeUInt32LE(0, 8);
  assert.equal(sum, crc32c(segment));
  assert.equal(segment.length % 4, 0);
});

test("a first fragment carries a multiple of eight bytes", () => {
  const frame = build("tcp 10.0.0.1:1 10.0.0.2:2", { fragment: "first", payload: "1" });
  assert.equal((frame.length - 34) % 8, 0);
});

const wrong: readonly (readonly [words: string, options: PacketOptions, says: RegExp])[] = [
  ["", {}, /no packet is described/],
  ["tcp 10.0.0.1", {}, /needs a protocol, a source and a destination/],
  ["tcp 10.0.0.1:1 10.0.0.2", {}, /tcp needs a destination port.*10\.0\.0\.2:PORT/],
  ["udp 2001:db8::1 2001:db8::2", {}, /needs a destination port.*\[2001:db8::2\]:PORT/],
  ["tcp 10.0.0.256 10.0.0.2:1", {}, /source 10\.0\.0\.256 is no IP address/],
  ["tcp 010.0.0.1 10.0.0.2:1", {}, /source 010\.0\.0\.1 is no IP address/],
  ["tcp 10.0.0.1:99999 10.0.0.2:1", {}, /port of the source is 99999/],
  ["tcp 10.0.0.1: 10.0.0.2:1", {}, /port of the source is empty/],
  ["tcp 10.0.0.1 [2001:db8::1]:1", {}, /two IP families/],
  ["tcp 10.0.0.1 10.0.0.2:1 10.0.0.3", {}, /one too many/],
  ["gre 10.0.0.1 10.0.0.2", {}, /gre is no protocol|one too many/],
  ["icmp 10.0.0.1:1 10.0.0.2", {}, /icmp has no ports/],
  ["icmpv6 10.0.0.1 10.0.0.2", {}, /IPv6 addresses/],
  ["udp 10.0.0.1 10.0.0.2:1", { flags: "SYN" }, /--flags does not go with udp/],
  ["tcp 10.0.0.1 10.0.0.2:1", { flags: "SYM" }, /SYM is no TCP flag/],
  ["tcp 10.0.0.1 10.0.0.2:1", { type: "8" }, /--type does not go with tcp/],
  ["ip 10.0.0.1 10.0.0.2", {}, /--protocol NUMBER/],
  ["ip 10.0.0.1 10.0.0.2", { protocol: "256" }, /from 0 to 255/],
  ["tcp 10.0.0.1 10.0.0.2:1", { vlan: ["4096"] }, /from 0 to 4095/],
  ["tcp 10.0.0.1 10.0.0.2:1", { fragment: "middle" }, /first or later/],
];

for (const [words, options, says] of wrong) {
  test(`"${words}" ${JSON.stringify(options)} is refused: ${says.source}`, () => {
    assert.throws(
      () => readPacketWords(words.split(" ").filter(Boolean), options),
      (error: unknown) =>
        error instanceof SluiceError && error.code === "SLUICE_USAGE" && says.test(error.message),
    );
  });
}
