/** By bit of the flags byte, from the lowest. */
export const tcpFlagNames: readonly string[] = [
  "FIN",
  "SYN",
  "RST",
  "PSH",
  "ACK",
  "URG",
  "ECE",
  "CWR",
];

/** From the IANA registry: those that a node is likely to see. */
const names: ReadonlyMap<number, string> = new Map([
  [1, "icmp"],
  [2, "igmp"],
  [4, "ipip"],
  [6, "tcp"],
  [17, "udp"],
  [41, "ipv6"],
  [47, "gre"],
  [50, "esp"],
  [51, "ah"],
  [58, "icmpv6"],
  [59, "no-next-header"],
  [89, "ospf"],
  [103, "pim"],
  [112, "vrrp"],
  [132, "sctp"],
]);

export function protocolName(number: number): string {
  return names.get(number) ?? `protocol ${number}`;
}

/** Number of a protocol given by name or number; undefined when it is neither. */
export function protocolByName(word: string): number | undefined {
  const wanted = word.toLowerCase();
  for (const [number, name] of names) if (name === wanted) return number;
  return /^\d{1,3}$/.test(word) && Number(word) <= 255 ? Number(word) : undefined;
}
