import { parseCidr } from "../../operator/model/cidr.js";
import type { NodeRecord } from "../../operator/model/records.js";

/** A Node as tests write it. */
export interface NodeText {
  readonly name: string;
  readonly addresses: readonly string[];
  readonly podCidrs: readonly string[];
  /** Default 0. */
  readonly createdAtMs?: number;
}

export function nodeRecord({ name, addresses, podCidrs, createdAtMs = 0 }: NodeText): NodeRecord {
  const cidrs = addresses.map((text) => parseCidr(text));
  return {
    kind: "Node",
    name,
    origin: { source: "test" },
    labels: {},
    addresses: cidrs,
    internalAddresses: cidrs,
    createdAtMs,
    podCidrs: podCidrs.map((text) => parseCidr(text)),
    isLeaving: false,
  };
}

/** The node of a number: `10.9.0.N` and `fd00:9::N`, pods in `10.244.N.0/24` and `fd00:244:N::/64`. */
export function nodeText(number: number, more: Partial<NodeText> = {}): NodeText {
  return {
    name: `node${number}`,
    addresses: [`10.9.0.${number}`, `fd00:9::${number}`],
    podCidrs: [`10.244.${number}.0/24`, `fd00:244:${number}::/64`],
    createdAtMs: number,
    ...more,
  };
}
