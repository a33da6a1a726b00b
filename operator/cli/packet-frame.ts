/** What a frame is built from. Addresses are 4 or 16 bytes, both of one family. */
export interface PacketDescription {
  /** Outermost first, 0–4095 each. */
  readonly vlans: readonly number[];
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly transport: Transport;
  readonly fragment: "none" | "first" | "later";
  /** IPv4 options, or an IPv6 hop-by-hop header. */
  readonly ipOptions: boolean;
  /** Bytes behind the transport header. */
  readonly payloadBytes: number;
}

export type Transport =
  | {
      readonly kind: "tcp";
      readonly sourcePort: number;
      readonly destinationPort: number;
      /** FIN in bit 0 to CWR in bit 7. */
      readonly flags: number;
    }
  | {
      readonly kind: "udp" | "sctp";
      readonly sourcePort: number;
      readonly destinationPort: number;
    }
  | { readonly kind: "icmp" | "icmpv6"; readonly type: number; readonly code: number }
  | { readonly kind: "protocol"; readonly number: number };

const numbers = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58, sctp: 132 } as const;
const hopByHop = 0;
const fragmentHeader = 44;

/** Where a later fragment of a full-size packet begins, in bytes. */
const laterOffset = 1480;
const fragmentId = 0x51c3;

export function protocolNumber(transport: Transport): number {
  return transport.kind === "protocol" ? transport.number : numbers[transport.kind];
}

/**
 * An Ethernet frame with true lengths and checksums (RFC 791, 8200, 9293, 768, 792, 4443, 9260).
 */
export function buildFrame(packet: PacketDescription): Buffer {
  const isIpv6 = packet.source.length === 16;
  const content = buildContent(packet);
  const ip = isIpv6 ? buildIpv6(packet, content) : buildIpv4(packet, content);
  return Buffer.concat([buildEthernet(packet.vlans, isIpv6 ? 0x86dd : 0x0800), ip]);
}

function buildContent(packet: PacketDescription): Buffer {
  if (packet.fragment === "later") return pattern(packet.payloadBytes);
  const content = buildTransport(packet);
  const surplus = content.length % 8;
  if (packet.fragment === "none" || surplus === 0) return content;
  // All fragments but the last carry a multiple of eight bytes.
  return buildTransport({ ...packet, payloadBytes: packet.payloadBytes + 8 - surplus });
}

function buildEthernet(vlans: readonly number[], etherType: number): Buffer {
  const parts = [Buffer.from("020000000002020000000001", "hex")];
  vlans.forEach((vlan, index) => {
    const tag = Buffer.alloc(4);
    // The outer of two tags is a provider's (802.1ad), the inner one a customer's (802.1Q).
    tag.writeUInt16BE(index < vlans.length - 1 ? 0x88a8 : 0x8100, 0);
    tag.writeUInt16BE(vlan, 2);
    parts.push(tag);
  });
  const type = Buffer.alloc(2);
  type.writeUInt16BE(etherType);
  return Buffer.concat([...parts, type]);
}

function buildIpv4(packet: PacketDescription, content: Buffer): Buffer {
  // Three no-operation options and the end of the list.
  const options = packet.ipOptions ? Buffer.from([1, 1, 1, 0]) : Buffer.alloc(0);
  const header = Buffer.alloc(20 + options.length);
  options.copy(header, 20);
  header.writeUInt8(0x40 | (header.length / 4), 0);
  header.writeUInt16BE(header.length + content.length, 2);
  header.writeUInt16BE(packet.fragment === "none" ? 0 : fragmentId, 4);
  const moreFragments = 0x2000;
  const doNotFragment = 0x4000;
  const words = { none: doNotFragment, first: moreFragments, later: laterOffset / 8 };
  header.writeUInt16BE(words[packet.fragment], 6);
  header.writeUInt8(64, 8);
  header.writeUInt8(protocolNumber(packet.transport), 9);
  header.set(packet.source, 12);
  header.set(packet.destination, 16);
  header.writeUInt16BE(internetChecksum(header), 10);
  return Buffer.concat([header, content]);
}

function buildIpv6(packet: PacketDescription, content: Buffer): Buffer {
  const headers: { readonly type: number; readonly bytes: Buffer }[] = [];
  // Hop-by-hop with one PadN option of four bytes.
  if (packet.ipOptions)
    headers.push({ type: hopByHop, bytes: Buffer.from([0, 0, 1, 4, 0, 0, 0, 0]) });
  if (packet.fragment !== "none") {
    const bytes = Buffer.alloc(8);
    bytes.writeUInt16BE(packet.fragment === "first" ? 1 : laterOffset, 2);
    bytes.writeUInt32BE(fragmentId, 4);
    headers.push({ type: fragmentHeader, bytes });
  }
  const protocol = protocolNumber(packet.transport);
  headers.forEach(({ bytes }, index) => {
    bytes.writeUInt8(headers[index + 1]?.type ?? protocol, 0);
  });
  const rest = Buffer.concat([...headers.map(({ bytes }) => bytes), content]);
  const header = Buffer.alloc(40);
  header.writeUInt8(0x60, 0);
  header.writeUInt16BE(rest.length, 4);
  header.writeUInt8(headers[0]?.type ?? protocol, 6);
  header.writeUInt8(64, 7);
  header.set(packet.source, 8);
  header.set(packet.destination, 24);
  return Buffer.concat([header, rest]);
}

function buildTransport(packet: PacketDescription): Buffer {
  const { transport } = packet;
  const payload = pattern(packet.payloadBytes);
  switch (transport.kind) {
    case "tcp": {
      const header = ports(transport, 20);
      header.writeUInt32BE(1, 4);
      header.writeUInt8(5 << 4, 12);
      header.writeUInt8(transport.flags, 13);
      header.writeUInt16BE(64_240, 14);
      return withChecksum(packet, Buffer.concat([header, payload]), 16);
    }
    case "udp": {
      const header = ports(transport, 8);
      header.writeUInt16BE(8 + payload.length, 4);
      const segment = withChecksum(packet, Buffer.concat([header, payload]), 6);
      // A computed 0 is sent as all ones: 0 means "no checksum" (RFC 768).
      if (segment.readUInt16BE(6) === 0) segment.writeUInt16BE(0xffff, 6);
      return segment;
    }
    case "sctp": {
      // One DATA chunk, padded to four bytes.
      const chunk = Buffer.alloc(16 + Math.ceil(payload.length / 4) * 4);
      chunk.writeUInt8(3, 1);
      chunk.writeUInt16BE(16 + payload.length, 2);
      payload.copy(chunk, 16);
      const segment = Buffer.concat([ports(transport, 12), chunk]);
      segment.writeUInt32BE(1, 4);
      segment.writeUInt32LE(crc32c(segment), 8);
      return segment;
    }
    case "icmp":
    case "icmpv6": {
      const header = Buffer.alloc(8);
      header.writeUInt8(transport.type, 0);
      header.writeUInt8(transport.code, 1);
      header.writeUInt16BE(1, 4);
      header.writeUInt16BE(1, 6);
      const message = Buffer.concat([header, payload]);
      if (transport.kind === "icmpv6") return withChecksum(packet, message, 2);
      message.writeUInt16BE(internetChecksum(message), 2);
      return message;
    }
    case "protocol":
      return payload;
  }
}

function ports(
  {
    sourcePort,
    destinationPort,
  }: { readonly sourcePort: number; readonly destinationPort: number },
  headerBytes: number,
): Buffer {
  const header = Buffer.alloc(headerBytes);
  header.writeUInt16BE(sourcePort, 0);
  header.writeUInt16BE(destinationPort, 2);
  return header;
}

/**
 * Writes the checksum over pseudo-header and segment; in a first fragment it covers what is there.
 */
function withChecksum(packet: PacketDescription, segment: Buffer, at: number): Buffer {
  const length = Buffer.alloc(8);
  length.writeUInt32BE(segment.length, 0);
  length.writeUInt32BE(protocolNumber(packet.transport), 4);
  const covered = Buffer.concat([packet.source, packet.destination, length, segment]);
  segment.writeUInt16BE(internetChecksum(covered), at);
  return segment;
}

/** Letters, as `ping` and others send: recognised at once in a dump. */
function pattern(length: number): Buffer {
  return Buffer.from(Array.from({ length }, (_, index) => 97 + (index % 26)));
}

/** RFC 1071: of bytes in which the checksum's own field is zero. */
export function internetChecksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) {
    sum += (bytes[at]! << 8) | (bytes[at + 1] ?? 0);
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** RFC 9260 appendix A, bit by bit: a frame is short. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffff_ffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f6_3b78 : 0);
  }
  return ~crc >>> 0;
}
