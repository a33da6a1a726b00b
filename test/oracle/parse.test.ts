/** Each line of docs/xdp-policy.md §4, in packets written out byte by byte. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import { formatAddress } from "./address.js";
import type { Packet } from "./packet.js";
import { parseFrame } from "./parse.js";

const MACS = "020000000001 020000000002";
const IPV4_ADDRESSES = "c0000201 c6336402"; // 192.0.2.1 → 198.51.100.2
const IPV6_ADDRESSES = "20010db8000000000000000000000001 20010db8000000000000000000000002";
const TCP_SYN = "c350 0050 00000001 00000000 50 02 ffff 0000 0000"; // 50000 → 80
const UDP = "0035 c351 0008 0000"; // 53 → 50001
const ECHO = "08 00 0000 0001 0001";

/** Hexadecimal digits and blanks → bytes. */
function bytes(...hex: readonly string[]): Uint8Array {
  return Uint8Array.from(Buffer.from(hex.join("").replaceAll(" ", ""), "hex"));
}

/** Total length, fragment field and protocol vary; the rest is ordinary. */
function ipv4(totalLength: string, fragment: string, protocol: string): string {
  return `45 00 ${totalLength} 1234 ${fragment} 40 ${protocol} 0000 ${IPV4_ADDRESSES}`;
}

function ipv6(payloadLength: string, nextHeader: string): string {
  return `60000000 ${payloadLength} ${nextHeader} 40 ${IPV6_ADDRESSES}`;
}

/** An Ethernet frame with an IPv4 packet. */
function frame4(...hex: readonly string[]): Uint8Array {
  return bytes(MACS, "0800", ...hex);
}

function frame6(...hex: readonly string[]): Uint8Array {
  return bytes(MACS, "86dd", ...hex);
}

function parsed(frame: Uint8Array): Packet {
  const result = parseFrame(frame);
  if (result.kind !== "parsed") {
    assert.fail(inspect(result));
  }
  return result.packet;
}

function assertUnparsable(frame: Uint8Array, reason: string): void {
  assert.deepEqual(parseFrame(frame), { kind: "unparsable", reason });
}

const PLAIN_TCP = frame4(ipv4("0028", "0000", "06"), TCP_SYN);

describe("Ethernet and VLAN tags", () => {
  it("ARP, LLDP and an IEEE 802.3 length are not IP", () => {
    for (const etherType of ["0806", "88cc", "0026"]) {
      assert.deepEqual(parseFrame(bytes(MACS, etherType, "00".repeat(46))), { kind: "not-ip" });
    }
  });

  it("the EtherType decides, not what follows", () => {
    assert.deepEqual(parseFrame(bytes(MACS, "9100", ipv4("0028", "0000", "06"), TCP_SYN)), {
      kind: "not-ip",
    });
  });

  it("one or two tags of either kind are skipped", () => {
    for (const tags of ["8100 0064", "88a8 0064", "88a8 0064 8100 0065", "8100 0064 8100 0065"]) {
      const packet = parsed(bytes(MACS, tags, "0800", ipv4("0028", "0000", "06"), TCP_SYN));
      assert.deepEqual(packet.ports, { source: 50_000, destination: 80 }, tags);
    }
  });

  it("a tagged packet that is not IP is not IP", () => {
    assert.deepEqual(parseFrame(bytes(MACS, "8100 0064 0806", "00".repeat(28))), {
      kind: "not-ip",
    });
  });

  it("a third tag is too deep, whether or not its bytes are there", () => {
    const two = "88a8 0001 8100 0002";
    assertUnparsable(
      bytes(MACS, two, "8100 0003 0800", ipv4("0028", "0000", "06"), TCP_SYN),
      "vlan-depth",
    );
    assertUnparsable(bytes(MACS, two, "88a8"), "vlan-depth");
  });

  it("an Ethernet header or a tag cut short is truncated", () => {
    assertUnparsable(bytes(""), "truncated");
    assertUnparsable(bytes(MACS, "08"), "truncated");
    assertUnparsable(bytes(MACS, "8100"), "truncated");
    assertUnparsable(bytes(MACS, "8100 0064 08"), "truncated");
    assertUnparsable(bytes(MACS, "8100 0064 8100 0064 08"), "truncated");
  });
});

describe("the IPv4 header", () => {
  it("gives addresses and protocol", () => {
    const packet = parsed(PLAIN_TCP);
    assert.equal(formatAddress(packet.source), "192.0.2.1");
    assert.equal(formatAddress(packet.destination), "198.51.100.2");
    assert.equal(packet.protocol, 6);
    assert.equal(packet.hasOptions, false);
    assert.equal(packet.fragment, undefined);
    assert.deepEqual([...packet.traits], []);
  });

  it("cut at any byte is truncated", () => {
    for (let length = 14; length < PLAIN_TCP.length; length += 1) {
      assertUnparsable(PLAIN_TCP.subarray(0, length), "truncated");
    }
  });

  it("with another version or less than 20 bytes of header is truncated", () => {
    const rest = ipv4("0028", "0000", "06").slice(2) + TCP_SYN;
    for (const versionAndLength of ["55", "65", "05", "44", "40"]) {
      assertUnparsable(frame4(versionAndLength, rest), "truncated");
    }
  });

  it("with a total length below the header or beyond the frame is truncated", () => {
    for (const totalLength of ["0000", "0013", "0029", "ffff"]) {
      assertUnparsable(frame4(ipv4(totalLength, "0000", "06"), TCP_SYN), "truncated");
    }
  });

  it("with a total length that ends inside its own options is truncated", () => {
    const options = "46 00 0014 1234 0000 40 2f 0000";
    assertUnparsable(frame4(options, IPV4_ADDRESSES, "01010101"), "truncated");
  });

  it("with options: they are skipped and give the trait IPOptions", () => {
    const header = `47 00 0030 1234 0000 40 06 0000 ${IPV4_ADDRESSES} 01010101 01010100`;
    const packet = parsed(frame4(header, TCP_SYN));
    assert.deepEqual(packet.ports, { source: 50_000, destination: 80 });
    assert.deepEqual([...packet.traits], ["IPOptions"]);
  });

  it("padding behind the total length is not part of the packet", () => {
    assert.deepEqual(parsed(frame4(ipv4("0028", "0000", "06"), TCP_SYN, "000000000000")).ports, {
      source: 50_000,
      destination: 80,
    });
    // 18 bytes of TCP by the total length; the frame holds 20.
    assertUnparsable(frame4(ipv4("0026", "0000", "06"), TCP_SYN), "truncated");
    assertUnparsable(frame4(ipv4("001a", "0000", "11"), UDP), "truncated");
  });
});

describe("the IPv6 header and its extension headers", () => {
  const HOP_BY_HOP_TO_TCP = "06 00 010400000000";
  const EMPTY_TO_DESTINATION = "3c 00 010400000000";

  it("gives addresses and protocol", () => {
    const packet = parsed(frame6(ipv6("0014", "06"), TCP_SYN));
    assert.equal(formatAddress(packet.source), "2001:db8::1");
    assert.equal(formatAddress(packet.destination), "2001:db8::2");
    assert.equal(packet.protocol, 6);
    assert.deepEqual(packet.ports, { source: 50_000, destination: 80 });
    assert.deepEqual([...packet.traits], []);
  });

  it("cut at any byte is truncated", () => {
    const whole = frame6(ipv6("0024", "00"), "2b 00 010400000000", "06 00 000000000000", TCP_SYN);
    assert.equal(parsed(whole).protocol, 6);
    for (let length = 14; length < whole.length; length += 1) {
      assertUnparsable(whole.subarray(0, length), "truncated");
    }
  });

  it("with another version or a payload beyond the frame is truncated", () => {
    assertUnparsable(frame6("4", ipv6("0014", "06").slice(1), TCP_SYN), "truncated");
    assertUnparsable(frame6(ipv6("0015", "06"), TCP_SYN), "truncated");
  });

  it("a jumbogram's length of 0 leaves no room for TCP", () => {
    assertUnparsable(frame6(ipv6("0000", "06"), TCP_SYN), "truncated");
  });

  it("hop-by-hop, routing and destination options are skipped and give IPOptions", () => {
    for (const header of ["00", "2b", "3c"]) {
      const packet = parsed(frame6(ipv6("001c", header), HOP_BY_HOP_TO_TCP, TCP_SYN));
      assert.equal(packet.protocol, 6);
      assert.deepEqual(packet.ports, { source: 50_000, destination: 80 });
      assert.deepEqual([...packet.traits], ["IPOptions"]);
    }
  });

  it("an extension header's length counts 8-byte units after the first", () => {
    const packet = parsed(frame6(ipv6("0024", "3c"), `06 01 ${"00".repeat(14)}`, TCP_SYN));
    assert.deepEqual(packet.ports, { source: 50_000, destination: 80 });
  });

  it("an extension header that ends behind the packet is truncated", () => {
    assertUnparsable(frame6(ipv6("001c", "3c"), "3b 03 010400000000", TCP_SYN), "truncated");
    assertUnparsable(frame6(ipv6("0001", "3c"), "3b"), "truncated");
  });

  it("eight are walked, a ninth is unparsable even if its bytes are missing", () => {
    const eight = EMPTY_TO_DESTINATION.repeat(7) + HOP_BY_HOP_TO_TCP;
    assert.equal(parsed(frame6(ipv6("0054", "3c"), eight, TCP_SYN)).protocol, 6);
    const nine = EMPTY_TO_DESTINATION.repeat(8) + HOP_BY_HOP_TO_TCP;
    assertUnparsable(frame6(ipv6("005c", "3c"), nine, TCP_SYN), "extension-headers");
    assertUnparsable(
      frame6(ipv6("0040", "3c"), EMPTY_TO_DESTINATION.repeat(8)),
      "extension-headers",
    );
  });

  it("the fragment header is not one of the eight", () => {
    const headers = `${EMPTY_TO_DESTINATION.repeat(7)} 2c 00 010400000000 06 00 0001 00000007`;
    const packet = parsed(frame6(ipv6("005c", "3c"), headers, TCP_SYN));
    assert.deepEqual([packet.protocol, packet.fragment?.id], [6, 7]);
  });

  it("a second fragment header is unparsable", () => {
    const headers = "2c 00 0001 00000007 06 00 0001 00000008";
    assertUnparsable(frame6(ipv6("0024", "2c"), headers, TCP_SYN), "extension-headers");
  });

  it("authentication, ESP, no-next-header and unknown protocols end the walk", () => {
    for (const [hex, protocol] of [
      ["33", 51],
      ["32", 50],
      ["3b", 59],
      ["87", 135],
      ["fd", 253],
    ] as const) {
      const packet = parsed(frame6(ipv6("0014", hex), TCP_SYN));
      assert.equal(packet.protocol, protocol);
      assert.equal(packet.ports, undefined);
      assert.deepEqual([...packet.traits], []);
      assert.equal(parsed(frame6(ipv6("0000", hex))).protocol, protocol);
    }
  });

  it("number 43, 44, 0 and 60 are ordinary protocols in IPv4", () => {
    for (const [hex, protocol] of [
      ["2b", 43],
      ["2c", 44],
      ["00", 0],
      ["3c", 60],
    ] as const) {
      assert.equal(parsed(frame4(ipv4("0014", "0000", hex))).protocol, protocol);
    }
  });
});

describe("the header above IP", () => {
  it("TCP needs 20 bytes and a data offset of at least 5 within the packet", () => {
    const tcp = (offset: string) => TCP_SYN.replace(" 50 02", ` ${offset} 02`);
    assertUnparsable(frame4(ipv4("0028", "0000", "06"), tcp("40")), "truncated");
    assertUnparsable(frame4(ipv4("0028", "0000", "06"), tcp("00")), "truncated");
    assertUnparsable(frame4(ipv4("0028", "0000", "06"), tcp("60")), "truncated");
    assert.equal(parsed(frame4(ipv4("002c", "0000", "06"), tcp("60"), "02040218")).protocol, 6);
    // The option lies in the padding.
    assertUnparsable(frame4(ipv4("0028", "0000", "06"), tcp("60"), "02040218"), "truncated");
  });

  it("TCP flags are those of the flags byte", () => {
    const tcp = TCP_SYN.replace(" 50 02", " 50 a9");
    assert.deepEqual(
      [...(parsed(frame4(ipv4("0028", "0000", "06"), tcp)).tcpFlags ?? [])],
      ["FIN", "PSH", "URG", "CWR"],
    );
  });

  it("UDP needs 8 bytes and a length field of at least 8 within the IP payload", () => {
    const udp = (length: string) => `0035 c351 ${length} 0000`;
    assert.deepEqual(parsed(frame4(ipv4("001c", "0000", "11"), UDP)).ports, {
      source: 53,
      destination: 50_001,
    });
    assert.equal(parsed(frame4(ipv4("001e", "0000", "11"), UDP, "ffff")).protocol, 17);
    for (const length of ["0000", "0007", "0009"]) {
      assertUnparsable(frame4(ipv4("001c", "0000", "11"), udp(length), "00"), "truncated");
    }
    assertUnparsable(frame6(ipv6("0007", "11"), UDP), "truncated");
  });

  it("SCTP needs 12 bytes", () => {
    const sctp = "0e0c 232b 00000000 00000000";
    assert.deepEqual(parsed(frame4(ipv4("0020", "0000", "84"), sctp)).ports, {
      source: 3596,
      destination: 9003,
    });
    assertUnparsable(frame4(ipv4("001f", "0000", "84"), sctp), "truncated");
  });

  it("ICMP needs 8 bytes in IPv4, ICMPv6 in IPv6", () => {
    assert.deepEqual(parsed(frame4(ipv4("001c", "0000", "01"), ECHO)).icmp, { type: 8, code: 0 });
    assertUnparsable(frame4(ipv4("001b", "0000", "01"), ECHO), "truncated");
    assert.deepEqual(parsed(frame6(ipv6("0008", "3a"), "86 01 0000 00000000")).icmp, {
      type: 134,
      code: 1,
    });
    assertUnparsable(frame6(ipv6("0007", "3a"), "86 01 0000 00000000"), "truncated");
  });

  it("protocol 58 in IPv4 and 1 in IPv6 are numbers like any other", () => {
    const inIpv4 = parsed(frame4(ipv4("0015", "0000", "3a"), "86"));
    assert.deepEqual([inIpv4.protocol, inIpv4.icmp], [58, undefined]);
    const inIpv6 = parsed(frame6(ipv6("0001", "01"), "08"));
    assert.deepEqual([inIpv6.protocol, inIpv6.icmp], [1, undefined]);
  });

  it("GRE, ESP and IP in IP have a number and nothing else", () => {
    for (const [hex, protocol] of [
      ["2f", 47],
      ["32", 50],
      ["04", 4],
    ] as const) {
      const packet = parsed(frame4(ipv4("0018", "0000", hex), "00000800"));
      assert.deepEqual(
        [packet.protocol, packet.ports, packet.icmp],
        [protocol, undefined, undefined],
      );
    }
  });
});

describe("fragments", () => {
  it("the first of several has ports and the trait Fragment", () => {
    const packet = parsed(frame4(ipv4("0028", "2000", "06"), TCP_SYN));
    assert.deepEqual(packet.fragment, { id: 0x1234, protocol: 6, offset: 0, more: true });
    assert.deepEqual(packet.ports, { source: 50_000, destination: 80 });
    assert.deepEqual([...packet.traits], ["Fragment"]);
  });

  it("the first must hold the whole fixed header", () => {
    assertUnparsable(frame4(ipv4("001c", "2000", "06"), TCP_SYN.slice(0, 20)), "truncated");
    assertUnparsable(frame4(ipv4("001b", "2000", "11"), UDP), "truncated");
  });

  it("in the first, UDP's length and TCP's options may point beyond it", () => {
    assert.equal(parsed(frame4(ipv4("001c", "2000", "11"), "0035 c351 ffff 0000")).protocol, 17);
    const longTcp = TCP_SYN.replace(" 50 02", " f0 02");
    assert.equal(parsed(frame4(ipv4("0028", "2000", "06"), longTcp)).protocol, 6);
  });

  it("in the first, UDP's length below 8 and TCP's offset below 5 are still wrong", () => {
    assertUnparsable(frame4(ipv4("001c", "2000", "11"), "0035 c351 0007 0000"), "truncated");
    const shortTcp = TCP_SYN.replace(" 50 02", " 40 02");
    assertUnparsable(frame4(ipv4("0028", "2000", "06"), shortTcp), "truncated");
  });

  it("a later one has addresses and protocol but nothing above, however short", () => {
    for (const field of ["2001", "0001", "3fff", "1fff"]) {
      const packet = parsed(frame4(ipv4("0028", field, "06"), TCP_SYN));
      assert.equal(packet.protocol, 6);
      assert.equal(packet.ports, undefined);
      assert.equal(packet.tcpFlags, undefined);
      assert.deepEqual([...packet.traits], ["Fragment"]);
      assert.equal(parsed(frame4(ipv4("0014", field, "06"))).protocol, 6);
    }
  });

  it("the don't-fragment and the reserved bit make no fragment", () => {
    assert.equal(parsed(frame4(ipv4("0028", "c000", "06"), TCP_SYN)).fragment, undefined);
  });

  it("IPv6: the fragment header gives id, offset and M", () => {
    const first = parsed(frame6(ipv6("001c", "2c"), "06 00 0001 deadbeef", TCP_SYN));
    assert.deepEqual(first.fragment, { id: 0xdeadbeef, protocol: 6, offset: 0, more: true });
    assert.deepEqual(first.ports, { source: 50_000, destination: 80 });
    assert.deepEqual([...first.traits], ["Fragment"]);
    const later = parsed(frame6(ipv6("0009", "2c"), "06 00 0009 deadbeef", "00"));
    assert.deepEqual(later.fragment, { id: 0xdeadbeef, protocol: 6, offset: 1, more: true });
    assert.deepEqual([later.protocol, later.ports], [6, undefined]);
  });

  it("IPv6: the two reserved bits beside M mean nothing", () => {
    const packet = parsed(frame6(ipv6("001c", "2c"), "06 ff 0006 deadbeef", TCP_SYN));
    assert.equal(packet.fragment, undefined);
  });

  it("IPv6: an atomic fragment is a whole packet", () => {
    const packet = parsed(frame6(ipv6("001c", "2c"), "06 00 0000 deadbeef", TCP_SYN));
    assert.equal(packet.fragment, undefined);
    assert.deepEqual([...packet.traits], []);
    assertUnparsable(
      frame6(ipv6("0010", "2c"), "11 00 0000 00000001", "0035 c351 0009 0000"),
      "truncated",
    );
  });

  it("IPv6: headers behind the fragment header are walked in the first only", () => {
    const options = "06 00 010400000000";
    const first = parsed(frame6(ipv6("0024", "2c"), "3c 00 0001 00000001", options, TCP_SYN));
    assert.deepEqual([first.protocol, first.ports?.destination], [6, 80]);
    assert.deepEqual([...first.traits], ["Fragment", "IPOptions"]);
    const later = parsed(frame6(ipv6("0010", "2c"), "3c 00 0008 00000001", options));
    assert.equal(later.protocol, 60);
    assert.deepEqual([...later.traits], ["Fragment"]);
  });

  it("IPv6: a fragment header cut short is truncated", () => {
    assertUnparsable(frame6(ipv6("0007", "2c"), "06 00 0008 000000"), "truncated");
  });
});
