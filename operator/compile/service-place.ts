import { cidrContains } from "../model/cidr.js";
import type { Cidr } from "../model/records.js";
import type { ServiceNode } from "./service-endpoints.js";
import type { ServiceOptions } from "./service-verdict.js";

/** What of the node, and of how it is set up, the rows of Services depend on. */
export interface ServicePlace extends ServiceNode, ServiceOptions {
  /** All addresses that packets of this node itself have. */
  readonly ownAddresses: readonly Cidr[];
  /** Own addresses at which the ports of NodePort Services are to be had. */
  readonly nodePortAddresses: readonly Cidr[];
  readonly guard: ExternalAddressGuard;
}

/** Which external IPs a Service may take for itself: whoever writes a Service could take packets of others otherwise (CVE-2020-8554). */
export interface ExternalAddressGuard {
  /** Of the pods of all nodes. */
  readonly podRanges: readonly Cidr[];
  /** Of cluster IPs. */
  readonly serviceRanges: readonly Cidr[];
  /** Of all nodes. */
  readonly nodeAddresses: readonly Cidr[];
  /**
   * Only what lies inside of these is taken, whoever else has it; undefined: all but addresses of pods, of nodes and of
   * other Services.
   */
  readonly allowed: readonly Cidr[] | undefined;
}

/** Why an external IP is not to be taken, as the end of a sentence. */
export function guardedBecause(
  address: Cidr,
  { podRanges, serviceRanges, nodeAddresses, allowed }: ExternalAddressGuard,
): string | undefined {
  const isIn = (ranges: readonly Cidr[]) => ranges.some((range) => cidrContains(range, address));
  if (allowed !== undefined) {
    return isIn(allowed) ? undefined : "is in none of the ranges that external IPs may be in";
  }
  if (isIn(nodeAddresses)) return "is the address of a node";
  if (isIn(podRanges)) return "is in a range of pods";
  return isIn(serviceRanges) ? "is in a range of cluster IPs" : undefined;
}

/** Where NodePort Services are to be had: `primary`, `all`, `localhost`, or the own addresses in a block. */
export type NodePortSelection = "primary" | "all" | "localhost" | Cidr;

/**
 * Own addresses that a selection names. A family that no block is given for has its primary address (services.md §1.8).
 *
 * @param own all addresses of this node's interfaces, those of the loopback included
 * @param primary of each family that the node has
 */
export function selectNodePortAddresses(
  selections: readonly NodePortSelection[],
  own: readonly Cidr[],
  primary: readonly Cidr[],
): readonly Cidr[] {
  const isAsked = (selection: NodePortSelection, family: 4 | 6) =>
    typeof selection === "string" || selection.family === family;
  return ([4, 6] as const).flatMap((family) => {
    const asked = selections.filter((selection) => isAsked(selection, family));
    const wanted: readonly NodePortSelection[] = asked.length > 0 ? asked : ["primary"];
    return own.filter(
      (address) =>
        address.family === family &&
        wanted.some((selection) => isSelected(address, selection, primary)),
    );
  });
}

function isSelected(
  address: Cidr,
  selection: NodePortSelection,
  primary: readonly Cidr[],
): boolean {
  switch (selection) {
    case "primary":
      return primary.some((one) => cidrContains(one, address));
    case "localhost":
      return isLoopback(address);
    case "all":
      return !isLoopback(address);
    default:
      return cidrContains(selection, address);
  }
}

function isLoopback(address: Cidr): boolean {
  return address.family === 4
    ? address.address >>> 24 === 127
    : address.high === 0n && address.low === 1n;
}
