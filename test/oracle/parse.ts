/** From a raw Ethernet frame to the facts that rules can ask for: docs/xdp-policy.md §4. */

import type { TcpFlag } from "../../operator/model/records.js";
import type { Address, Family } from "./address.js";
import {
  type Fragment,
  type IpHeader,
  isFirstFragment,
  isLaterFragment,
  type Packet,
  PROTOCOL,
  type Transport,
} from "./packet.js";
import { traitsOf } from "./traits.js";
import type { UnparsableReason } from "./world.js";

export type ParsedFrame =
  | { readonly kind: "not-ip" }
  | { readonly kind: "unparsable"; readonly reason: UnparsableReason }
  | { readonly kind: "parsed"; readonly packet: Packet };

const ETHER_TYPE = { ipv4: 0x0800, ipv6: 0x86dd, vlan: 0x8100, serviceVlan: 0x88a8 } as const;

const EXTENSION = { hopByHop: 0, routing: 43, fragment: 44, destinationOptions: 60 } as const;

/** Without the fragment header. */
const MAX_EXTENSION_HEADERS = 8;

/** Bit 0 of the flags byte first. */
const TCP_FLAGS: readonly TcpFlag[] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];

/** An IP packet whose header was read: where its payload lies in the frame. */
interface IpPacket {
  readonly header: IpHeader;
  readonly payloadStart: number;
  /** One behind the last byte. */
  readonly payloadEnd: number;
}

export function parseFrame(frame: Uint8Array): ParsedFrame {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (view.byteLength < 14) {
    return unparsable("truncated");
  }
  let etherType = view.getUint16(12);
  let position = 14;
  let tags = 0;
  while (etherType === ETHER_TYPE.vlan || etherType === ETHER_TYPE.serviceVlan) {
    tags += 1;
    if (tags > 2) {
      return unparsable("vlan-depth");
    }
    if (position + 4 > view.byteLength) {
      return unparsable("truncated");
    }
    etherType = view.getUint16(position + 2);
    position += 4;
  }
  if (etherType === ETHER_TYPE.ipv4) {
    return withTransport(view, readIpv4(view, position));
  }
  if (etherType === ETHER_TYPE.ipv6) {
    return withTransport(view, readIpv6(view, position));
  }
  return { kind: "not-ip" };
}

function unparsable(reason: UnparsableReason): ParsedFrame {
  return { kind: "unparsable", reason };
}

function withTransport(view: DataView, ip: IpPacket | UnparsableReason): ParsedFrame {
  if (typeof ip === "string") {
    return unparsable(ip);
  }
  const transport = isLaterFragment(ip.header) ? {} : readTransport(view, ip);
  if (transport === "truncated") {
    return unparsable("truncated");
  }
  const facts = { ...ip.header, ...transport };
  return { kind: "parsed", packet: { ...facts, traits: traitsOf(facts) } };
}

function readIpv4(view: DataView, start: number): IpPacket | UnparsableReason {
  const available = view.byteLength - start;
  if (available < 20) {
    return "truncated";
  }
  const version = view.getUint8(start) >> 4;
  const headerLength = (view.getUint8(start) & 0x0f) * 4;
  const totalLength = view.getUint16(start + 2);
  if (version !== 4 || headerLength < 20 || totalLength < headerLength || totalLength > available) {
    return "truncated";
  }
  const id = view.getUint16(start + 4);
  const more = (view.getUint16(start + 6) & 0x2000) !== 0;
  const offset = view.getUint16(start + 6) & 0x1fff;
  return {
    header: {
      source: readAddress(view, start + 12, 4),
      destination: readAddress(view, start + 16, 4),
      protocol: view.getUint8(start + 9),
      hasOptions: headerLength > 20,
      ...fragmentFact({ id, protocol: view.getUint8(start + 9), offset, more }),
    },
    payloadStart: start + headerLength,
    payloadEnd: start + totalLength,
  };
}

function readIpv6(view: DataView, start: number): IpPacket | UnparsableReason {
  const available = view.byteLength - start;
  if (available < 40) {
    return "truncated";
  }
  const version = view.getUint8(start) >> 4;
  const payloadLength = view.getUint16(start + 4);
  if (version !== 6 || 40 + payloadLength > available) {
    return "truncated";
  }
  const end = start + 40 + payloadLength;
  const source = readAddress(view, start + 8, 6);
  const destination = readAddress(view, start + 24, 6);

  let nextHeader = view.getUint8(start + 6);
  let position = start + 40;
  let headers = 0;
  let hasOptions = false;
  let fragmentHeader: Fragment | undefined;
  while (isExtensionHeader(nextHeader)) {
    if (nextHeader === EXTENSION.fragment) {
      // A second one is legal nowhere, and which of the two counts would be a guess.
      if (fragmentHeader !== undefined) {
        return "extension-headers";
      }
      if (position + 8 > end) {
        return "truncated";
      }
      const field = view.getUint16(position + 2);
      fragmentHeader = {
        id: view.getUint32(position + 4),
        protocol: view.getUint8(position),
        offset: field >> 3,
        more: (field & 1) !== 0,
      };
      nextHeader = view.getUint8(position);
      position += 8;
      if (fragmentHeader.offset > 0) {
        // What follows is the middle of something, not a header.
        break;
      }
    } else {
      headers += 1;
      if (headers > MAX_EXTENSION_HEADERS) {
        return "extension-headers";
      }
      hasOptions = true;
      if (position + 2 > end) {
        return "truncated";
      }
      nextHeader = view.getUint8(position);
      position += (view.getUint8(position + 1) + 1) * 8;
      if (position > end) {
        return "truncated";
      }
    }
  }
  return {
    header: {
      source,
      destination,
      protocol: nextHeader,
      hasOptions,
      ...(fragmentHeader && fragmentFact(fragmentHeader)),
    },
    payloadStart: position,
    payloadEnd: end,
  };
}

function isExtensionHeader(nextHeader: number): boolean {
  return (
    nextHeader === EXTENSION.hopByHop ||
    nextHeader === EXTENSION.routing ||
    nextHeader === EXTENSION.fragment ||
    nextHeader === EXTENSION.destinationOptions
  );
}

function fragmentFact(fragment: Fragment): { readonly fragment?: Fragment } {
  return fragment.more || fragment.offset > 0 ? { fragment } : {};
}

function readAddress(view: DataView, start: number, family: Family): Address {
  const value =
    family === 4
      ? BigInt(view.getUint32(start))
      : (view.getBigUint64(start) << 64n) | view.getBigUint64(start + 8);
  return { family, value };
}

function readTransport(view: DataView, ip: IpPacket): Transport | "truncated" {
  const { protocol, source } = ip.header;
  const start = ip.payloadStart;
  const length = ip.payloadEnd - start;
  // The rest of a first fragment's UDP datagram or TCP options may come in later fragments.
  const isWhole = !isFirstFragment(ip.header);

  if (protocol === PROTOCOL.tcp) {
    if (length < 20) {
      return "truncated";
    }
    const headerLength = (view.getUint8(start + 12) >> 4) * 4;
    if (headerLength < 20 || (isWhole && headerLength > length)) {
      return "truncated";
    }
    const flags = view.getUint8(start + 13);
    return {
      ports: readPorts(view, start),
      tcpFlags: new Set(TCP_FLAGS.filter((_, bit) => (flags & (1 << bit)) !== 0)),
    };
  }
  if (protocol === PROTOCOL.udp) {
    if (length < 8) {
      return "truncated";
    }
    const udpLength = view.getUint16(start + 4);
    if (udpLength < 8 || (isWhole && udpLength > length)) {
      return "truncated";
    }
    return { ports: readPorts(view, start) };
  }
  if (protocol === PROTOCOL.sctp) {
    return length < 12 ? "truncated" : { ports: readPorts(view, start) };
  }
  if (protocol === (source.family === 4 ? PROTOCOL.icmp : PROTOCOL.icmpv6)) {
    if (length < 8) {
      return "truncated";
    }
    return { icmp: { type: view.getUint8(start), code: view.getUint8(start + 1) } };
  }
  return {};
}

function readPorts(view: DataView, start: number): NonNullable<Transport["ports"]> {
  return { source: view.getUint16(start), destination: view.getUint16(start + 2) };
}
