/** Arbitrary `protocols` entries, and packets that come near them, for property tests. */

import * as fc from "fast-check";
import type { PortRange, ProtocolMatch, TcpFlag } from "../../operator/model/records.js";
import type { Packet } from "./packet.js";
import { PROTOCOL } from "./packet.js";

const FLAGS = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"] as const;
/** Few ports, types and flags, so that entries and packets meet. */
const port = fc.oneof(fc.nat(6), fc.constantFrom(65534, 65535));
const type = fc.constantFrom(0, 1, 3, 8, 128, 255);
const code = fc.constantFrom(0, 1, 3, 255);
const someFlags = fc.subarray(["SYN", "ACK", "RST"] satisfies TcpFlag[]);

const range: fc.Arbitrary<PortRange> = fc
  .tuple(port, port)
  .map(([one, other]) => ({ start: Math.min(one, other), end: Math.max(one, other) }));
const ports = fc.record({ sourcePort: range, destinationPort: range }, { requiredKeys: [] });

const flagMatch = fc.option(fc.record({ set: someFlags, unset: someFlags }), { nil: undefined });

export const protocolMatch: fc.Arbitrary<ProtocolMatch> = fc.oneof(
  fc
    .tuple(ports, flagMatch)
    .map(([known, flags]): ProtocolMatch => ({ kind: "tcp", ...known, ...(flags && { flags }) })),
  fc
    .tuple(fc.constantFrom("udp" as const, "sctp" as const), ports)
    .map(([kind, known]): ProtocolMatch => ({ kind, ...known })),
  fc
    .tuple(
      fc.constantFrom("icmp" as const, "icmpv6" as const),
      fc.record({ type, code }, { requiredKeys: [] }),
    )
    .map(([kind, known]): ProtocolMatch => ({ kind, ...known })),
  fc
    .constantFrom(1, 6, 17, 47, 58, 132)
    .map((number): ProtocolMatch => ({ kind: "protocol", number })),
);

/** A packet as the parser sees it; addresses say no more than its family. */
export const packet: fc.Arbitrary<Packet> = fc
  .record({
    family: fc.constantFrom(4 as const, 6 as const),
    protocol: fc.constantFrom(1, 6, 17, 47, 58, 132),
    part: fc.constantFrom("whole", "first", "later"),
    ports: fc.record({ source: port, destination: port }),
    flags: fc.subarray([...FLAGS]),
    icmp: fc.record({ type, code }),
    traits: fc.subarray(["IPOptions", "SameAddress", "MartianSource"] as const),
  })
  .map(({ family, protocol, part, ports: known, flags, icmp, traits }): Packet => {
    const hasPorts = [PROTOCOL.tcp, PROTOCOL.udp, PROTOCOL.sctp].some((one) => one === protocol);
    const hasType = protocol === (family === 4 ? PROTOCOL.icmp : PROTOCOL.icmpv6);
    const fragment = { id: 1, protocol, offset: part === "later" ? 8 : 0, more: true };
    return {
      source: { family, value: 1n },
      destination: { family, value: 2n },
      protocol,
      hasOptions: traits.includes("IPOptions"),
      ...(part !== "whole" && { fragment }),
      ...(part !== "later" && hasPorts && { ports: known }),
      ...(part !== "later" && protocol === PROTOCOL.tcp && { tcpFlags: new Set(flags) }),
      ...(part !== "later" && hasType && { icmp }),
      traits: new Set([...traits, ...(part === "whole" ? [] : (["Fragment"] as const))]),
    };
  });

/** TCP flags, or ICMP type << 8 | code, as the kernel's tables know them; 0 when the packet has neither. */
export function detailOf({ tcpFlags, icmp }: Packet): number {
  if (icmp !== undefined) return (icmp.type << 8) | icmp.code;
  return FLAGS.reduce((bits, flag, bit) => (tcpFlags?.has(flag) ? bits | (1 << bit) : bits), 0);
}
