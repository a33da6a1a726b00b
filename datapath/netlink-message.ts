/** Sizes of the fixed headers, from <linux/netlink.h> and <linux/rtnetlink.h>. */
const messageHeader = 16;
const attributeHeader = 4;
/** Bits of an attribute type that are flags (nested, byte order) and not the type. */
const attributeTypeMask = 0x3fff;

/** `NLM_F_…` bits of a message; those of a change and of an answer mean other things than of a dump. */
export const MessageFlag = {
  request: 1,
  acknowledge: 4,
  dump: 0x300,
  dumpInterrupted: 0x10,
  /** Put it in the place of what is there. */
  replace: 0x100,
  /** Refuse when it is there. */
  exclusive: 0x200,
  create: 0x400,
  /** Put it behind what is there. */
  append: 0x800,
  /** Of an answer: attributes with the kernel's reason follow. */
  hasReason: 0x200,
} as const;
/** Message types that netlink itself uses. */
export const ControlType = { error: 2, done: 3, overrun: 4 } as const;

export interface NetlinkMessage {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  /** The family's fixed header and its attributes. */
  readonly payload: Buffer;
}

const align = (length: number) => (length + 3) & ~3;

/** Splits what one `recv` returned. */
export function* parseMessages(bytes: Buffer): Generator<NetlinkMessage> {
  for (let at = 0; at + messageHeader <= bytes.length; ) {
    const length = bytes.readUInt32LE(at);
    if (length < messageHeader || at + length > bytes.length) return;
    yield {
      type: bytes.readUInt16LE(at + 4),
      flags: bytes.readUInt16LE(at + 6),
      sequence: bytes.readUInt32LE(at + 8),
      payload: bytes.subarray(at + messageHeader, at + length),
    };
    at += align(length);
  }
}

/** Attributes by type; of a type that comes several times, the last. */
export type Attributes = ReadonlyMap<number, Buffer>;

/** Reads the attributes that follow a fixed header of `from` bytes. */
export function parseAttributes(bytes: Buffer, from = 0): Attributes {
  const attributes = new Map<number, Buffer>();
  for (let at = from; at + attributeHeader <= bytes.length; ) {
    const length = bytes.readUInt16LE(at);
    if (length < attributeHeader || at + length > bytes.length) break;
    const type = bytes.readUInt16LE(at + 2) & attributeTypeMask;
    attributes.set(type, bytes.subarray(at + attributeHeader, at + length));
    at += align(length);
  }
  return attributes;
}

export function attributeU32(attributes: Attributes, type: number): number | undefined {
  const bytes = attributes.get(type);
  return bytes === undefined || bytes.length < 4 ? undefined : bytes.readUInt32LE();
}

/** An attribute that is a C string. */
export function attributeString(attributes: Attributes, type: number): string | undefined {
  const bytes = attributes.get(type);
  if (bytes === undefined) return undefined;
  const end = bytes.indexOf(0);
  return bytes.toString("utf8", 0, end < 0 ? bytes.length : end);
}

/** A request: header, and the family's fixed header with its attributes. */
export function encodeRequest(
  type: number,
  flags: number,
  sequence: number,
  payload: Uint8Array,
): Buffer {
  const bytes = Buffer.alloc(messageHeader + align(payload.length));
  bytes.writeUInt32LE(messageHeader + payload.length, 0);
  bytes.writeUInt16LE(type, 4);
  bytes.writeUInt16LE(flags | MessageFlag.request, 6);
  bytes.writeUInt32LE(sequence, 8);
  bytes.set(payload, messageHeader);
  return bytes;
}
