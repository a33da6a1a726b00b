import type { Cidr } from "../model/records.js";

/** An address as a number: 32 bits of IPv4 or 128 of IPv6. */
export type AddressNumber = bigint;

/**
 * The addresses of one CIDR, given out in turn: a freed address comes back only when all others were given out since,
 * so that what still talks to its last holder finds nobody for as long as possible.
 */
export class AddressRing {
  readonly cidr: Cidr;
  readonly #first: AddressNumber;
  readonly #size: bigint;
  readonly #used = new Set<AddressNumber>();
  #last: AddressNumber;

  constructor(cidr: Cidr) {
    this.cidr = cidr;
    const bits = (cidr.family === 4 ? 32 : 128) - cidr.length;
    const base = toNumber(cidr);
    const total = 1n << BigInt(bits);
    // Without the network's own address (of IPv6: the routers' anycast) and the node's, which is the first; of
    // IPv4 also without the broadcast address. Smaller networks have no room for such customs.
    const [before, after] = bits < 2 ? [0n, 0n] : [2n, cidr.family === 4 ? 1n : 0n];
    this.#first = base + before;
    this.#size = total - before - after;
    this.#last = this.#first - 1n;
  }

  /** How many there are. */
  get size(): bigint {
    return this.#size;
  }

  get used(): number {
    return this.#used.size;
  }

  /** The address given out last; where the next search starts. */
  get last(): AddressNumber {
    return this.#last;
  }

  includes(address: AddressNumber): boolean {
    return address >= this.#first && address < this.#first + this.#size;
  }

  isUsed(address: AddressNumber): boolean {
    return this.#used.has(address);
  }

  /** The next free address; undefined when there is none. */
  take(): AddressNumber | undefined {
    if (BigInt(this.#used.size) >= this.#size) return undefined;
    let address = this.#last;
    do {
      address++;
      if (!this.includes(address)) address = this.#first;
    } while (this.#used.has(address));
    this.#used.add(address);
    this.#last = address;
    return address;
  }

  /** Takes a given address; false when it is not free or not one of the ring. */
  reserve(address: AddressNumber): boolean {
    if (!this.includes(address) || this.#used.has(address)) return false;
    this.#used.add(address);
    return true;
  }

  release(address: AddressNumber): void {
    this.#used.delete(address);
  }

  /** Makes the search go on behind an address. */
  resumeAfter(address: AddressNumber): void {
    if (this.includes(address)) this.#last = address;
  }
}

/** The address part of a CIDR. */
export function toNumber(cidr: Cidr): AddressNumber {
  return cidr.family === 4 ? BigInt(cidr.address >>> 0) : (cidr.high << 64n) | cidr.low;
}
