import { readFileSync } from "node:fs";
import { parseCidr } from "../model/cidr.js";
import type { Peer, ProtocolMatch, RuleRecord } from "../model/records.js";

const ANY_ADDRESS = { bareAddress: true, everything: true };

/** The default fail-safe rules: docs/xdp-policy.md §7. */
export function defaultFailSafe(options: {
  /** Addresses of the node's resolvers. */
  readonly resolvers: readonly string[];
  /** `ADDRESS:PORT` of the API servers. */
  readonly apiServers: readonly string[];
}): readonly RuleRecord[] {
  const rules = [
    accept("ssh", [tcp(22)]),
    accept("kube-api", [tcp(6443)]),
    accept("etcd", [tcp(2379, 2380)]),
    accept("kubelet", [tcp(10250)]),
    accept("dhcp", [udpBetween(67, 68)]),
    accept("dhcpv6", [udpBetween(547, 546)]),
    accept(
      "neighbour-discovery",
      [133, 134, 135, 136, 137].map((type) => ({ kind: "icmpv6", type })),
    ),
  ];
  if (options.resolvers.length > 0) {
    const sourcePort = { start: 53, end: 53 };
    const peers = options.resolvers.map(addressPeer);
    rules.push(
      accept(
        "dns-replies",
        [
          { kind: "udp", sourcePort },
          { kind: "tcp", sourcePort },
        ],
        peers,
      ),
    );
  }
  options.apiServers.forEach((endpoint, index) => {
    const { address, port } = splitEndpoint(endpoint);
    const sourcePort = { start: port, end: port };
    rules.push(
      accept(`api-server-${index}`, [{ kind: "tcp", sourcePort }], [addressPeer(address)]),
    );
  });
  return rules;
}

/** Name servers of resolv.conf; none when it cannot be read. Link-local ones with a zone have no use off their link. */
export function systemResolvers(path = "/etc/resolv.conf"): readonly string[] {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch {
    return [];
  }
  return [...text.matchAll(/^\s*nameserver\s+([0-9a-fA-F:.]+)\s*$/gm)].map(
    ([, address]) => address!,
  );
}

/** `[::1]:6443` or `10.0.0.1:6443`. */
export function splitEndpoint(endpoint: string): {
  readonly address: string;
  readonly port: number;
} {
  const at = endpoint.lastIndexOf(":");
  return {
    address: endpoint.slice(0, at).replace(/^\[|\]$/g, ""),
    port: Number(endpoint.slice(at + 1)),
  };
}

function accept(
  name: string,
  protocols: readonly ProtocolMatch[],
  from: readonly Peer[] = [],
): RuleRecord {
  return { name, action: { kind: "Accept" }, from, to: [], protocols, traits: [], logOneIn: 0 };
}

function tcp(start: number, end = start): ProtocolMatch {
  return { kind: "tcp", destinationPort: { start, end } };
}

function udpBetween(source: number, destination: number): ProtocolMatch {
  return {
    kind: "udp",
    sourcePort: { start: source, end: source },
    destinationPort: { start: destination, end: destination },
  };
}

function addressPeer(address: string): Peer {
  return { kind: "cidr", cidr: parseCidr(address, ANY_ADDRESS), except: [] };
}
