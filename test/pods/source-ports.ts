import type { Packet } from "../policy-oracle/packet.js";

export const FIRST_SOURCE_PORT = 20_000;

/** A source port for each that no other has, and that none is sent to. */
export function withSourcePorts(
  packets: readonly Packet[],
): readonly (readonly [Packet, number])[] {
  const taken = new Set(packets.map(({ destinationPort }) => destinationPort));
  let sourcePort = FIRST_SOURCE_PORT;
  return packets.map((one) => {
    do sourcePort++;
    while (taken.has(sourcePort));
    return [one, sourcePort] as const;
  });
}
