import { PodRouteFlags, type PodRoute, type PodRouteKey } from "../../datapath/generated/layout.js";
import type { BpfMap } from "../../datapath/index.js";
import { wordsOf } from "./pod-link.js";
import { RowSet } from "./row-set.js";

/** The way to a range of pods on another node. */
export interface PodRange {
  /** `10.244.2.0/24` */
  readonly cidr: string;
  /** Number of the interface that leads there. */
  readonly device: number;
  /** It is a tunnel: packets from that range come by it and by no other interface. */
  readonly isTunnel: boolean;
}

/**
 * The table `pod_routes`: which addresses are pods of other nodes, and where their packets come from. Where they are
 * sent to, the kernel's routes say.
 */
export class PodRoutes {
  readonly #rows: RowSet<PodRouteKey, PodRoute>;

  /** Takes over what an earlier agent wrote. */
  constructor(podRoutes: BpfMap<PodRouteKey, PodRoute>) {
    this.#rows = new RowSet(podRoutes);
  }

  /**
   * All ranges there are, and no others; the kernel is told of what differs.
   *
   * @throws SluiceError SLUICE_MAP_FULL
   */
  set(ranges: readonly PodRange[]): void {
    this.#rows.set(ranges.map(rowOf));
  }
}

function rowOf({ cidr, device, isTunnel }: PodRange): readonly [PodRouteKey, PodRoute] {
  const [address = "", length] = cidr.split("/");
  const { family, words } = wordsOf(address);
  const bits = length === undefined ? (family === 4 ? 32 : 128) : Number(length);
  return [
    { prefixBits: 32 + bits, family, address: words },
    { ifindex: device, flags: isTunnel ? PodRouteFlags.POD_ROUTE_TUNNEL : 0 },
  ];
}
