/**
 * Protocols that get a series of their own. All others share one: a sender who tries all numbers
 * must not make 256 series out of each node.
 */
const labels: ReadonlyMap<number, string> = new Map([
  [1, "icmp"],
  [4, "ipip"],
  [6, "tcp"],
  [17, "udp"],
  [41, "ipv6"],
  [47, "gre"],
  [50, "esp"],
  [51, "ah"],
  [58, "icmpv6"],
  [89, "ospf"],
  [112, "vrrp"],
  [132, "sctp"],
  [256, "not-ip"],
]);

/** Label of a protocol number, 256 for frames that are not IP. */
export function protocolLabel(protocol: number): string {
  return labels.get(protocol) ?? "other";
}
