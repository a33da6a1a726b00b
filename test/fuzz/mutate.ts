/** Makes frames lie: about lengths, versions and types, by cuts, flips and foreign bytes. */

import { concat, u16 } from "./frame.js";
import type { Random } from "./random.js";

/** BPF_PROG_TEST_RUN takes no frame below the Ethernet header. */
export const MIN_FRAME_BYTES = 14;
/** Kept below one page minus headroom, which is what BPF_PROG_TEST_RUN takes in one buffer. */
export const MAX_FRAME_BYTES = 2048;

const ETHER_TYPES = [
  0x0800, 0x86dd, 0x8100, 0x88a8, 0x9100, 0x0806, 0x88cc, 0x0026, 0x0000, 0xffff,
];

type Mutation = (random: Random, frame: Uint8Array) => Uint8Array;

const MUTATIONS: readonly (readonly [weight: number, mutation: Mutation])[] = [
  [4, cut],
  [3, flipBits],
  [3, setHeaderByte],
  [4, lieAboutIpLength],
  [3, lieInTransport],
  [2, lieAboutVersion],
  [2, changeEtherType],
  [2, insertTag],
  [2, append],
  [1, insertBytes],
  [1, removeBytes],
];

/** One or a few changes; the result has {@link MIN_FRAME_BYTES} to {@link MAX_FRAME_BYTES}. */
export function mutate(random: Random, frame: Uint8Array): Uint8Array {
  let mutated = frame;
  for (let count = random.weighted([6, 1], [2, 2], [1, 4]); count > 0; count -= 1) {
    const next = random
      .weighted(...MUTATIONS)(random, mutated)
      .subarray(0, MAX_FRAME_BYTES);
    mutated = next.length < MIN_FRAME_BYTES ? mutated : next;
  }
  return mutated;
}

/** Random bytes, mostly behind the EtherType of IP and its version. */
export function randomFrame(random: Random): Uint8Array {
  const frame = random.bytes(random.between(MIN_FRAME_BYTES, random.pick([60, 120, 300])));
  if (random.chance(0.85)) {
    const isIpv4 = random.chance(0.5);
    frame.set(u16(isIpv4 ? 0x0800 : 0x86dd), 12);
    if (random.chance(0.8) && frame.length > 14 + 6) {
      frame[14] = isIpv4 ? 0x40 | random.between(4, 15) : 0x60;
      const room = frame.length - 14 - (isIpv4 ? 0 : 40);
      frame.set(u16(Math.max(0, room - random.between(0, 8))), isIpv4 ? 16 : 18);
    }
    if (isIpv4 && random.chance(0.5) && frame.length > 14 + 8) {
      frame.set([0, 0], 20);
    }
    if (frame.length > 14 + 10 && random.chance(0.7)) {
      frame[isIpv4 ? 23 : 20] = random.pick([0, 1, 6, 17, 43, 44, 58, 60, 132]);
    }
  }
  return frame;
}

/** The frame, cut behind each of its bytes from the Ethernet header on, the shortest first. */
export function allCuts(frame: Uint8Array, most: number): readonly Uint8Array[] {
  const count = Math.min(most, frame.length - MIN_FRAME_BYTES + 1);
  return Array.from({ length: count }, (_, index) => frame.subarray(0, MIN_FRAME_BYTES + index));
}

function cut(random: Random, frame: Uint8Array): Uint8Array {
  return frame.subarray(0, random.between(MIN_FRAME_BYTES, frame.length));
}

function flipBits(random: Random, frame: Uint8Array): Uint8Array {
  const flipped = Uint8Array.from(frame);
  for (let count = random.between(1, 8); count > 0; count -= 1) {
    const at = anywhere(random, frame);
    flipped[at] = (flipped[at] ?? 0) ^ (1 << random.between(0, 7));
  }
  return flipped;
}

function setHeaderByte(random: Random, frame: Uint8Array): Uint8Array {
  const value = random.pick([0x00, 0x01, 0x7f, 0x80, 0xff, random.between(0, 255)]);
  return replace(frame, anywhere(random, frame), Uint8Array.of(value));
}

function lieAboutIpLength(random: Random, frame: Uint8Array): Uint8Array {
  const ip = ipOffset(frame);
  const at = ip + (isIpv6(frame, ip) ? 4 : 2);
  return replace(frame, at, u16(lie(random, readU16(frame, at))));
}

/** UDP's length, TCP's data offset, or an extension header's length, if they are there. */
function lieInTransport(random: Random, frame: Uint8Array): Uint8Array {
  const ip = ipOffset(frame);
  const transport = ip + (isIpv6(frame, ip) ? 40 : 4 * ((frame[ip] ?? 5) & 0x0f));
  switch (random.between(0, 2)) {
    case 0:
      return replace(frame, transport + 4, u16(lie(random, readU16(frame, transport + 4))));
    case 1:
      return replace(frame, transport + 12, Uint8Array.of(random.between(0, 255)));
    default:
      return replace(frame, transport + 1, Uint8Array.of(random.between(0, 6)));
  }
}

function lieAboutVersion(random: Random, frame: Uint8Array): Uint8Array {
  const ip = ipOffset(frame);
  const was = frame[ip] ?? 0;
  const version = random.chance(0.5) ? was & 0xf0 : random.pick([0, 4, 5, 6, 15]) << 4;
  return replace(frame, ip, Uint8Array.of(version | random.between(0, 15)));
}

function changeEtherType(random: Random, frame: Uint8Array): Uint8Array {
  return replace(frame, ipOffset(frame) - 2, u16(random.pick(ETHER_TYPES)));
}

function insertTag(random: Random, frame: Uint8Array): Uint8Array {
  const tag = concat(u16(random.pick([0x8100, 0x88a8, 0x9100])), u16(random.between(0, 0xffff)));
  return concat(frame.subarray(0, 12), tag, frame.subarray(12));
}

function append(random: Random, frame: Uint8Array): Uint8Array {
  return concat(frame, random.bytes(random.between(1, 64)));
}

function insertBytes(random: Random, frame: Uint8Array): Uint8Array {
  const at = random.between(0, frame.length);
  return concat(frame.subarray(0, at), random.bytes(random.between(1, 8)), frame.subarray(at));
}

function removeBytes(random: Random, frame: Uint8Array): Uint8Array {
  const at = random.between(0, frame.length - 1);
  return concat(frame.subarray(0, at), frame.subarray(at + random.between(1, 8)));
}

/** Near the truth, or far from it. */
function lie(random: Random, truth: number): number {
  const delta = random.between(-20, 20);
  return (
    random.weighted([6, truth + delta], [1, 0], [1, 0xffff], [1, random.between(0, 100)]) & 0xffff
  );
}

/** Mostly in the headers. */
function anywhere(random: Random, frame: Uint8Array): number {
  return random.between(0, Math.min(frame.length, random.pick([40, 80, 2000])) - 1);
}

/** Where the EtherType behind all VLAN tags ends. */
function ipOffset(frame: Uint8Array): number {
  let at = 12;
  while (readU16(frame, at) === 0x8100 || readU16(frame, at) === 0x88a8) {
    at += 4;
  }
  return at + 2;
}

function isIpv6(frame: Uint8Array, ip: number): boolean {
  return (frame[ip] ?? 0) >> 4 === 6;
}

/** Bytes beyond the frame read as 0. */
function readU16(frame: Uint8Array, at: number): number {
  return ((frame[at] ?? 0) << 8) | (frame[at + 1] ?? 0);
}

/** What would lie beyond the frame is left out. */
function replace(frame: Uint8Array, at: number, bytes: Uint8Array): Uint8Array {
  const replaced = Uint8Array.from(frame);
  if (at < frame.length) {
    replaced.set(bytes.subarray(0, frame.length - at), at);
  }
  return replaced;
}
