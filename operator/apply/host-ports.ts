import type {
  HostPort,
  HostPortKey,
  NodeAddress,
  PodKey,
} from "../../datapath/generated/layout.js";
import { formatAddress } from "../model/cidr-format.js";
import type { Cidr } from "../model/records.js";
import type { PodDatapath } from "./pod-datapath.js";
import { keyOfCidr, wordsOf } from "./pod-link.js";
import { RowSet } from "./row-set.js";

/** Protocol numbers of what has ports. */
export const PORT_PROTOCOLS = { tcp: 6, udp: 17, sctp: 132 } as const;

/** A port of the node that stands for a pod's. */
export interface PortMapping {
  readonly hostPort: number;
  readonly containerPort: number;
  readonly protocol: keyof typeof PORT_PROTOCOLS;
  /** The address of the node that has it; `0.0.0.0` or `::`: each one of its family; undefined: each one. */
  readonly hostIp: string | undefined;
}

/** A pod with ports on the node. */
export interface PodPorts {
  readonly ipv4: string | undefined;
  readonly ipv6: string | undefined;
  readonly ports: readonly PortMapping[];
}

/**
 * The tables `node_addresses` and `host_ports`. A port without an address has a row for each of the node's addresses
 * but loopback and link-local ones.
 */
export class HostPorts {
  readonly #ports: RowSet<HostPortKey, HostPort>;
  readonly #addresses: RowSet<PodKey, NodeAddress>;

  constructor({ hostPorts, nodeAddresses }: PodDatapath) {
    this.#ports = new RowSet(hostPorts);
    this.#addresses = new RowSet(nodeAddresses);
  }

  /**
   * Makes the tables what they are to be. A port is looked for only at addresses that say they have some: they say so
   * once it is there.
   *
   * @param own the node's addresses
   * @param pods all that have ports; of two that want the same the first has it
   * @throws SluiceError SLUICE_MAP_FULL
   */
  set(own: readonly Cidr[], pods: readonly PodPorts[]): void {
    const rows = pods.flatMap((pod) => pod.ports.flatMap((port) => rowsOf(own, pod, port)));
    this.#ports.set(rows.reverse());
    const counts = new Map<string, number>();
    for (const [key] of rows) {
      const name = `${key.family} ${key.address.join()}`;
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    this.#addresses.set(
      own.map((cidr) => {
        const key = keyOfCidr(cidr);
        return [key, { hostPorts: counts.get(`${key.family} ${key.address.join()}`) ?? 0 }];
      }),
    );
  }
}

function rowsOf(
  own: readonly Cidr[],
  pod: PodPorts,
  port: PortMapping,
): readonly (readonly [HostPortKey, HostPort])[] {
  return own.flatMap((cidr) => {
    const target = cidr.family === 4 ? pod.ipv4 : pod.ipv6;
    if (target === undefined || !isMeant(port, cidr)) return [];
    const { address, family } = keyOfCidr(cidr);
    return [
      [
        { address, family, port: port.hostPort, protocol: PORT_PROTOCOLS[port.protocol] },
        { address: wordsOf(target).words, port: port.containerPort },
      ],
    ];
  });
}

function isMeant({ hostIp }: PortMapping, cidr: Cidr): boolean {
  if (hostIp === undefined || hostIp === (cidr.family === 4 ? "0.0.0.0" : "::")) {
    return isReachable(cidr);
  }
  return formatAddress(cidr) === hostIp;
}

/** From outside, and by an address that means the same on every interface. */
function isReachable(cidr: Cidr): boolean {
  if (cidr.family === 4) return cidr.address >>> 24 !== 127 && cidr.address >>> 16 !== 0xa9fe;
  return cidr.high >> 54n !== 0x3fan && !(cidr.high === 0n && cidr.low === 1n);
}
