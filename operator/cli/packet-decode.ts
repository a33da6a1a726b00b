import ipaddr from "ipaddr.js";
import { protocolName, tcpFlagNames } from "./protocol-names.js";

/** What the first bytes of a frame say; what they do not reach is absent. */
export interface DecodedPacket {
  readonly etherType: number | undefined;
  /** Outermost first. */
  readonly vlans: readonly number[];
  /** Canonical text. */
  readonly source?: string;
  readonly destination?: string;
  readonly protocol?: number;
  readonly sourcePort?: number;
  readonly destinationPort?: number;
  readonly tcpFlags?: readonly string[];
  readonly icmpType?: number;
  readonly icmpCode?: number;
  readonly fragment?: "first" | "later";
}

const vlanTypes: readonly number[] = [0x8100, 0x88a8, 0x9100];
/** Headers that stand between IPv6 and the protocol, all with a length in units of eight bytes. */
const extensionHeaders: readonly number[] = [0, 43, 60];
const mostVlans = 8;
const mostExtensionHeaders = 16;

/**
 * Reads the headers of a frame for people. More lenient than the program in the kernel, which
 * decides: this one shows also what that one refused.
 */
export function decodePacket(frame: Uint8Array): DecodedPacket {
  const bytes = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength);
  const vlans: number[] = [];
  let at = 12;
  let etherType = u16(bytes, at);
  while (etherType !== undefined && vlanTypes.includes(etherType) && vlans.length < mostVlans) {
    vlans.push((u16(bytes, at + 2) ?? 0) & 0xfff);
    at += 4;
    etherType = u16(bytes, at);
  }
  const ip = bytes.subarray(Math.min(at + 2, bytes.length));
  const link = { etherType, vlans };
  if (etherType === 0x0800) return { ...link, ...decodeIpv4(ip) };
  if (etherType === 0x86dd) return { ...link, ...decodeIpv6(ip) };
  return link;
}

type NetworkPart = Omit<DecodedPacket, "etherType" | "vlans">;

function decodeIpv4(bytes: Buffer): NetworkPart {
  if (bytes.length < 20) return {};
  const word = bytes.readUInt16BE(6);
  const offset = word & 0x1fff;
  const fragment = offset > 0 ? "later" : (word & 0x2000) !== 0 ? "first" : undefined;
  const protocol = bytes.readUInt8(9);
  const addresses = {
    source: formatAddress(bytes.subarray(12, 16)),
    destination: formatAddress(bytes.subarray(16, 20)),
    protocol,
  };
  if (fragment === "later") return { ...addresses, fragment };
  const transport = bytes.subarray((bytes.readUInt8(0) & 15) * 4);
  return { ...addresses, ...(fragment && { fragment }), ...decodeTransport(protocol, transport) };
}

function decodeIpv6(bytes: Buffer): NetworkPart {
  if (bytes.length < 40) return {};
  const source = formatAddress(bytes.subarray(8, 24));
  const destination = formatAddress(bytes.subarray(24, 40));
  let protocol = bytes.readUInt8(6);
  let rest = bytes.subarray(40);
  let fragment: "first" | "later" | undefined;
  for (let header = 0; header < mostExtensionHeaders && rest.length >= 8; header++) {
    const next = rest.readUInt8(0);
    if (protocol === 44) {
      const word = rest.readUInt16BE(2);
      fragment = word >= 8 ? "later" : (word & 1) === 1 ? "first" : fragment;
      rest = rest.subarray(8);
    } else if (extensionHeaders.includes(protocol)) {
      rest = rest.subarray((rest.readUInt8(1) + 1) * 8);
    } else {
      break;
    }
    protocol = next;
    if (fragment === "later") return { source, destination, protocol, fragment };
  }
  const transport = decodeTransport(protocol, rest);
  return { source, destination, protocol, ...(fragment && { fragment }), ...transport };
}

function decodeTransport(protocol: number, bytes: Buffer): NetworkPart {
  switch (protocol) {
    case 6:
    case 17:
    case 132: {
      if (bytes.length < 4) return {};
      const ports = { sourcePort: bytes.readUInt16BE(0), destinationPort: bytes.readUInt16BE(2) };
      if (protocol !== 6 || bytes.length < 14) return ports;
      const flags = bytes.readUInt8(13);
      return { ...ports, tcpFlags: tcpFlagNames.filter((_, bit) => (flags >> bit) & 1) };
    }
    case 1:
    case 58:
      if (bytes.length < 2) return {};
      return { icmpType: bytes.readUInt8(0), icmpCode: bytes.readUInt8(1) };
    default:
      return {};
  }
}

function u16(bytes: Buffer, at: number): number | undefined {
  return at + 2 <= bytes.length ? bytes.readUInt16BE(at) : undefined;
}

function formatAddress(bytes: Uint8Array): string {
  return ipaddr.fromByteArray([...bytes]).toString();
}

const etherTypeNames: ReadonlyMap<number, string> = new Map([
  [0x0806, "ARP"],
  [0x0800, "IPv4, cut short"],
  [0x86dd, "IPv6, cut short"],
  [0x88cc, "LLDP"],
]);

/**
 * One line: `tcp 10.0.0.1:1234 > 10.77.0.11:80 SYN`, `vlan 7 icmp 10.0.0.1 > 10.0.0.2 type 8 code
 * 0`.
 */
export function describePacket(packet: DecodedPacket): string {
  const words = packet.vlans.map((vlan) => `vlan ${vlan}`);
  const { source, destination, protocol } = packet;
  if (source === undefined || destination === undefined || protocol === undefined) {
    const type = packet.etherType;
    words.push(type === undefined ? "frame, cut short" : describeEtherType(type));
    return words.join(" ");
  }
  words.push(protocolName(protocol), endpoint(source, packet.sourcePort), ">");
  words.push(endpoint(destination, packet.destinationPort));
  if (packet.tcpFlags !== undefined) {
    words.push(packet.tcpFlags.length === 0 ? "no flags" : packet.tcpFlags.join(","));
  }
  if (packet.icmpType !== undefined) words.push(`type ${packet.icmpType} code ${packet.icmpCode}`);
  if (packet.fragment !== undefined) words.push(`${packet.fragment} fragment`);
  return words.join(" ");
}

function describeEtherType(type: number): string {
  return etherTypeNames.get(type) ?? `EtherType 0x${type.toString(16).padStart(4, "0")}`;
}

function endpoint(address: string, port: number | undefined): string {
  if (port === undefined) return address;
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
