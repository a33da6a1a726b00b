/** One case of the fuzzer: a world and packets, all from one seed. */

import { generatePackets, type SentPacket } from "./generate-packets.js";
import { generateWorld } from "./generate-world.js";
import { createRandom } from "./random.js";
import type { World } from "../oracle/world.js";

export interface FuzzCase {
  readonly world: World;
  /** Answers hold only while less than a second has passed since the first packet. */
  readonly isTimed: boolean;
  readonly packets: readonly SentPacket[];
}

/**
 * The `index`th case of a run. The world does not depend on `packetCount`, and a longer sequence
 * of packets begins with a shorter one's.
 */
export function generateCase(seed: number, index: number, packetCount: number): FuzzCase {
  const { world, isTimed } = generateWorld(createRandom(seed, index, 0));
  return {
    world,
    isTimed,
    packets: generatePackets(createRandom(seed, index, 1), world, packetCount),
  };
}
