/** CIDRs that overlap, nest and touch, and addresses at their edges. */

import type { Cidr } from "../../operator/model/records.js";
import {
  type Address,
  bitsOf,
  cidrContains,
  cidrValue,
  type Family,
  makeCidr,
  parseCidr,
} from "../oracle/address.js";
import type { Random } from "./random.js";

const NOTABLE: Record<Family, readonly Cidr[]> = {
  4: [
    "0.0.0.0/0",
    "0.0.0.0/1",
    "128.0.0.0/1",
    "0.0.0.0/8",
    "0.0.0.0/32",
    "10.0.0.0/8",
    "127.0.0.0/8",
    "192.0.2.0/24",
    "192.0.2.0/31",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "255.255.255.0/24",
    "255.255.255.255/32",
  ].map(parseCidr),
  6: [
    "::/0",
    "::/1",
    "8000::/1",
    "::/128",
    "::1/128",
    "::/64",
    "2000::/3",
    "2001:db8::/32",
    "2001:db8::/48",
    "2001:db8::/64",
    "2001:db8::/127",
    "fe80::/10",
    "ff00::/8",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128",
  ].map(parseCidr),
};

const IPV4_MAPPED = parseCidr("::ffff:0:0/96");

/** `size` CIDRs of the given families; most are made from each other, so that they overlap. */
export function generateCidrs(
  random: Random,
  families: readonly Family[],
  size: number,
): readonly Cidr[] {
  const cidrs: Cidr[] = [];
  while (cidrs.length < size) {
    const isNew = cidrs.length === 0 || random.chance(0.3);
    const cidr = isNew
      ? freshCidr(random, random.pick(families))
      : relative(random, random.pick(cidrs));
    // The API refuses IPv4-mapped IPv6.
    const isMapped =
      cidr.family === 6 &&
      cidr.length >= IPV4_MAPPED.length &&
      cidrContains(IPV4_MAPPED, firstAddress(cidr));
    if (!isMapped) {
      cidrs.push(cidr);
    }
  }
  return cidrs;
}

function freshCidr(random: Random, family: Family): Cidr {
  if (random.chance(0.4)) {
    return random.pick(NOTABLE[family]);
  }
  const bits = bitsOf(family);
  const length = random.weighted(
    [4, family === 4 ? 24 : 64],
    [2, family === 4 ? 16 : 48],
    [3, bits],
    [1, bits - 1],
    [3, random.between(1, bits)],
  );
  return makeCidr(family, random.bits(bits), length);
}

/** The same block, one inside it, one around it, or its neighbour. */
function relative(random: Random, cidr: Cidr): Cidr {
  const bits = bitsOf(cidr.family);
  const value = cidrValue(cidr);
  switch (random.between(0, 6)) {
    case 0:
      return cidr;
    case 1:
    case 2:
    case 3:
      return blockInside(random, cidr);
    case 4:
      return makeCidr(cidr.family, value, Math.max(0, cidr.length - random.between(1, 8)));
    default: {
      const neighbour = value ^ (1n << BigInt(bits - cidr.length));
      return makeCidr(cidr.family, BigInt.asUintN(bits, neighbour), cidr.length);
    }
  }
}

/** A block within `cidr`, often at its first or last address; the same one for a single address. */
export function blockInside(random: Random, cidr: Cidr): Cidr {
  const bits = bitsOf(cidr.family);
  const hostBits = bits - cidr.length;
  if (hostBits === 0) {
    return cidr;
  }
  const length = random.weighted(
    [2, bits],
    [2, cidr.length + 1],
    [3, random.between(cidr.length + 1, bits)],
  );
  return makeCidr(cidr.family, addressInside(random, cidr).value, length);
}

export function firstAddress(cidr: Cidr): Address {
  return { family: cidr.family, value: cidrValue(cidr) };
}

function lastAddress(cidr: Cidr): Address {
  const hostBits = BigInt(bitsOf(cidr.family) - cidr.length);
  return { family: cidr.family, value: cidrValue(cidr) | ((1n << hostBits) - 1n) };
}

/** Half of the time the first or the last. */
export function addressInside(random: Random, cidr: Cidr): Address {
  switch (random.between(0, 3)) {
    case 0:
      return firstAddress(cidr);
    case 1:
      return lastAddress(cidr);
    default: {
      const host = random.bits(bitsOf(cidr.family) - cidr.length);
      return { family: cidr.family, value: cidrValue(cidr) | host };
    }
  }
}

/** Just outside; wraps round at the ends of the address space. */
export function addressBeside(random: Random, cidr: Cidr): Address {
  const value = random.chance(0.5) ? cidrValue(cidr) - 1n : lastAddress(cidr).value + 1n;
  return { family: cidr.family, value: BigInt.asUintN(bitsOf(cidr.family), value) };
}

export function anyAddress(random: Random, family: Family): Address {
  return random.chance(0.3)
    ? addressInside(random, random.pick(NOTABLE[family]))
    : { family, value: random.bits(bitsOf(family)) };
}
