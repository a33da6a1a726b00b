/** CIDR blocks that have addresses of the cluster and of the outside in them, and just beside. */

import type { Random } from "../fuzz/random.js";
import { type Address, bitsOf, formatAddress, parseAddress } from "./address.js";
import { OUTSIDE } from "./generate-cluster.js";
import type { Cluster } from "./manifests.js";
import { nodeAddresses, podAddresses } from "./packet.js";

/** Of pods, completed ones too, and of nodes. */
export function addressesOf({ pods, nodes }: Cluster): readonly Address[] {
  return [...pods.flatMap(podAddresses), ...nodes.flatMap(nodeAddresses)];
}

export function outsideAddress(random: Random, family: 4 | 6): Address {
  return parseAddress(`${OUTSIDE[family]}${random.between(1, 9)}`);
}

/** Sometimes one of the cluster's, sometimes one from outside. */
export function anyAddress(random: Random, cluster: Cluster): Address {
  const known = addressesOf(cluster);
  const { family } = random.pick(known);
  return random.chance(0.6) ? random.pick(known) : outsideAddress(random, family);
}

export interface GeneratedBlock {
  readonly cidr: string;
  readonly prefixLength: number;
  readonly address: Address;
}

/** Host bits are sometimes set, and octets written with zeros before them (N19). */
export function generateBlock(random: Random, cluster: Cluster): GeneratedBlock {
  const address = anyAddress(random, cluster);
  const prefixLength = bitsOf(address.family) - generateHostBits(random, address.family);
  return { cidr: formatBlock(random, address, prefixLength), prefixLength, address };
}

/** Each a strict part of the block; often around the very address that the block was made from. */
export function generateExcepts(
  random: Random,
  cluster: Cluster,
  { prefixLength, address }: GeneratedBlock,
): readonly string[] {
  const bits = bitsOf(address.family);
  const shift = BigInt(bits - prefixLength);
  const inside = [...addressesOf(cluster), address].filter(
    (one) => one.family === address.family && one.value >> shift === address.value >> shift,
  );
  return prefixLength === bits
    ? []
    : random.list(1, 2, () =>
        formatBlock(
          random,
          random.pick(inside),
          random.between(Math.max(prefixLength + 1, bits - 3), bits),
        ),
      );
}

function generateHostBits(random: Random, family: 4 | 6): number {
  return random.weighted([6, 0], [5, random.between(1, 4)], [3, 8], [2, bitsOf(family)]);
}

function formatBlock(random: Random, address: Address, prefixLength: number): string {
  const hostBits = BigInt(bitsOf(address.family) - prefixLength);
  const isSloppy = random.chance(0.15);
  const value = isSloppy ? address.value : (address.value >> hostBits) << hostBits;
  const text = formatAddress({ ...address, value });
  const hasZeros = address.family === 4 && isSloppy && random.chance(0.2);
  return `${hasZeros ? text.replace(/^(\d\d)\./, "0$1.") : text}/${prefixLength}`;
}
