import { listAddresses } from "../../datapath/index.js";
import { formatCidr } from "../model/cidr-format.js";
import { ANY_CIDR, isFault, readCidr } from "../model/cidr.js";
import type { Cidr } from "../model/records.js";

/** Asking for the addresses of some hundred interfaces takes milliseconds. */
const FRESH_MS = 1000;

/** Every address of this node: nobody tells when those of its interfaces change. */
export class OwnAddresses {
  #found: readonly Cidr[] = [];
  #readMs = Number.NEGATIVE_INFINITY;
  #all: readonly Cidr[] = [];

  /**
   * Of every interface, as it was a second ago at most, and what the Node object says besides.
   *
   * @returns the list from before while it is the same
   */
  read(told: readonly Cidr[]): readonly Cidr[] {
    const nowMs = performance.now();
    if (nowMs - this.#readMs >= FRESH_MS) {
      this.#found = listAddresses().flatMap(({ address }) => {
        const cidr = readCidr(address, ANY_CIDR);
        return isFault(cidr) ? [] : [cidr];
      });
      this.#readMs = nowMs;
    }
    const byText = new Map([...this.#found, ...told].map((cidr) => [formatCidr(cidr), cidr]));
    const known = new Set(this.#all.map(formatCidr));
    const isSame = known.size === byText.size && [...byText.keys()].every((key) => known.has(key));
    if (!isSame) this.#all = [...byText.values()];
    return this.#all;
  }
}
