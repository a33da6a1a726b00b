/** Routes between nodes as an administrator sets them. */

import type { Namespace } from "../support/netns.js";

export type RoutingMode = "direct" | "vxlan";

export interface RoutedNode {
  readonly namespace: Namespace;
  readonly ipv4: string;
  readonly ipv6: string;
  /** One of each family. */
  readonly podCIDRs: readonly [string, string];
}

const DEVICE = "tunnel";
/** Of the tunnel's end on a node: known from the node's place, so that nothing has to be learned. */
const macOf = (index: number) => `02:00:00:00:10:0${index + 1}`;

/** Makes each node's pods reachable from all others. */
export function setStaticRoutes(nodes: readonly RoutedNode[], mode: RoutingMode): void {
  for (const [index, { namespace, ipv4 }] of nodes.entries()) {
    const ip = (...words: readonly string[]) => namespace.run("ip", ...words);
    if (mode === "vxlan") {
      const type = ["type", "vxlan", "id", "7", "dstport", "4789", "local", ipv4, "nolearning"];
      ip("link", "add", DEVICE, "address", macOf(index), ...type);
      ip("link", "set", DEVICE, "up");
    }
    for (const [place, other] of nodes.entries()) {
      if (place === index) continue;
      const [podsV4, podsV6] = other.podCIDRs;
      if (mode === "direct") {
        ip("route", "add", podsV4, "via", other.ipv4);
        ip("-6", "route", "add", podsV6, "via", other.ipv6);
        continue;
      }
      const mac = macOf(place);
      namespace.run("bridge", "fdb", "append", mac, "dev", DEVICE, "dst", other.ipv4);
      for (const [family, pods, via] of [
        ["-4", podsV4, other.ipv4],
        /* One that the kernel takes for the tunnel's: the node's own is on the wire. */
        ["-6", podsV6, `fe80::${place + 1}`],
      ] as const) {
        ip(family, "neigh", "replace", via, "lladdr", mac, "dev", DEVICE, "nud", "permanent");
        ip(family, "route", "add", pods, "via", via, "dev", DEVICE, "onlink");
      }
    }
  }
}
