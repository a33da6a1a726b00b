import { formatNumber, formatRatio, type Target } from "../result.js";
import type { Floor } from "./cases.js";
import type { Measured } from "./measure.js";

interface Ratio {
  /** Of the whole times. */
  readonly gross: number;
  /** Of the times without the empty program, called the same way. */
  readonly net: number;
}

export function ratios(ns: number, otherNs: number, floorNs: number): Ratio {
  return { gross: ns / otherNs, net: (ns - floorNs) / (otherNs - floorNs) };
}

interface Goal {
  readonly what: string;
  readonly row: string;
  /** Another row, or the peer of the row itself. */
  readonly against: { readonly row: string } | "peer";
  readonly called: string;
  readonly most: number;
}

const goals: readonly Goal[] = [
  {
    what: "packet of an interface that no policy judges",
    row: "no policy",
    against: { row: "empty program: XDP_PASS" },
    called: "the empty program",
    most: 2.5,
  },
  {
    what: "drop by an exact address, hot",
    row: "set of 1, one source, hit",
    against: { row: "empty program: XDP_DROP" },
    called: "the empty program",
    most: 4.5,
  },
  {
    what: "drop from a set of 1 M, random sources",
    row: "set of 1M, random entries",
    against: "peer",
    called: "xdp-filter",
    most: 0.5,
  },
  {
    what: "legitimate packet beside a set of 1 M",
    row: "set of 1M, legitimate",
    against: { row: "empty set, the same legitimate" },
    called: "an empty set",
    most: 1.5,
  },
  ...["sources of none", "the last rule", "sources of all, port of none"].map(
    (packets): Goal => ({
      what: `4,000 rules, ${packets}`,
      row: `4,000 rules, ${packets}`,
      against: { row: `4 rules, ${packets}` },
      called: "4 rules",
      most: 1.1,
    }),
  ),
];

/** Goals whose rows were measured. Held against a peer or another set-up, both ratios must be within the goal. */
export function judgeTargets(
  measured: readonly Measured[],
  floorNs: ReadonlyMap<Floor, number>,
): readonly Target[] {
  const byName = new Map(measured.map((row) => [row.of.name, row]));
  return goals.flatMap(({ what, row, against, called, most }): readonly Target[] => {
    const own = byName.get(row);
    const other = against === "peer" ? own?.peerNs : byName.get(against.row)?.ns;
    if (own === undefined || other === undefined) return [];
    const { gross, net } = ratios(own.ns.min, other.min, floorNs.get(own.of.floor)!);
    const isEmpty = called === "the empty program";
    const ns = `${formatNumber(own.ns.min)} ns against ${formatNumber(other.min)}`;
    return [
      {
        what,
        goal: `≤ ${most} × ${called}`,
        measured: isEmpty
          ? `${formatRatio(gross)} (${ns})`
          : `${formatRatio(gross)}, above empty ${formatRatio(net)} (${ns})`,
        isReached: gross <= most && (isEmpty || net <= most),
      },
    ];
  });
}
