import ipaddr from "ipaddr.js";
import { internetChecksum } from "./checksum.js";

/** What a layer knows of its surroundings when it is turned into bytes. */
export interface Around {
  /** All layers inside this one. */
  readonly payload: Buffer;
  /** How this layer announces the one inside it: EtherType or IP protocol number. */
  readonly nextEtherType: number | undefined;
  readonly nextProtocol: number | undefined;
  /** Addresses of the nearest IP header outside, for the pseudo header of checksums. */
  readonly addresses: { readonly source: Buffer; readonly destination: Buffer } | undefined;
}

/** One header, or the payload. Numbers that a layer computes can all be given, to make it lie. */
export interface Layer {
  readonly etherType?: number;
  readonly protocol?: number;
  readonly addresses?: { readonly source: Buffer; readonly destination: Buffer };
  encode(around: Around): Buffer;
}

/**
 * A packet of layers, the outermost first, with lengths, type numbers and checksums filled in.
 *
 * @example packet(eth(), ipv4({ source: "192.0.2.1" }), tcp({ flags: ["SYN"] }))
 */
export function packet(...layers: readonly Layer[]): Buffer {
  return layers.reduceRight<Buffer>((inner, layer, index) => {
    const next = layers[index + 1];
    const outside = layers.slice(0, index).findLast((outer) => outer.addresses !== undefined);
    return layer.encode({
      payload: inner,
      nextEtherType: next?.etherType,
      nextProtocol: next?.protocol,
      addresses: outside?.addresses,
    });
  }, Buffer.alloc(0));
}

export const EtherType = { ipv4: 0x0800, arp: 0x0806, vlan: 0x8100, ipv6: 0x86dd, qinq: 0x88a8 };
export const Protocol = {
  hopByHop: 0,
  icmp: 1,
  ipip: 4,
  tcp: 6,
  udp: 17,
  ipv6: 41,
  routing: 43,
  fragment: 44,
  gre: 47,
  esp: 50,
  icmpv6: 58,
  none: 59,
  destinationOptions: 60,
  sctp: 132,
};

/** MAC addresses of packets that name none. */
export const macA = "02:00:00:00:00:01";
export const macB = "02:00:00:00:00:02";

export function macBytes(mac: string): Buffer {
  return Buffer.from(mac.replaceAll(":", ""), "hex");
}

export function ipBytes(address: string): Buffer {
  return Buffer.from(ipaddr.parse(address).toByteArray());
}

/** Bytes as they are; text as UTF-8; a number makes that many bytes `0, 1, 2, …`. */
export function payload(content: Uint8Array | string | number): Layer {
  const bytes =
    typeof content === "number"
      ? Buffer.from(Array.from({ length: content }, (_, at) => at & 0xff))
      : Buffer.from(content);
  return { encode: (around) => Buffer.concat([bytes, around.payload]) };
}

export function eth(
  fields: { source?: string; destination?: string; etherType?: number } = {},
): Layer {
  return {
    encode({ payload: inner, nextEtherType }) {
      const type = u16(fields.etherType ?? nextEtherType ?? 0xffff);
      const [to, from] = [fields.destination ?? macB, fields.source ?? macA];
      return Buffer.concat([macBytes(to), macBytes(from), type, inner]);
    },
  };
}

/** An 802.1Q tag, or with `qinq` the outer tag of 802.1ad. */
export function vlan(
  fields: { id?: number; priority?: number; qinq?: boolean; etherType?: number } = {},
): Layer {
  const tag = ((fields.priority ?? 0) << 13) | (fields.id ?? 1);
  return {
    etherType: fields.qinq ? EtherType.qinq : EtherType.vlan,
    encode: ({ payload: inner, nextEtherType }) =>
      Buffer.concat([u16(tag), u16(fields.etherType ?? nextEtherType ?? 0xffff), inner]),
  };
}

export function arp(fields: { operation?: number; sender?: string; target?: string } = {}): Layer {
  return {
    etherType: EtherType.arp,
    encode: ({ payload: inner }) =>
      Buffer.concat([
        Buffer.from([0, 1, 8, 0, 6, 4]),
        u16(fields.operation ?? 1),
        macBytes(macA),
        ipBytes(fields.sender ?? "192.0.2.1"),
        Buffer.alloc(6),
        ipBytes(fields.target ?? "192.0.2.2"),
        inner,
      ]),
  };
}

export interface Ipv4Fields {
  source?: string;
  destination?: string;
  ttl?: number;
  tos?: number;
  id?: number;
  protocol?: number;
  /** Bytes of options; padded to a multiple of 4. */
  options?: Uint8Array;
  dontFragment?: boolean;
  moreFragments?: boolean;
  /** Of a fragment, in bytes; a multiple of 8. */
  fragmentOffset?: number;
  /** Lies: version, header length in 32-bit words, total length in bytes, checksum. */
  version?: number;
  headerWords?: number;
  totalLength?: number;
  checksum?: number;
}

export function ipv4(fields: Ipv4Fields = {}): Layer {
  const source = ipBytes(fields.source ?? "192.0.2.1");
  const destination = ipBytes(fields.destination ?? "192.0.2.2");
  return {
    etherType: EtherType.ipv4,
    protocol: Protocol.ipip,
    addresses: { source, destination },
    encode({ payload: inner, nextProtocol }) {
      const options = padded(fields.options ?? Buffer.alloc(0), 4);
      const header = Buffer.alloc(20 + options.length);
      const flags = (fields.dontFragment ? 0x4000 : 0) | (fields.moreFragments ? 0x2000 : 0);
      header[0] = ((fields.version ?? 4) << 4) | (fields.headerWords ?? header.length / 4);
      header[1] = fields.tos ?? 0;
      header.writeUInt16BE(fields.totalLength ?? header.length + inner.length, 2);
      header.writeUInt16BE(fields.id ?? 0, 4);
      header.writeUInt16BE(flags | ((fields.fragmentOffset ?? 0) >> 3), 6);
      header[8] = fields.ttl ?? 64;
      header[9] = fields.protocol ?? nextProtocol ?? 253;
      source.copy(header, 12);
      destination.copy(header, 16);
      header.set(options, 20);
      header.writeUInt16BE(fields.checksum ?? internetChecksum(header), 10);
      return Buffer.concat([header, inner]);
    },
  };
}

export interface Ipv6Fields {
  source?: string;
  destination?: string;
  hopLimit?: number;
  trafficClass?: number;
  flowLabel?: number;
  nextHeader?: number;
  /** Lies: version, payload length in bytes. */
  version?: number;
  payloadLength?: number;
}

export function ipv6(fields: Ipv6Fields = {}): Layer {
  const source = ipBytes(fields.source ?? "2001:db8::1");
  const destination = ipBytes(fields.destination ?? "2001:db8::2");
  return {
    etherType: EtherType.ipv6,
    protocol: Protocol.ipv6,
    addresses: { source, destination },
    encode({ payload: inner, nextProtocol }) {
      const header = Buffer.alloc(8);
      const version = (fields.version ?? 6) * 2 ** 28;
      const label = ((fields.trafficClass ?? 0) << 20) | (fields.flowLabel ?? 0);
      header.writeUInt32BE(version + label, 0);
      header.writeUInt16BE(fields.payloadLength ?? inner.length, 4);
      header[6] = fields.nextHeader ?? nextProtocol ?? Protocol.none;
      header[7] = fields.hopLimit ?? 64;
      return Buffer.concat([header, source, destination, inner]);
    },
  };
}

interface ExtensionFields {
  nextHeader?: number;
  /** Bytes after the first two; padded so that the header is a multiple of 8. */
  body?: Uint8Array;
  /** Lie: length in units of 8 bytes, the first not counted. */
  length?: number;
}

function extension(protocol: number, fields: ExtensionFields): Layer {
  return {
    protocol,
    encode({ payload: inner, nextProtocol }) {
      const rest = fields.body ?? Buffer.from([1, 4, 0, 0, 0, 0]);
      const header = padded(Buffer.concat([Buffer.alloc(2), rest]), 8);
      header[0] = fields.nextHeader ?? nextProtocol ?? Protocol.none;
      header[1] = fields.length ?? header.length / 8 - 1;
      return Buffer.concat([header, inner]);
    },
  };
}

export const hopByHop = (fields: ExtensionFields = {}) => extension(Protocol.hopByHop, fields);
export const destinationOptions = (fields: ExtensionFields = {}) =>
  extension(Protocol.destinationOptions, fields);
/** A routing header of type 4 with no segments left, unless `body` says otherwise. */
export const routing = (fields: ExtensionFields = {}) =>
  extension(Protocol.routing, { body: Buffer.from([4, 0, 0, 0, 0, 0]), ...fields });

/** The IPv6 fragment header; `offset` in bytes, a multiple of 8. */
export function fragment(
  fields: { offset?: number; more?: boolean; id?: number; nextHeader?: number } = {},
): Layer {
  return {
    protocol: Protocol.fragment,
    encode({ payload: inner, nextProtocol }) {
      const header = Buffer.alloc(8);
      header[0] = fields.nextHeader ?? nextProtocol ?? Protocol.none;
      header.writeUInt16BE((fields.offset ?? 0) | (fields.more ? 1 : 0), 2);
      header.writeUInt32BE(fields.id ?? 1, 4);
      return Buffer.concat([header, inner]);
    },
  };
}

/** Two bytes in network order. */
export function u16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff]);
}

/** Zero bytes at the end, up to a multiple of so many. */
export function padded(bytes: Uint8Array, multiple: number): Buffer {
  const padding = (multiple - (bytes.length % multiple)) % multiple;
  return Buffer.concat([bytes, Buffer.alloc(padding)]);
}
