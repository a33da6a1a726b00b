import { crc32c, internetChecksum } from "./checksum.js";
import type { Around, Layer } from "./packets.js";
import { padded, Protocol, u16 } from "./packets.js";

const tcpFlags = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"] as const;
export type TcpFlag = (typeof tcpFlags)[number];

export interface TcpFields {
  sourcePort?: number;
  destinationPort?: number;
  sequence?: number;
  acknowledgement?: number;
  /** Default `SYN`; an empty list is a null scan. */
  flags?: readonly TcpFlag[];
  window?: number;
  options?: Uint8Array;
  /** Lies: header length in 32-bit words, checksum. */
  headerWords?: number;
  checksum?: number;
}

export function tcp(fields: TcpFields = {}): Layer {
  return {
    protocol: Protocol.tcp,
    encode({ payload: inner, addresses }) {
      const options = padded(fields.options ?? Buffer.alloc(0), 4);
      const header = Buffer.alloc(20 + options.length);
      const flags = (fields.flags ?? ["SYN"]).map((flag) => 1 << tcpFlags.indexOf(flag));
      header.writeUInt16BE(fields.sourcePort ?? 40000, 0);
      header.writeUInt16BE(fields.destinationPort ?? 80, 2);
      header.writeUInt32BE(fields.sequence ?? 1, 4);
      header.writeUInt32BE(fields.acknowledgement ?? 0, 8);
      header[12] = (fields.headerWords ?? header.length / 4) << 4;
      header[13] = flags.reduce((all, flag) => all | flag, 0);
      header.writeUInt16BE(fields.window ?? 64240, 14);
      header.set(options, 20);
      return withChecksum(header, inner, 16, Protocol.tcp, addresses, fields.checksum);
    },
  };
}

export function udp(
  fields: {
    sourcePort?: number;
    destinationPort?: number;
    /** Lies: length of header and payload, checksum. */
    length?: number;
    checksum?: number;
  } = {},
): Layer {
  return {
    protocol: Protocol.udp,
    encode({ payload: inner, addresses }) {
      const header = Buffer.alloc(8);
      header.writeUInt16BE(fields.sourcePort ?? 40000, 0);
      header.writeUInt16BE(fields.destinationPort ?? 53, 2);
      header.writeUInt16BE(fields.length ?? 8 + inner.length, 4);
      const bytes = withChecksum(header, inner, 6, Protocol.udp, addresses, fields.checksum);
      // 0 means "no checksum", so a computed 0 goes out as its other form (RFC 768).
      if (fields.checksum === undefined && bytes.readUInt16BE(6) === 0)
        bytes.writeUInt16BE(0xffff, 6);
      return bytes;
    },
  };
}

export function sctp(
  fields: { sourcePort?: number; destinationPort?: number; tag?: number } = {},
): Layer {
  return {
    protocol: Protocol.sctp,
    encode({ payload: inner }) {
      const header = Buffer.alloc(12);
      header.writeUInt16BE(fields.sourcePort ?? 40000, 0);
      header.writeUInt16BE(fields.destinationPort ?? 3868, 2);
      header.writeUInt32BE(fields.tag ?? 0, 4);
      const bytes = Buffer.concat([header, inner]);
      bytes.writeUInt32LE(crc32c(bytes), 8);
      return bytes;
    },
  };
}

interface IcmpFields {
  type?: number;
  code?: number;
  /** The four bytes after the checksum. */
  rest?: number;
}

function icmpOf(protocol: number, echoRequest: number, fields: IcmpFields): Layer {
  return {
    protocol,
    encode({ payload: inner, addresses }) {
      const header = Buffer.from([fields.type ?? echoRequest, fields.code ?? 0, 0, 0, 0, 0, 0, 0]);
      header.writeUInt32BE(fields.rest ?? 0x00010001, 4);
      if (protocol === Protocol.icmpv6) return withChecksum(header, inner, 2, protocol, addresses);
      header.writeUInt16BE(internetChecksum(header, inner), 2);
      return Buffer.concat([header, inner]);
    },
  };
}

/** An echo request unless told otherwise. */
export const icmp = (fields: IcmpFields = {}) => icmpOf(Protocol.icmp, 8, fields);
/** An echo request unless told otherwise. */
export const icmpv6 = (fields: IcmpFields = {}) => icmpOf(Protocol.icmpv6, 128, fields);

export function gre(): Layer {
  return {
    protocol: Protocol.gre,
    encode: ({ payload: inner, nextEtherType }) =>
      Buffer.concat([u16(0), u16(nextEtherType ?? 0), inner]),
  };
}

export function esp(): Layer {
  return {
    protocol: Protocol.esp,
    encode: ({ payload: inner }) => Buffer.concat([Buffer.from([0, 0, 1, 0, 0, 0, 0, 1]), inner]),
  };
}

function withChecksum(
  header: Buffer,
  inner: Buffer,
  at: number,
  protocol: number,
  addresses: Around["addresses"],
  given?: number,
): Buffer {
  const bytes = Buffer.concat([header, inner]);
  if (given === undefined && addresses === undefined) return bytes;
  const tail = Buffer.alloc(8);
  tail.writeUInt32BE(bytes.length, 0);
  tail.writeUInt32BE(protocol, 4);
  const { source, destination } = addresses ?? { source: tail, destination: tail };
  bytes.writeUInt16BE(given ?? internetChecksum(source, destination, tail, bytes), at);
  return bytes;
}
