import type { PortRange, ProtocolMatch, TcpFlag } from "../model/records.js";

/**
 * A rule's `protocols` as boxes. The kernel judges each field of a packet by itself, so one bit can only stand for a
 * product: these ports AND those source ports AND those details. All fields but the addresses are looked up by
 * protocol, so one bit can hold one box of every protocol. What is no product takes more bits.
 */
export interface ProtocolBox {
  /** Undefined: any. */
  readonly destinationPorts: readonly PortRange[] | undefined;
  readonly sourcePorts: readonly PortRange[] | undefined;
  /** TCP flags or ICMP type << 8 | code, as ranges; undefined: any. */
  readonly details: readonly PortRange[] | undefined;
}

/**
 * What a packet's protocol is to the kernel's port field: "tcp", "udp", "sctp", or family and number. ICMP proper is
 * `4/1` and `6/58`.
 */
export type ProtocolSpace = "tcp" | "udp" | "sctp" | `4/${number}` | `6/${number}`;

/** One bit's worth of a rule. A protocol that is missing is not accepted. */
export type ProtocolProduct = ReadonlyMap<ProtocolSpace, ProtocolBox>;

const ANY: ProtocolBox = {
  destinationPorts: undefined,
  sourcePorts: undefined,
  details: undefined,
};
const PORTED = new Map<number, ProtocolSpace>([
  [6, "tcp"],
  [17, "udp"],
  [132, "sctp"],
]);
const FLAG_BITS: Record<TcpFlag, number> = {
  FIN: 1,
  SYN: 2,
  RST: 4,
  PSH: 8,
  ACK: 16,
  URG: 32,
  ECE: 64,
  CWR: 128,
};

/** Products whose union is what the entries accept; undefined when they accept every protocol. */
export function protocolProducts(
  protocols: readonly ProtocolMatch[],
): readonly ProtocolProduct[] | undefined {
  if (protocols.length === 0) return undefined;
  const bySpace = new Map<ProtocolSpace, ProtocolBox[]>();
  for (const match of protocols) {
    for (const [space, box] of boxesOf(match)) {
      const boxes = bySpace.get(space) ?? [];
      boxes.push(box);
      bySpace.set(space, boxes);
    }
  }
  const merged = [...bySpace].map(([space, boxes]) => [space, mergeBoxes(boxes)] as const);
  const count = Math.max(...merged.map(([, boxes]) => boxes.length));
  return Array.from({ length: count }, (_, index) => {
    const product = new Map<ProtocolSpace, ProtocolBox>();
    for (const [space, boxes] of merged) {
      const box = boxes[index];
      if (box !== undefined) product.set(space, box);
    }
    return product;
  });
}

/** A box that constrains nothing also accepts later fragments, which have none of these fields. */
export function isUnconstrained(box: ProtocolBox): boolean {
  return (
    box.destinationPorts === undefined && box.sourcePorts === undefined && box.details === undefined
  );
}

function boxesOf(match: ProtocolMatch): readonly (readonly [ProtocolSpace, ProtocolBox])[] {
  switch (match.kind) {
    case "tcp":
      return [["tcp", { ...portsOf(match), details: flagValues(match.flags) }]];
    case "udp":
    case "sctp":
      return [[match.kind, { ...portsOf(match), details: undefined }]];
    case "icmp":
      return [["4/1", { ...ANY, details: icmpValues(match) }]];
    case "icmpv6":
      return [["6/58", { ...ANY, details: icmpValues(match) }]];
    case "protocol": {
      const ported = PORTED.get(match.number);
      if (ported !== undefined) return [[ported, ANY]];
      return [
        [`4/${match.number}`, ANY],
        [`6/${match.number}`, ANY],
      ];
    }
  }
}

function portsOf(match: { destinationPort?: PortRange; sourcePort?: PortRange }) {
  return {
    destinationPorts: match.destinationPort && [match.destinationPort],
    sourcePorts: match.sourcePort && [match.sourcePort],
  };
}

function icmpValues(match: { type?: number; code?: number }): readonly PortRange[] | undefined {
  const { type, code } = match;
  if (type === undefined) {
    if (code === undefined) return undefined;
    return Array.from({ length: 256 }, (_, any) => single((any << 8) | code));
  }
  if (code === undefined) return [{ start: type << 8, end: (type << 8) | 255 }];
  return [single((type << 8) | code)];
}

function flagValues(
  flags: { readonly set: readonly TcpFlag[]; readonly unset: readonly TcpFlag[] } | undefined,
): readonly PortRange[] | undefined {
  if (flags === undefined || flags.set.length + flags.unset.length === 0) return undefined;
  const set = flags.set.reduce((bits, flag) => bits | FLAG_BITS[flag], 0);
  const unset = flags.unset.reduce((bits, flag) => bits | FLAG_BITS[flag], 0);
  const values: PortRange[] = [];
  for (let value = 0; value < 256; value++) {
    if ((value & set) === set && (value & unset) === 0) values.push(single(value));
  }
  return values;
}

function single(value: number): PortRange {
  return { start: value, end: value };
}

/** Unites boxes that differ in one field only; one that accepts everything swallows the others. */
function mergeBoxes(boxes: readonly ProtocolBox[]): readonly ProtocolBox[] {
  if (boxes.some(isUnconstrained)) return [ANY];
  const fields = ["destinationPorts", "sourcePorts", "details"] as const;
  let merged = [...boxes];
  for (const field of fields) {
    const groups = new Map<string, ProtocolBox>();
    for (const box of merged) {
      const key = JSON.stringify(
        fields.map((other) => (other === field ? null : (box[other] ?? "any"))),
      );
      const seen = groups.get(key);
      groups.set(
        key,
        seen === undefined ? box : { ...seen, [field]: unite(seen[field], box[field]) },
      );
    }
    merged = [...groups.values()];
  }
  return merged;
}

function unite(
  a: readonly PortRange[] | undefined,
  b: readonly PortRange[] | undefined,
): readonly PortRange[] | undefined {
  return a === undefined || b === undefined ? undefined : mergeRanges([...a, ...b]);
}

/** Sorted and disjoint, neighbours joined. */
export function mergeRanges(ranges: readonly PortRange[]): readonly PortRange[] {
  const sorted = [...ranges].sort((a, b) => a.start - b.start);
  const merged: { start: number; end: number }[] = [];
  for (const { start, end } of sorted) {
    const last = merged.at(-1);
    if (last !== undefined && start <= last.end + 1) last.end = Math.max(last.end, end);
    else merged.push({ start, end });
  }
  return merged;
}
