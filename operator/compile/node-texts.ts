import { createHash } from "node:crypto";
import { formatAddress, formatCidr, formatV6 } from "../model/cidr-format.js";
import type { Cidr, NodeRecord } from "../model/records.js";

/** What of a node is written in rows of the kernel. */
export interface NodeTexts {
  /** InternalIPs, in the order of the object. */
  readonly addresses: readonly NodeAddress[];
  readonly podCidrs: readonly PodCidr[];
  /** Of its tunnel devices. */
  readonly mac: string;
  /** The link-local address that its tunnel devices would have. */
  readonly linkLocal: string;
}

export interface NodeAddress {
  readonly cidr: Cidr;
  readonly family: 4 | 6;
  /** `10.9.0.2` */
  readonly text: string;
}

export interface PodCidr {
  readonly cidr: Cidr;
  readonly family: 4 | 6;
  /** `10.244.2.0/24` */
  readonly text: string;
}

const known = new WeakMap<NodeRecord, NodeTexts>();

/** Made once for each record: all nodes are gone through at each change of one. */
export function nodeTexts(record: NodeRecord): NodeTexts {
  let texts = known.get(record);
  if (texts === undefined) {
    const mac = tunnelMac(record.name);
    texts = {
      addresses: record.internalAddresses.map((cidr) => {
        return { cidr, family: cidr.family, text: formatAddress(cidr) };
      }),
      podCidrs: record.podCidrs.map((cidr) => {
        return { cidr, family: cidr.family, text: formatCidr(cidr) };
      }),
      mac,
      linkLocal: linkLocal(mac),
    };
    known.set(record, texts);
  }
  return texts;
}

/** Of the tunnel devices of a node: every node can tell that of every other by its name alone. */
export function tunnelMac(nodeName: string): string {
  const bytes = createHash("sha256").update(`sluice tunnel ${nodeName}`).digest().subarray(0, 6);
  // Of one station, and not from a vendor.
  bytes[0] = ((bytes[0] ?? 0) & 0xfc) | 0x02;
  return bytes.toString("hex").replaceAll(/(..)(?=.)/g, "$1:");
}

/** The link-local address of an interface with this MAC. */
export function linkLocal(mac: string): string {
  const bytes = mac.split(":").map((byte) => BigInt(`0x${byte}`));
  const [a = 0n, b = 0n, c = 0n, d = 0n, e = 0n, f = 0n] = bytes;
  const groups = [((a ^ 2n) << 8n) | b, (c << 8n) | 0xffn, 0xfe00n | d, (e << 8n) | f];
  return formatV6(
    0xfe80_0000_0000_0000n,
    groups.reduce((all, group) => (all << 16n) | group, 0n),
  );
}
