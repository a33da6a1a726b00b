/** The facts of a packet that rules can ask for. */

import type { TcpFlag, Trait } from "../../operator/model/records.js";
import type { Address } from "./address.js";

export interface Packet extends IpHeader, Transport {
  readonly traits: ReadonlySet<Trait>;
}

/** What the IP header and its extension headers say. */
export interface IpHeader {
  readonly source: Address;
  readonly destination: Address;
  /** For IPv6 the one behind the extension headers. */
  readonly protocol: number;
  /** IPv4 options, or an IPv6 hop-by-hop, routing or destination-options header. */
  readonly hasOptions: boolean;
  /** Absent for a whole packet, also for an IPv6 fragment header with offset 0 and no more to come. */
  readonly fragment?: Fragment;
}

export interface Fragment {
  readonly id: number;
  /** By the IPv4 or fragment header: the same in all fragments of a packet. */
  readonly protocol: number;
  /** In units of 8 bytes. */
  readonly offset: number;
  readonly more: boolean;
}

/** What the header above IP says; nothing of it in a later fragment. */
export interface Transport {
  /** TCP, UDP and SCTP. */
  readonly ports?: { readonly source: number; readonly destination: number };
  readonly tcpFlags?: ReadonlySet<TcpFlag>;
  /** ICMP in IPv4 and ICMPv6 in IPv6. */
  readonly icmp?: { readonly type: number; readonly code: number };
}

export const PROTOCOL = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58, sctp: 132 } as const;

export function isFirstFragment(packet: IpHeader): boolean {
  return packet.fragment !== undefined && packet.fragment.offset === 0;
}

export function isLaterFragment(packet: IpHeader): boolean {
  return packet.fragment !== undefined && packet.fragment.offset > 0;
}
