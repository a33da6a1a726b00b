/** Frames of the packets that the oracle is asked about: made by the thousand, so only once of layers for each kind. */

import type { Address, Family } from "../policy-oracle/address.js";
import type { Ends, Packet } from "../policy-oracle/packet.js";
import { eth, ipv4, ipv6, type Layer, macBytes, packet } from "../support/packets.js";
import { icmp, icmpv6, sctp, tcp, udp } from "../support/transports.js";
import { GATEWAY_MAC } from "./harness.js";

const OFFSETS = {
  4: { source: 26, destination: 30, transport: 34 },
  6: { source: 22, destination: 38, transport: 54 },
} as const;
const SOURCE_MAC = 6;

const templates = new Map<string, Buffer>();

/** The first packet of a connection. Checksums are not right: the programs read none. */
export function frameOf(
  { protocol, destinationPort, icmpType }: Packet,
  { source, destination }: Ends,
  mac: string,
  sourcePort: number,
): Buffer {
  const { family } = source.address;
  const frame = Buffer.from(templateOf(family, protocol));
  const at = OFFSETS[family];
  macBytes(mac).copy(frame, SOURCE_MAC);
  writeAddress(frame, at.source, source.address);
  writeAddress(frame, at.destination, destination.address);
  if (destinationPort !== undefined) {
    frame.writeUInt16BE(sourcePort, at.transport);
    frame.writeUInt16BE(destinationPort, at.transport + 2);
  }
  if (icmpType !== undefined) frame[at.transport] = icmpType;
  return frame;
}

function templateOf(family: Family, protocol: Packet["protocol"]): Buffer {
  const key = `${family} ${protocol}`;
  let template = templates.get(key);
  if (template === undefined) {
    const header = family === 4 ? ipv4() : ipv6();
    template = packet(eth({ destination: GATEWAY_MAC }), header, transportOf(protocol));
    templates.set(key, template);
  }
  return template;
}

function transportOf(protocol: Packet["protocol"]): Layer {
  switch (protocol) {
    case "TCP":
      return tcp();
    case "UDP":
      return udp();
    case "SCTP":
      return sctp();
    case "ICMP":
      return icmp();
    case "ICMPv6":
      return icmpv6();
    default:
      return { protocol, encode: () => Buffer.alloc(20) };
  }
}

function writeAddress(frame: Buffer, at: number, { family, value }: Address): void {
  if (family === 4) {
    frame.writeUInt32BE(Number(value), at);
    return;
  }
  frame.writeBigUInt64BE(value >> 64n, at);
  frame.writeBigUInt64BE(BigInt.asUintN(64, value), at + 8);
}
