/**
 * NetworkPolicy v1 and ClusterNetworkPolicy v1alpha2, judged as their documents say, object by
 * object and as slowly as that is. It is what the compiler and the kernel are compared with, so it
 * shares no code with them. It judges the packet that opens a connection; replies and related ICMP
 * errors belong to that connection (N32, C7).
 */

import { isSameAddress } from "./address.js";
import { decideTier } from "./cluster-network-policy.js";
import { type Cluster, type Direction, isAudit } from "./manifests.js";
import { judgeNetworkPolicies } from "./network-policy.js";
import { type Ends, endsOf, type Packet } from "./packet.js";
import { isOwnNode, type Traffic } from "./traffic.js";
import type { FixedReason, Judgement, Verdict } from "./verdict.js";

/** Throws when an end of the packet is unknown. */
export function judge(cluster: Cluster, packet: Packet): Judgement {
  const ends = endsOf(cluster, packet);
  const judgeBoth = (withAudit: boolean) => {
    const egress = judgeDirection(cluster, packet, ends, "egress", withAudit);
    const ingress = judgeDirection(cluster, packet, ends, "ingress", withAudit);
    // N3.
    return { allowed: egress.allowed && ingress.allowed, egress, ingress };
  };
  const judged = judgeBoth(false);
  const hasAudit = [...cluster.networkPolicies, ...cluster.clusterNetworkPolicies].some(isAudit);
  return {
    ...judged,
    /* Most that ask do not want it. */
    get audit() {
      return hasAudit ? judgeBoth(true) : judged;
    },
  };
}

function judgeDirection(
  cluster: Cluster,
  packet: Packet,
  { source, destination }: Ends,
  direction: Direction,
  withAudit: boolean,
): Verdict {
  const [{ pod: subject }, peer] =
    direction === "egress" ? [source, destination] : [destination, source];
  const fixed = (reason: FixedReason): Verdict => ({ by: "fixed", allowed: true, reason });
  if (subject === undefined) {
    return fixed("no-pod");
  }
  if (isSameAddress(source.address, destination.address)) {
    return fixed("own-pod");
  }
  if (isOwnNode(cluster, subject, peer)) {
    return fixed("own-node");
  }
  if (isNeighbourDiscovery(packet)) {
    return fixed("neighbour-discovery");
  }
  return judgeTiers({ cluster, direction, subject, peer, destination, packet }, withAudit);
}

/** C1, C3, C4, and C6 read per direction: Baseline is for directions that nothing isolates. */
function judgeTiers(traffic: Traffic, withAudit: boolean): Verdict {
  const admin = decideTier(traffic, "Admin", withAudit);
  if (admin !== undefined && admin.action !== "Pass") {
    const { action, ...name } = admin;
    return { by: "Admin", allowed: action === "Accept", ...name };
  }
  const verdict = judgeNetworkPolicies(traffic, withAudit);
  if (verdict !== undefined) {
    return verdict;
  }
  const baseline = decideTier(traffic, "Baseline", withAudit);
  if (baseline !== undefined && baseline.action !== "Pass") {
    const { action, ...name } = baseline;
    return { by: "Baseline", allowed: action === "Accept", ...name };
  }
  return { by: "default", allowed: true };
}

function isNeighbourDiscovery({ protocol, icmpType = -1 }: Packet): boolean {
  return protocol === "ICMPv6" && icmpType >= 133 && icmpType <= 137;
}
