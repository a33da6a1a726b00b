import { listAddresses } from "../../datapath/index.js";
import { formatCidr } from "../model/cidr-format.js";
import { ANY_CIDR, isFault, readCidr } from "../model/cidr.js";
import type { Cidr } from "../model/records.js";

/**
 * The node's own addresses: of every interface, and what its Node object tells besides.
 *
 * @param before the list from before, which is returned while it is the same
 */
export function ownAddresses(told: readonly Cidr[], before: readonly Cidr[]): readonly Cidr[] {
  const found = listAddresses().flatMap(({ address }) => {
    const cidr = readCidr(address, ANY_CIDR);
    return isFault(cidr) ? [] : [cidr];
  });
  const byText = new Map([...found, ...told].map((cidr) => [formatCidr(cidr), cidr]));
  const known = new Set(before.map(formatCidr));
  const isSame = known.size === byText.size && [...byText.keys()].every((key) => known.has(key));
  return isSame ? before : [...byText.values()];
}
