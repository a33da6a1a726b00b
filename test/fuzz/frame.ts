/** Raw frames, byte by byte. Lengths are honest here; mutate.ts makes them lie. */

import { type Address, addressBytes } from "../oracle/address.js";

export interface FrameSpec {
  /** EtherTypes of the VLAN tags, outermost first. */
  readonly vlanTags?: readonly number[];
  readonly source: Address;
  readonly destination: Address;
  readonly protocol: number;
  /** IPv4: 32-bit words of options, 0–10. */
  readonly optionWords?: number;
  /** IPv6: extension headers before the fragment header. */
  readonly outerHeaders?: readonly ExtensionHeader[];
  /** IPv6: extension headers behind the fragment header. */
  readonly innerHeaders?: readonly ExtensionHeader[];
  /** For IPv6 it always adds a fragment header, also with offset 0 and `more` false. */
  readonly fragment?: FragmentSpec;
  /** Everything behind the IP headers. */
  readonly payload: Uint8Array;
  /** Bytes behind the packet. */
  readonly padding?: number;
}

export interface ExtensionHeader {
  /** 0 hop-by-hop, 43 routing, 60 destination options. */
  readonly type: number;
  /** Units of 8 bytes after the first. */
  readonly units: number;
}

export interface FragmentSpec {
  readonly id: number;
  /** In units of 8 bytes. */
  readonly offset: number;
  readonly more: boolean;
  /** IPv6: the two bits between offset and M, which mean nothing. */
  readonly reserved?: number;
}

export const TCP_FLAG_BITS = {
  FIN: 0x01,
  SYN: 0x02,
  RST: 0x04,
  PSH: 0x08,
  ACK: 0x10,
  URG: 0x20,
  ECE: 0x40,
  CWR: 0x80,
} as const;

const FRAGMENT_HEADER = 44;

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts));
}

export function u16(value: number): Uint8Array {
  return Uint8Array.of((value >> 8) & 0xff, value & 0xff);
}

export function buildFrame(spec: FrameSpec): Uint8Array {
  const isIpv4 = spec.source.family === 4;
  const tags = (spec.vlanTags ?? []).map((etherType, index) =>
    concat(u16(etherType), u16(index + 100)),
  );
  return concat(
    Uint8Array.of(2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2),
    ...tags,
    u16(isIpv4 ? 0x0800 : 0x86dd),
    isIpv4 ? ipv4Header(spec) : ipv6Headers(spec),
    spec.payload,
    new Uint8Array(spec.padding ?? 0),
  );
}

function ipv4Header(spec: FrameSpec): Uint8Array {
  const words = spec.optionWords ?? 0;
  const { id, offset, more } = spec.fragment ?? { id: 1, offset: 0, more: false };
  return concat(
    Uint8Array.of(0x40 | (5 + words), 0),
    u16(20 + 4 * words + spec.payload.length),
    u16(id),
    u16((more ? 0x2000 : 0) | offset),
    Uint8Array.of(64, spec.protocol, 0, 0),
    addressBytes(spec.source),
    addressBytes(spec.destination),
    new Uint8Array(4 * words).fill(1),
  );
}

function ipv6Headers(spec: FrameSpec): Uint8Array {
  const fragment = spec.fragment === undefined ? [] : [spec.fragment];
  const chain: readonly (ExtensionHeader | FragmentSpec)[] = [
    ...(spec.outerHeaders ?? []),
    ...fragment,
    ...(spec.innerHeaders ?? []),
  ];
  const types = chain.map((header) => ("type" in header ? header.type : FRAGMENT_HEADER));
  const [first, ...following] = [...types, spec.protocol];
  const headers = chain.map((header, index) => extensionHeader(header, following[index] ?? 0));
  const extensions = concat(...headers);
  return concat(
    Uint8Array.of(0x60, 0, 0, 0),
    u16(extensions.length + spec.payload.length),
    Uint8Array.of(first, 64),
    addressBytes(spec.source),
    addressBytes(spec.destination),
    extensions,
  );
}

function extensionHeader(header: ExtensionHeader | FragmentSpec, next: number): Uint8Array {
  if ("type" in header) {
    // The bytes of the options are padding: PadN over the whole rest.
    const size = 8 * (header.units + 1);
    const bytes = new Uint8Array(size);
    bytes.set([next, header.units, 1, Math.min(size - 4, 255)]);
    return bytes;
  }
  return concat(
    Uint8Array.of(next, 0),
    u16((header.offset << 3) | ((header.reserved ?? 0) << 1) | (header.more ? 1 : 0)),
    u16(header.id >>> 16),
    u16(header.id & 0xffff),
  );
}

/** `flags` as the byte on the wire. */
export function tcp(
  ports: { readonly source: number; readonly destination: number },
  flags: number,
  optionWords = 0,
  data: Uint8Array = new Uint8Array(0),
): Uint8Array {
  return concat(
    u16(ports.source),
    u16(ports.destination),
    new Uint8Array(8),
    Uint8Array.of((5 + optionWords) << 4, flags),
    new Uint8Array(6),
    new Uint8Array(4 * optionWords).fill(1),
    data,
  );
}

export function udp(
  ports: { readonly source: number; readonly destination: number },
  data: Uint8Array = new Uint8Array(0),
): Uint8Array {
  const length = u16(8 + data.length);
  return concat(u16(ports.source), u16(ports.destination), length, u16(0), data);
}

export function sctp(
  ports: { readonly source: number; readonly destination: number },
  data: Uint8Array = new Uint8Array(0),
): Uint8Array {
  return concat(u16(ports.source), u16(ports.destination), new Uint8Array(8), data);
}

/** ICMP and ICMPv6. */
export function icmp(type: number, code: number, data: Uint8Array = new Uint8Array(0)): Uint8Array {
  return concat(Uint8Array.of(type, code), new Uint8Array(6), data);
}
