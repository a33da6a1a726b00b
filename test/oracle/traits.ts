/** Traits of a packet: the second table of docs/xdp-policy.md §4. */

import type { TcpFlag, Trait } from "../../operator/model/records.js";
import { cidrContains, parseCidr } from "./address.js";
import { type IpHeader, isLaterFragment, PROTOCOL, type Transport } from "./packet.js";

const MARTIAN_SOURCES = [
  "0.0.0.0/8",
  "127.0.0.0/8",
  "224.0.0.0/4",
  "240.0.0.0/4",
  "::/128",
  "::1/128",
  "::ffff:0:0/96",
  "ff00::/8",
].map(parseCidr);

const DHCP_SERVER_PORT = 67;

type Facts = IpHeader & Transport;

export function traitsOf(facts: Facts): ReadonlySet<Trait> {
  const traits = new Set<Trait>();
  if (facts.fragment !== undefined) {
    traits.add("Fragment");
  }
  if (facts.hasOptions) {
    traits.add("IPOptions");
  }
  if (facts.source.value === facts.destination.value) {
    traits.add("SameAddress");
  }
  if (isMartianSource(facts)) {
    traits.add("MartianSource");
  }
  if (hasZeroPort(facts)) {
    traits.add("ZeroPort");
  }
  if (facts.tcpFlags !== undefined && isImpossible(facts.tcpFlags)) {
    traits.add("ImpossibleTCPFlags");
  }
  if (
    traits.has("SameAddress") ||
    traits.has("MartianSource") ||
    traits.has("ZeroPort") ||
    traits.has("ImpossibleTCPFlags")
  ) {
    traits.add("Bogon");
  }
  return traits;
}

function isMartianSource(facts: Facts): boolean {
  if (!MARTIAN_SOURCES.some((cidr) => cidrContains(cidr, facts.source))) {
    return false;
  }
  const isUnspecified = facts.source.value === 0n;
  const isDhcp =
    facts.source.family === 4 &&
    facts.protocol === PROTOCOL.udp &&
    facts.ports?.destination === DHCP_SERVER_PORT;
  const isDuplicateAddressDetection =
    facts.source.family === 6 && facts.protocol === PROTOCOL.icmpv6;
  return !(isUnspecified && (isDhcp || isDuplicateAddressDetection));
}

function hasZeroPort(facts: Facts): boolean {
  return (
    !isLaterFragment(facts) &&
    facts.ports !== undefined &&
    (facts.ports.source === 0 || facts.ports.destination === 0)
  );
}

function isImpossible(flags: ReadonlySet<TcpFlag>): boolean {
  const fin = flags.has("FIN");
  const syn = flags.has("SYN");
  const rst = flags.has("RST");
  const ack = flags.has("ACK");
  const pushOrUrgent = flags.has("PSH") || flags.has("URG");
  return (
    (!fin && !syn && !rst && !ack) ||
    (syn && fin) ||
    (syn && rst) ||
    (fin && rst) ||
    (fin && !ack) ||
    (pushOrUrgent && !ack && !syn && !rst)
  );
}
