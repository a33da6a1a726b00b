/** A sequence of packets for one world: aimed, broken, in fragments, and plain noise. */

import { policiesFor } from "../oracle/select.js";
import type { World } from "../oracle/world.js";
import { type Aimed, aim, type Targets, targetsOf } from "./aim.js";
import { buildFrame, type ExtensionHeader, type FrameSpec } from "./frame.js";
import { allCuts, MAX_FRAME_BYTES, mutate, randomFrame } from "./mutate.js";
import type { Random } from "./random.js";

export interface SentPacket {
  readonly interfaceName: string;
  readonly frame: Uint8Array;
}

type Group = (random: Random, targets: Targets) => readonly Uint8Array[];

/** `count` packets in the order in which they arrive. */
export function generatePackets(random: Random, world: World, count: number): SentPacket[] {
  const targets = targetsOf(world);
  const judged = world.interfaces.filter((name) => policiesFor(world, name).length > 0);
  const interfaceName = () =>
    random.pick(judged.length > 0 && random.chance(0.95) ? judged : world.interfaces);

  const packets: SentPacket[] = [];
  while (packets.length < count) {
    const group = random.weighted<Group>(
      [600, single],
      [220, mutated],
      [100, fragments],
      [50, noise],
      [2, cutSweep],
    )(random, targets);
    const here = interfaceName();
    for (const frame of group) {
      packets.push({ interfaceName: random.chance(0.97) ? here : interfaceName(), frame });
      // Again, for buckets to run empty and for state to show.
      if (random.chance(0.1)) {
        packets.push(random.pick(packets));
      }
    }
  }
  return packets.slice(0, count);
}

function single(random: Random, targets: Targets): readonly Uint8Array[] {
  return [buildFrame(dress(random, aim(random, targets)))];
}

function mutated(random: Random, targets: Targets): readonly Uint8Array[] {
  return single(random, targets).map((frame) => mutate(random, frame));
}

function noise(random: Random): readonly Uint8Array[] {
  return [randomFrame(random)];
}

function cutSweep(random: Random, targets: Targets): readonly Uint8Array[] {
  const [frame] = single(random, targets);
  return frame === undefined ? [] : allCuts(frame, 120);
}

/** Puts tags, options, extension headers, a fragment header and padding around an aimed packet. */
function dress(random: Random, aimed: Aimed): FrameSpec {
  const isFragment = aimed.wantsFragment ? random.chance(0.8) : random.chance(0.05);
  const hasOptions = aimed.wantsOptions ? random.chance(0.8) : random.chance(0.12);
  return {
    ...aimed,
    vlanTags: generateTags(random),
    optionWords: hasOptions ? random.pick([1, 1, 10, random.between(1, 10)]) : 0,
    outerHeaders: hasOptions ? generateHeaders(random) : [],
    innerHeaders: isFragment && random.chance(0.15) ? generateHeaders(random) : [],
    ...(isFragment && {
      fragment: {
        id: random.chance(0.5) ? random.between(0, 3) : random.between(0, 0xffff),
        offset: random.chance(0.5) ? 0 : generateOffset(random),
        more: random.chance(0.6),
        reserved: random.chance(0.2) ? random.between(1, 3) : 0,
      },
    }),
    payload: aimed.payload.subarray(0, MAX_FRAME_BYTES - 400),
    padding: random.chance(0.15) ? random.between(1, 20) : 0,
  };
}

/** Of a later piece: each of the 13 bits alone, all together, or any. */
function generateOffset(random: Random): number {
  return random.weighted(
    [5, 1 << random.between(0, 12)],
    [1, 0x1fff],
    [3, random.between(1, 0x1fff)],
  );
}

function generateTags(random: Random): readonly number[] {
  const count = random.weighted([16, 0], [3, 1], [2, 2], [1, random.between(3, 4)]);
  return Array.from({ length: count }, () => random.pick([0x8100, 0x88a8]));
}

function generateHeaders(random: Random): readonly ExtensionHeader[] {
  const count = random.weighted([12, 1], [4, random.between(2, 4)], [3, random.between(7, 10)]);
  return Array.from({ length: count }, () => ({
    type: random.pick([0, 43, 60]),
    units: random.weighted([8, 0], [2, random.between(1, 3)]),
  }));
}

/**
 * A packet in pieces: the first and later ones, in order or not, with pieces of others between
 * them that differ in one part of the key, and sometimes a second first.
 */
function fragments(random: Random, targets: Targets): readonly Uint8Array[] {
  const dressed = dress(random, aim(random, targets));
  const id = random.pick([0, 1, 0xffff, random.between(0, 0xffff)]);
  const first: FrameSpec = { ...dressed, fragment: { id, offset: 0, more: true } };
  const later = (): FrameSpec => ({
    ...dressed,
    innerHeaders: [],
    payload: random.bytes(random.between(0, 32)),
    fragment: { id, offset: generateOffset(random), more: random.chance(0.5) },
  });
  const pieces = [
    first,
    ...random.list(1, 3, later),
    ...random.list(0, 1, () => almost(random, later())),
    ...random.list(0, 1, () => later()),
  ];
  if (random.chance(0.2)) {
    // The same key with other ports: which of the two does a later piece follow?
    const other = { ...first, payload: aim(random, targets).payload };
    pieces.splice(random.between(1, pieces.length), 0, other);
  }
  if (random.chance(0.2)) {
    pieces.push(...pieces.splice(0, 1));
  }
  return pieces.map(buildFrame);
}

/** Another packet's piece. */
function almost(random: Random, piece: FrameSpec): FrameSpec {
  const { fragment = { id: 0, offset: 1, more: false } } = piece;
  return random.pick<FrameSpec>([
    { ...piece, fragment: { ...fragment, id: fragment.id ^ 1 } },
    { ...piece, protocol: piece.protocol ^ 1 },
    { ...piece, source: { ...piece.source, value: piece.source.value ^ 1n } },
    { ...piece, destination: { ...piece.destination, value: piece.destination.value ^ 1n } },
  ]);
}
