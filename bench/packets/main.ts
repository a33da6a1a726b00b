/** Time per packet by BPF_PROG_TEST_RUN: docs/bench.md, "Per packet". */
import { runPart } from "../part.js";
import { formatNumber, formatRatio, type PartResult, type Section } from "../result.js";
import { type Case, emptyCases, type Floor, sluiceCases } from "./cases.js";
import { Harness } from "./harness.js";
import { type Measured, measureCases } from "./measure.js";
import { judgeTargets, ratios } from "./targets.js";

const columns = [
  "packets",
  "ns, min",
  "ns, median",
  "above empty",
  "× empty",
  "peer, ns",
  "× peer",
  "× peer, above empty",
];

await runPart(async (options, progress): Promise<PartResult> => {
  const selected = sluiceCases().filter(({ name }) => `packets ${name}`.includes(options.only));
  if (selected.length === 0) return { sections: [], targets: [] };
  const harness = await Harness.open();
  try {
    const empty = emptyCases(harness);
    const measured = await measureCases(harness, [...empty, ...selected], options, progress);
    const floorNs = new Map<Floor, number>();
    for (const { of, ns } of measured.slice(0, empty.length)) {
      floorNs.set(of.floor, Math.min(ns.min, floorNs.get(of.floor) ?? Infinity));
    }
    const rows = measured.map((row) => formatRow(row, floorNs.get(row.of.floor)!));
    return { sections: [section(rows, selected)], targets: judgeTargets(measured, floorNs) };
  } finally {
    harness.close();
  }
});

function section(rows: Section["rows"], selected: readonly Case[]): Section {
  const peers = new Set(selected.flatMap(({ peer }) => peer?.product ?? []));
  return {
    title: "Per packet, by test run",
    columns,
    rows,
    notes: [
      "Nanoseconds of CPU time per packet. “Above empty” is what is left without the empty program called the same " +
        "way (with the harness, where sources vary); ratios are of the minima.",
      ...(peers.size > 0 ? [`The peer is ${[...peers].join(", ")} on the same packets.`] : []),
    ],
  };
}

function formatRow({ of, ns, peerNs }: Measured, floorNs: number): readonly string[] {
  const isEmpty = of.name.includes("empty program");
  const peer = peerNs && ratios(ns.min, peerNs.min, floorNs);
  return [
    of.name,
    formatNumber(ns.min),
    formatNumber(ns.median),
    isEmpty ? "" : formatNumber(ns.min - floorNs),
    isEmpty ? "" : formatRatio(ns.min / floorNs),
    peerNs === undefined ? "" : formatNumber(peerNs.min),
    peer === undefined ? "" : formatRatio(peer.gross),
    peer === undefined ? "" : formatRatio(peer.net),
  ];
}
