import { readFileSync } from "node:fs";
import { cliError } from "./errors.js";

/** One frame of a capture file. */
export interface CapturedFrame {
  readonly bytes: Buffer;
  /** Length on the wire; more than `bytes` when the capture cut it. */
  readonly wireLength: number;
}

/** LINKTYPE_ETHERNET. */
const ethernet = 1;
const mostFileBytes = 256 * 1024 * 1024;

/**
 * Frame number `wanted`, from 1, of a pcap or pcapng file, in either byte order.
 *
 * @throws SluiceError SLUICE_FILE, SLUICE_CAPTURE_FORMAT
 */
export function readCapturedFrame(path: string, wanted: number): CapturedFrame {
  const bytes = readWhole(path);
  const isPcapng = bytes.length >= 4 && bytes.readUInt32BE(0) === 0x0a0d0d0a;
  let found = 0;
  for (const { linkType, frame } of isPcapng ? pcapng(bytes, path) : pcap(bytes, path)) {
    found++;
    if (found < wanted) continue;
    if (linkType !== ethernet) {
      throw damaged(path, `packet ${found} is of link type ${linkType}, not Ethernet`);
    }
    return frame;
  }
  throw cliError(
    "SLUICE_CAPTURE_FORMAT",
    `${path} has ${found} packets, none with number ${wanted}`,
    {
      remedy: "Give --packet a smaller number",
    },
  );
}

function readWhole(path: string): Buffer {
  try {
    const bytes = readFileSync(path);
    if (bytes.length <= mostFileBytes) return bytes;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw cliError("SLUICE_FILE", `cannot read ${path}: ${why}`, { cause });
  }
  throw damaged(path, `it has more than ${mostFileBytes} bytes`);
}

interface Entry {
  readonly linkType: number;
  readonly frame: CapturedFrame;
}

/** Integers of a file in the byte order of its writer. */
interface Reader {
  u16(at: number): number;
  u32(at: number): number;
}

function reader(bytes: Buffer, isLittle: boolean): Reader {
  return {
    u16: (at) => (isLittle ? bytes.readUInt16LE(at) : bytes.readUInt16BE(at)),
    u32: (at) => (isLittle ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at)),
  };
}

/** The classic format: a header of 24 bytes, then records of 16 bytes and the frame. */
function* pcap(bytes: Buffer, path: string): Generator<Entry> {
  const magics = [0xa1b2c3d4, 0xa1b23c4d];
  if (bytes.length < 24) throw damaged(path, "it has no file header");
  const isLittle = magics.includes(bytes.readUInt32LE(0));
  if (!isLittle && !magics.includes(bytes.readUInt32BE(0))) {
    throw damaged(path, "its first bytes are those of neither pcap nor pcapng");
  }
  const file = reader(bytes, isLittle);
  // The upper bits may say how long the frame check sequence is.
  const linkType = file.u32(20) & 0xffff;
  let at = 24;
  while (at < bytes.length) {
    if (at + 16 > bytes.length) throw damaged(path, "it ends inside a record");
    const captured = file.u32(at + 8);
    const wireLength = file.u32(at + 12);
    at += 16;
    if (at + captured > bytes.length) throw damaged(path, "it ends inside a packet");
    yield { linkType, frame: { bytes: bytes.subarray(at, at + captured), wireLength } };
    at += captured;
  }
}

const Block = {
  section: 0x0a0d0d0a,
  interface: 1,
  simplePacket: 3,
  enhancedPacket: 6,
} as const;

/**
 * Blocks with their length at both ends; each section may have its own byte order and interfaces.
 */
function* pcapng(bytes: Buffer, path: string): Generator<Entry> {
  let file = reader(bytes, true);
  let interfaces: { readonly linkType: number; readonly snapLength: number }[] = [];
  let at = 0;
  while (at < bytes.length) {
    if (at + 12 > bytes.length) throw damaged(path, "it ends inside a block");
    if (bytes.readUInt32BE(at) === Block.section) {
      file = reader(bytes, sectionIsLittle(bytes, at + 8, path));
      interfaces = [];
    }
    const type = file.u32(at);
    const length = file.u32(at + 4);
    if (length < 12 || length % 4 !== 0 || at + length > bytes.length) {
      throw damaged(path, `a block at byte ${at} has the length ${length}`);
    }
    const body = at + 8;
    if (type === Block.interface && length >= 20) {
      interfaces.push({ linkType: file.u16(body), snapLength: file.u32(body + 4) });
    } else if (type === Block.enhancedPacket && length >= 32) {
      const captured = file.u32(body + 12);
      if (captured > length - 32) throw damaged(path, `a packet at byte ${at} exceeds its block`);
      const from = interfaces[file.u32(body)];
      if (from === undefined) throw damaged(path, `a packet at byte ${at} names no interface`);
      const frame = {
        bytes: bytes.subarray(body + 20, body + 20 + captured),
        wireLength: file.u32(body + 16),
      };
      yield { linkType: from.linkType, frame };
    } else if (type === Block.simplePacket && length >= 16) {
      const from = interfaces[0];
      if (from === undefined)
        throw damaged(path, `a packet at byte ${at} comes before any interface`);
      const wireLength = file.u32(body);
      const limit = from.snapLength === 0 ? wireLength : Math.min(wireLength, from.snapLength);
      const captured = Math.min(limit, length - 16);
      const frame = { bytes: bytes.subarray(body + 4, body + 4 + captured), wireLength };
      yield { linkType: from.linkType, frame };
    }
    at += length;
  }
}

function sectionIsLittle(bytes: Buffer, at: number, path: string): boolean {
  const magic = 0x1a2b3c4d;
  if (bytes.readUInt32LE(at) === magic) return true;
  if (bytes.readUInt32BE(at) === magic) return false;
  throw damaged(path, "a section has no byte-order mark");
}

function damaged(path: string, why: string): Error {
  return cliError("SLUICE_CAPTURE_FORMAT", `cannot read ${path}: ${why}`);
}
