import { type FieldPath, type Finding, fault } from "./finding.js";
import type { RuleManifest } from "./project-policy.js";
import type { PortRange, ProtocolMatch } from "./records.js";

type ProtocolManifest = NonNullable<RuleManifest["protocols"]>[number];
type TcpManifest = NonNullable<ProtocolManifest["tcp"]>;
type PortManifest = NonNullable<TcpManifest["destinationPort"]>;

/** The entries of a rule's `protocols`; those that the schema's rules refuse are left out. */
export function projectProtocols(
  protocols: readonly ProtocolManifest[],
  path: FieldPath,
  findings: Finding[],
): readonly ProtocolMatch[] {
  return protocols.flatMap((protocol, index) => {
    const { tcp, icmp, icmpv6 } = protocol;
    if (tcp?.flags !== undefined) {
      checkFlags(tcp.flags, [...path, index, "tcp", "flags", "unset"], findings);
    }
    if (tcp !== undefined) return { kind: "tcp", ...projectPorts(tcp), ...projectFlags(tcp) };
    if (protocol.udp !== undefined) return { kind: "udp", ...projectPorts(protocol.udp) };
    if (protocol.sctp !== undefined) return { kind: "sctp", ...projectPorts(protocol.sctp) };
    if (icmp !== undefined) return { kind: "icmp", ...icmp };
    if (icmpv6 !== undefined) return { kind: "icmpv6", ...icmpv6 };
    return protocol.protocol === undefined ? [] : { kind: "protocol", number: protocol.protocol };
  });
}

interface Ports {
  readonly destinationPort?: PortRange;
  readonly sourcePort?: PortRange;
}

function projectPorts(ports: {
  readonly destinationPort?: PortManifest;
  readonly sourcePort?: PortManifest;
}): Ports {
  const { destinationPort, sourcePort } = ports;
  return {
    ...(destinationPort !== undefined && { destinationPort: projectPort(destinationPort) }),
    ...(sourcePort !== undefined && { sourcePort: projectPort(sourcePort) }),
  };
}

function projectPort({ number = 0, range }: PortManifest): PortRange {
  return range ?? { start: number, end: number };
}

function projectFlags({ flags }: TcpManifest) {
  return flags === undefined ? {} : { flags: { set: flags.set ?? [], unset: flags.unset ?? [] } };
}

function checkFlags(
  { set = [], unset = [] }: NonNullable<TcpManifest["flags"]>,
  path: FieldPath,
  findings: Finding[],
): void {
  for (const [index, flag] of unset.entries()) {
    if (!set.includes(flag)) continue;
    findings.push(
      fault(
        "SLUICE_RULE",
        [...path, index],
        `${flag} is in set as well, and no packet has a flag both set and clear`,
        "Remove it from one of the lists",
      ),
    );
  }
}
