/** CPU time of the receiver per dropped packet on a veth wire: docs/bench.md, "On a wire". */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { netnsPath } from "../../datapath/index.js";
import { SluiceError } from "../../operator/errors.js";
import { atExit, makeNamespace } from "../cleanup.js";
import { runPart } from "../part.js";
import { formatNumber, formatRatio, type PartResult, spread } from "../result.js";
import { manyEntries, oneEntry } from "./entries.js";
import type { Flood } from "./generator.js";
import {
  type DropSubject,
  emptyDrop,
  ipsetDrop,
  nftablesDrop,
  sluiceDrop,
  xdpFilterDrop,
} from "./subjects.js";
import { makeWire, type Wire } from "./wire.js";

interface Run {
  readonly subject: DropSubject;
  readonly size: "one" | "many";
}

interface Running extends Run {
  readonly wire: Wire;
  readonly dropped: () => number;
  readonly timesNs: number[];
}

const generatorCpu = 0;
const receiverCpu = 1;
const full = { rounds: 7, frames: 1_500_000 };
const quick = { rounds: 2, frames: 300_000 };
/** The receiver empties its ring, and the counters of its CPU time are brought up to date. */
const settleMs = 30;

const sizes = { one: "1 address", many: "1 M addresses" } as const;
const columns = [
  "drop by",
  "set",
  "ns, min",
  "ns, median",
  "× empty",
  "× Sluice",
  "packets/s of one CPU",
];

const runs: readonly Run[] = [
  { subject: emptyDrop, size: "one" },
  ...(["one", "many"] as const).flatMap((size) =>
    [sluiceDrop, xdpFilterDrop, nftablesDrop, ipsetDrop].map((subject) => ({ subject, size })),
  ),
];

await runPart(async (options, progress): Promise<PartResult> => {
  const selected = runs.filter((run) => nameOf(run).includes(options.only));
  if (selected.length === 0) return { sections: [], targets: [] };
  const { rounds, frames } = options.quick ? quick : full;
  const sender = makeNamespace("tx");
  const generator = await startGenerator(sender);
  const entries = { one: oneEntry(), many: manyEntries() };
  const running: Running[] = [];
  for (const [index, run] of selected.entries()) {
    progress(`preparing ${nameOf(run)}`);
    const wire = await makeWire(sender, index, receiverCpu);
    const dropped = await run.subject.install(wire, entries[run.size]);
    running.push({ ...run, wire, dropped, timesNs: [] });
  }
  for (let round = 0; round < rounds; round++) {
    progress(`round ${round + 1} of ${rounds}`);
    for (const run of running) await measure(run, frames, generator);
  }
  generator.removeAllListeners("exit");
  generator.disconnect();
  return { sections: [section(running)], targets: [] };
});

function nameOf({ subject, size }: Run): string {
  return `wire ${subject.name}, ${sizes[size]}`;
}

async function measure(run: Running, frames: number, generator: ChildProcess): Promise<void> {
  const { wire, dropped, size, timesNs } = run;
  const flood: Flood = { ifIndex: wire.senderIndex, frames, sources: size };
  const before = { ...wire.received(), dropped: dropped() };
  const sent = once(generator, "message");
  generator.send(flood);
  await sent;
  await sleep(settleMs);
  const after = { ...wire.received(), dropped: dropped() };
  const packets = after.packets - before.packets;
  const drops = after.dropped - before.dropped;
  if (packets === 0 || drops < 0.99 * packets) {
    throw new SluiceError(
      "SLUICE_BENCH",
      `${nameOf(run)}: the receiver took ${packets} of ${frames} packets, and ${drops} were dropped`,
      { remedy: "Look at the rules of the subject: what was measured is not what was meant" },
    );
  }
  timesNs.push((after.cpuNs - before.cpuNs) / packets);
}

function section(running: readonly Running[]) {
  const own = (size: Run["size"]) =>
    running.find((run) => run.subject === sluiceDrop && run.size === size)?.timesNs;
  const empty = running.find(({ subject }) => subject === emptyDrop)?.timesNs;
  const against = (min: number, other: readonly number[] | undefined) =>
    other === undefined ? "" : formatRatio(min / spread(other).min);
  const rows = running.map(({ subject, size, timesNs }) => {
    const { min, median } = spread(timesNs);
    return [
      subject.name,
      subject === emptyDrop ? "" : sizes[size],
      formatNumber(min),
      formatNumber(median),
      against(min, empty),
      against(min, own(size)),
      formatNumber(Math.round(1e9 / min)),
    ];
  });
  return {
    title: "On a wire",
    columns,
    rows,
    notes: [
      "Nanoseconds of CPU time of the receiver's NAPI thread per packet that it took from a veth, everything from the " +
        "ring to the drop included. Packets per second are what a CPU that does nothing else takes at the least time.",
    ],
  };
}

async function startGenerator(namespace: string): Promise<ChildProcess> {
  const script = fileURLToPath(new URL("generator.js", import.meta.url));
  const pinned = ["taskset", "--cpu-list", String(generatorCpu), process.execPath, script];
  const child = spawn("nsenter", [`--net=${netnsPath(namespace)}`, ...pinned], {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  atExit(() => child.kill("SIGTERM"));
  child.once("exit", (status) => {
    console.error(`the traffic generator ended with status ${status}`);
    process.exit(1);
  });
  await once(child, "message");
  return child;
}
