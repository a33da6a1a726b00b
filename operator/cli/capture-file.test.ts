import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { SluiceError } from "../errors.js";
import { readCapturedFrame } from "./capture-file.js";
import { decodePacket, describePacket } from "./packet-decode.js";

/** `udp 192.0.2.1:53 > 192.0.2.2:53`, as tcpdump wrote it. */
const frame = Buffer.from(
  "02000000000202000000000108004500001c00004000401176cec0000201c00002020035003500080000",
  "hex",
);

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-capture-"));
});
after(() => rmSync(folder, { recursive: true, force: true }));

function save(...parts: readonly Buffer[]): string {
  const path = join(folder, "capture");
  writeFileSync(path, Buffer.concat(parts));
  return path;
}

const describe = (path: string, packet: number) =>
  describePacket(decodePacket(readCapturedFrame(path, packet).bytes));

const says = "udp 192.0.2.1:53 > 192.0.2.2:53";

for (const order of ["LE", "BE"] as const) {
  const u16 = (value: number) => {
    const bytes = Buffer.alloc(2);
    bytes[`writeUInt16${order}`](value);
    return bytes;
  };
  const u32 = (value: number) => {
    const bytes = Buffer.alloc(4);
    bytes[`writeUInt32${order}`](value);
    return bytes;
  };
  const header = (linkType = 1, magic = 0xa1b2c3d4) =>
    Buffer.concat([u32(magic), u16(2), u16(4), u32(0), u32(0), u32(65_535), u32(linkType)]);
  const record = (bytes: Buffer, wire = bytes.length) =>
    Buffer.concat([u32(0), u32(0), u32(bytes.length), u32(wire), bytes]);
  const block = (type: number, body: Buffer) => {
    const padded = Buffer.concat([body, Buffer.alloc((4 - (body.length % 4)) % 4)]);
    const length = u32(padded.length + 12);
    return Buffer.concat([u32(type), length, padded, length]);
  };
  const section = () =>
    block(0x0a0d0d0a, Buffer.concat([u32(0x1a2b3c4d), u16(1), u16(0), Buffer.alloc(8, 0xff)]));
  const iface = (linkType = 1, snap = 0) =>
    block(1, Buffer.concat([u16(linkType), u16(0), u32(snap)]));
  const enhanced = (bytes: Buffer, from = 0) =>
    block(6, Buffer.concat([u32(from), u32(0), u32(0), u32(bytes.length), u32(1500), bytes]));

  test(`reads classic pcap, ${order}, by packet number`, () => {
    const path = save(header(), record(Buffer.alloc(14)), record(frame, 1500));
    assert.equal(describe(path, 2), says);
    assert.equal(readCapturedFrame(path, 2).wireLength, 1500);
  });

  test(`reads classic pcap with nanoseconds, ${order}`, () => {
    assert.equal(describe(save(header(1, 0xa1b23c4d), record(frame)), 1), says);
  });

  test(`reads pcapng, ${order}: enhanced and simple packets, unknown blocks skipped`, () => {
    const simple = block(3, Buffer.concat([u32(frame.length), frame]));
    const path = save(section(), iface(), block(5, Buffer.alloc(16)), enhanced(frame), simple);
    assert.equal(describe(path, 1), says);
    assert.equal(describe(path, 2), says);
    assert.equal(readCapturedFrame(path, 1).wireLength, 1500);
  });

  test(`a new pcapng section, ${order}, starts its interfaces anew`, () => {
    const path = save(section(), iface(113), section(), iface(1), enhanced(frame));
    assert.equal(describe(path, 1), says);
  });

  test(`a frame that is not Ethernet is refused, ${order}`, () => {
    assertRefused(() => readCapturedFrame(save(header(113), record(frame)), 1), /link type 113/);
  });

  test(`files that end early are refused, ${order}`, () => {
    const whole = Buffer.concat([header(), record(frame)]);
    assertRefused(() => readCapturedFrame(save(whole.subarray(0, -1)), 1), /inside a packet/);
    assertRefused(() => readCapturedFrame(save(whole.subarray(0, 30)), 1), /inside a record/);
    const blocks = Buffer.concat([section(), iface(), enhanced(frame)]);
    assertRefused(() => readCapturedFrame(save(blocks.subarray(0, -4)), 1), /has the length/);
  });

  test(`lengths that lie are refused, ${order}`, () => {
    const lying = enhanced(frame);
    u32(10_000).copy(lying, 8 + 12);
    assertRefused(() => readCapturedFrame(save(section(), iface(), lying), 1), /exceeds its block/);
    const zero = Buffer.concat([u32(6), u32(0), u32(0)]);
    assertRefused(() => readCapturedFrame(save(section(), zero), 1), /has the length 0/);
    assertRefused(() => readCapturedFrame(save(section(), enhanced(frame, 3)), 1), /no interface/);
  });
}

test("a number behind the last packet is refused with how many there are", () => {
  const path = save(Buffer.from("d4c3b2a1020004000000000000000000ffff000001000000", "hex"));
  assertRefused(() => readCapturedFrame(path, 1), /has 0 packets, none with number 1/);
});

test("any other file is refused", () => {
  assertRefused(() => readCapturedFrame(save(Buffer.from("x".repeat(100))), 1), /neither pcap nor/);
  assertRefused(() => readCapturedFrame(save(), 1), /no file header/);
  assertRefused(() => readCapturedFrame(join(folder, "absent"), 1), /ENOENT/, "SLUICE_FILE");
});

function assertRefused(work: () => unknown, message: RegExp, code = "SLUICE_CAPTURE_FORMAT") {
  assert.throws(
    work,
    (error: unknown) =>
      error instanceof SluiceError && error.code === code && message.test(error.message),
  );
}
