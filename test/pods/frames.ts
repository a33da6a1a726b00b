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
export const FIRST_SOURCE_PORT = 20_000;

const templates = new Map<string, Buffer>();

/** A source port for each that no other has, and that none is sent to. */
export function withSourcePorts(
  packets: readonly Packet[],
): readonly (readonly [Packet, number])[] {
  const taken = new Set(packets.map(({ destinationPort }) => destinationPort));
  let sourcePort = FIRST_SOURCE_PORT;
  return packets.map((one) => {
    do sourcePort++;
    while (taken.has(sourcePort));
    return [one, sourcePort] as const;
  });
}

/** Which packet of a connection: the one that opens it, an answer, or a later one of the side that opened it. */
export type Part = "first" | "answer" | "later";

/**
 * A packet of a connection, on the way that it takes. Checksums are not right: the programs read none.
 *
 * @param mac of who sends it
 */
export function frameOf(
  { protocol, destinationPort, icmpType }: Packet,
  { source, destination }: Ends,
  mac: string,
  sourcePort: number,
  part: Part = "first",
): Buffer {
  const { family } = source.address;
  const frame = Buffer.from(templateOf(family, protocol, part));
  const at = OFFSETS[family];
  const [from, to] = part === "answer" ? [destination, source] : [source, destination];
  macBytes(mac).copy(frame, SOURCE_MAC);
  writeAddress(frame, at.source, from.address);
  writeAddress(frame, at.destination, to.address);
  if (destinationPort !== undefined) {
    const ports = [sourcePort, destinationPort];
    const [fromPort, toPort] = part === "answer" ? ports.toReversed() : ports;
    frame.writeUInt16BE(fromPort!, at.transport);
    frame.writeUInt16BE(toPort!, at.transport + 2);
  }
  if (icmpType !== undefined) frame[at.transport] = icmpType;
  return frame;
}

function templateOf(family: Family, protocol: Packet["protocol"], part: Part): Buffer {
  const key = `${family} ${protocol} ${part}`;
  let template = templates.get(key);
  if (template === undefined) {
    const header = family === 4 ? ipv4() : ipv6();
    const transport = transportOf(protocol, part);
    template = packet(eth({ destination: GATEWAY_MAC }), header, transport);
    templates.set(key, template);
  }
  return template;
}

const TCP_FLAGS = { first: ["SYN"], answer: ["SYN", "ACK"], later: ["ACK"] } as const;

function transportOf(protocol: Packet["protocol"], part: Part): Layer {
  switch (protocol) {
    case "TCP":
      return tcp({ flags: TCP_FLAGS[part] });
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
