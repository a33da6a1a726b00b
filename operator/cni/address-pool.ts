import { formatCidr, formatV4, formatV6 } from "../model/cidr-format.js";
import { ANY_CIDR, isFault, readCidr } from "../model/cidr.js";
import type { Cidr } from "../model/records.js";
import { type AddressNumber, AddressRing, toNumber } from "./address-ring.js";
import { cniError } from "./errors.js";

/** The addresses of one interface, without prefix length. */
export interface Addresses {
  readonly ipv4: string | undefined;
  readonly ipv6: string | undefined;
}

/** How full one podCIDR is. */
export interface PoolUsage {
  readonly cidr: string;
  readonly used: number;
  /** May be more than a number holds exactly. */
  readonly capacity: bigint;
}

const families = [4, 6] as const;

/** The addresses of a node's podCIDRs: each interface gets one of every family that the node has. */
export class AddressPool {
  #rings: readonly AddressRing[] = [];
  /** All addresses that are given out, also those of podCIDRs that the node had before. */
  readonly #held = new Set<string>();
  /** Addresses given out last by rings that are gone, or by an earlier process. */
  readonly #lastTaken = new Set<string>();

  /** Addresses given out before stay so, whatever the podCIDRs are now. */
  setCidrs(cidrs: readonly Cidr[]): void {
    const known = new Map(this.#rings.map((ring) => [formatCidr(ring.cidr), ring]));
    for (const text of this.cursors()) this.#lastTaken.add(text);
    this.#rings = cidrs.map((cidr) => known.get(formatCidr(cidr)) ?? this.#openRing(cidr));
  }

  #openRing(cidr: Cidr): AddressRing {
    const ring = new AddressRing(cidr);
    for (const text of this.#held) {
      const address = readNumber(text);
      if (address?.family === cidr.family) ring.reserve(address.number);
    }
    for (const text of this.#lastTaken) {
      const address = readNumber(text);
      if (address?.family === cidr.family) ring.resumeAfter(address.number);
    }
    return ring;
  }

  get hasCidrs(): boolean {
    return this.#rings.length > 0;
  }

  usage(): readonly PoolUsage[] {
    return this.#rings.map(({ cidr, used, size }) => ({
      cidr: formatCidr(cidr),
      used,
      capacity: size,
    }));
  }

  /** The family that has no free address, if any. */
  exhaustedFamily(): 4 | 6 | undefined {
    return families.find((family) => {
      const rings = this.#of(family);
      return rings.length > 0 && rings.every((ring) => BigInt(ring.used) >= ring.size);
    });
  }

  /**
   * Takes one address of each family of the node; all or none.
   *
   * @param wanted addresses that the caller insists on
   * @throws SluiceError SLUICE_CNI_TRY_AGAIN without podCIDR, SLUICE_CNI_NO_ADDRESS, SLUICE_CNI_ADDRESS_TAKEN
   */
  take(wanted: readonly Cidr[] = []): Addresses {
    if (!this.hasCidrs) {
      throw cniError("SLUICE_CNI_TRY_AGAIN", "this node has no podCIDR yet", {
        remedy: "Let the cluster assign one (kube-controller-manager --allocate-node-cidrs)",
      });
    }
    const taken: { ipv4: string | undefined; ipv6: string | undefined } = {
      ipv4: undefined,
      ipv6: undefined,
    };
    try {
      for (const address of wanted) {
        taken[address.family === 4 ? "ipv4" : "ipv6"] = this.#takeWanted(address);
      }
      for (const family of families) {
        const key = family === 4 ? "ipv4" : "ipv6";
        if (this.#of(family).length > 0) taken[key] ??= this.#takeNext(family);
      }
      return taken;
    } catch (error) {
      this.release(taken);
      throw error;
    }
  }

  #takeWanted(wanted: Cidr): string {
    const number = toNumber(wanted);
    const text = formatNumber(number, wanted.family);
    const ring = this.#of(wanted.family).find((candidate) => candidate.includes(number));
    if (ring === undefined) {
      const cidrs = this.#rings.map(({ cidr }) => formatCidr(cidr)).join(", ");
      throw cniError("SLUICE_CNI_CONFIG", `${text} is not one of this node's addresses`, {
        remedy: `Ask for one of ${cidrs}, or for none`,
      });
    }
    if (this.#held.has(text) || !ring.reserve(number)) {
      throw cniError("SLUICE_CNI_ADDRESS_TAKEN", `another container holds ${text}`);
    }
    this.#held.add(text);
    return text;
  }

  #takeNext(family: 4 | 6): string {
    for (const ring of this.#of(family)) {
      const number = ring.take();
      if (number === undefined) continue;
      const text = formatNumber(number, family);
      this.#held.add(text);
      return text;
    }
    const full = this.#of(family).map(({ cidr, used }) => `${formatCidr(cidr)} (${used} in use)`);
    throw cniError(
      "SLUICE_CNI_NO_ADDRESS",
      `no IPv${family} address is free in ${full.join(", ")}`,
    );
  }

  /** Marks the addresses of an interface that was there before; false when another one has one of them. */
  hold({ ipv4, ipv6 }: Addresses): boolean {
    const texts = [ipv4, ipv6].filter((text) => text !== undefined);
    if (texts.some((text) => this.#held.has(text))) return false;
    for (const text of texts) {
      this.#held.add(text);
      this.#eachRing(text, (ring, number) => ring.reserve(number));
    }
    return true;
  }

  release({ ipv4, ipv6 }: Addresses): void {
    for (const text of [ipv4, ipv6]) {
      if (text === undefined || !this.#held.delete(text)) continue;
      this.#eachRing(text, (ring, number) => ring.release(number));
    }
  }

  /** The addresses given out last, one for each podCIDR, for {@link resumeAfter} of a later process. */
  cursors(): readonly string[] {
    return this.#rings
      .filter((ring) => ring.includes(ring.last))
      .map(({ last, cidr }) => formatNumber(last, cidr.family));
  }

  resumeAfter(text: string): void {
    this.#lastTaken.add(text);
    this.#eachRing(text, (ring, number) => ring.resumeAfter(number));
  }

  #of(family: 4 | 6): readonly AddressRing[] {
    return this.#rings.filter((ring) => ring.cidr.family === family);
  }

  #eachRing(text: string, work: (ring: AddressRing, number: AddressNumber) => void): void {
    const address = readNumber(text);
    if (address === undefined) return;
    for (const ring of this.#of(address.family)) work(ring, address.number);
  }
}

function readNumber(text: string): { family: 4 | 6; number: AddressNumber } | undefined {
  const cidr = readCidr(text, ANY_CIDR);
  return isFault(cidr) ? undefined : { family: cidr.family, number: toNumber(cidr) };
}

function formatNumber(number: AddressNumber, family: 4 | 6): string {
  return family === 4
    ? formatV4(Number(number))
    : formatV6(number >> 64n, number & 0xffff_ffff_ffff_ffffn);
}
