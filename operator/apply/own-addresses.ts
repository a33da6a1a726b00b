import { listAddresses } from "../../datapath/index.js";
import { formatCidr } from "../model/cidr-format.js";
import { ANY_CIDR, isFault, readCidr } from "../model/cidr.js";
import type { Cidr } from "../model/records.js";

/**
 * The node's own addresses: of every interface, and those told besides.
 *
 * @returns `before` itself when they are the same
 */
export function ownAddresses(before: readonly Cidr[], told: readonly Cidr[]): readonly Cidr[] {
  const found = listAddresses().flatMap(({ address }) => {
    const cidr = readCidr(address, ANY_CIDR);
    return isFault(cidr) ? [] : [cidr];
  });
  const byText = new Map([...found, ...told].map((cidr) => [formatCidr(cidr), cidr]));
  const texts = new Set(before.map(formatCidr));
  const isSame = texts.size === byText.size && [...byText.keys()].every((key) => texts.has(key));
  return isSame ? before : [...byText.values()];
}
