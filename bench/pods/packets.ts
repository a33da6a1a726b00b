import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import {
  BpfObject,
  type IfIndex,
  interfaceByName,
  type Program,
  testRun,
} from "../../datapath/index.js";
import { GATEWAY_MAC, openPods, type PodRule, type Pods } from "../../test/pods/harness.js";
import { eth, ipv4, packet } from "../../test/support/packets.js";
import { udp } from "../../test/support/transports.js";
import { SluiceError } from "../../operator/errors.js";
import { makePinFolder } from "../cleanup.js";
import {
  formatNumber,
  formatRatio,
  type PartOptions,
  type Section,
  type Spread,
  spread,
  type Target,
} from "../result.js";
import { loopback } from "../sluice.js";

const object = fileURLToPath(new URL("../../bpf/harness.o", import.meta.url));

/** Rules that judge one pod, with the one that isolates it. */
const counts = [10, 100, 1000, 4096] as const;
const firstPort = 10_000;
const mostGrowth = 1.1;

const full = { rounds: 11, packets: 1_000_000 };
const quick = { rounds: 3, packets: 100_000 };
const callsPerRound = 3;

/** Whose packets a rule lets in, whatever their port. */
const sender = "10.250.0.1";
const receiver = {
  name: "receiver",
  mac: "02:00:00:00:00:02",
  ipv4: "10.244.1.3",
  ipv6: "fd00:244:1::3",
};

/** A stream of one packet, before one of the programs. */
interface Stream {
  readonly name: string;
  readonly rules: number;
  readonly program: Program;
  readonly frame: Buffer;
  readonly context: Buffer;
  /** Packets that became what the row is about. */
  readonly became: () => bigint;
  readonly totalsNs: number[];
}

/** Each lets UDP in from a /24 of its own, or all from one range, to a port of its own. Besides, all of the sender's is let in. */
function rulesOf(count: number, isOneSource: boolean): readonly PodRule[] {
  const some = Array.from({ length: count - 2 }, (_, index): PodRule => {
    const port = firstPort + index;
    return {
      rule: `rule-${index}`,
      action: "Accept",
      ingressOf: [receiver.name],
      from: [isOneSource ? `172.16.0.0/12` : `172.${16 + (index >> 8)}.${index & 255}.0/24`],
      protocols: [{ kind: "udp", destinationPort: { start: port, end: port } }],
    };
  });
  return [
    ...some,
    {
      rule: "sender",
      action: "Accept",
      ingressOf: [receiver.name],
      from: [`${sender}/32`],
    },
    { rule: "isolated", action: "Drop", ingressOf: [receiver.name] },
  ];
}

function frameFrom(source: string, port: number): Buffer {
  return packet(
    eth({ source: GATEWAY_MAC, destination: receiver.mac }),
    ipv4({ source, destination: receiver.ipv4 }),
    udp({ destinationPort: port }),
  );
}

/** struct __sk_buff, of which ingress_ifindex and ifindex say where the packet is. */
function contextOf(index: number, ingress: number): Buffer {
  const bytes = Buffer.alloc(192);
  bytes.writeUInt32LE(ingress, 36);
  bytes.writeUInt32LE(index, 40);
  return bytes;
}

/** The test runner names interfaces of this namespace. */
function makeInterface(): IfIndex {
  execFileSync("ip", ["link", "add", "receiver", "type", "veth", "peer", "name", "stack"]);
  return interfaceByName("receiver")!.index;
}

async function openStreams(
  pods: Pods,
  index: IfIndex,
  rules: number,
  isOneSource: boolean,
): Promise<readonly Stream[]> {
  pods.add({ ...receiver, index });
  await pods.apply(rulesOf(rules, isOneSource));
  const { podIn } = pods.datapath;
  const dropped = () => pods.counted(receiver.name, "in", "drop", "rule");
  if (isOneSource) {
    return [
      {
        rules,
        totalsNs: [],
        name: "from the source of all rules, to no rule's port",
        program: podIn,
        frame: frameFrom("172.16.0.1", firstPort - 1),
        context: contextOf(index, loopback),
        became: dropped,
      },
    ];
  }
  return [
    {
      rules,
      totalsNs: [],
      name: "judged by all, dropped by the last",
      program: podIn,
      frame: frameFrom("198.51.100.1", firstPort),
      context: contextOf(index, loopback),
      became: dropped,
    },
    {
      rules,
      totalsNs: [],
      name: "from one rule's source, to no rule's port",
      program: podIn,
      frame: frameFrom("172.16.0.1", firstPort - 1),
      context: contextOf(index, loopback),
      became: dropped,
    },
    {
      rules,
      totalsNs: [],
      name: "of a flow",
      program: podIn,
      frame: frameFrom(sender, firstPort),
      context: contextOf(index, loopback),
      became: () => pods.counted(receiver.name, "in", "pass", "flow"),
    },
  ];
}

function time({ program, frame, context }: Stream, repeat: number): number {
  const before = process.cpuUsage();
  testRun(program, { packet: frame, contextBytes: context, repeat });
  const { user, system } = process.cpuUsage(before);
  return (user + system) * 1000;
}

export interface PacketFigures {
  readonly name: string;
  readonly rules: number;
  readonly ns: Spread;
  readonly emptyNs: Spread;
}

/** Nanoseconds per packet of the pods' programs, by test run, beside an empty program. */
export async function measurePackets(
  options: PartOptions,
  progress: (text: string) => void,
): Promise<readonly PacketFigures[]> {
  const { rounds, packets } = options.quick ? quick : full;
  const harness = BpfObject.open(object);
  await harness.load();
  const emptyProgram = harness.takeProgram("empty_tc");
  harness.close();
  const empty: Stream = {
    name: "empty program",
    rules: 0,
    program: emptyProgram,
    frame: frameFrom("198.51.100.1", firstPort),
    context: contextOf(loopback, 0),
    became: () => 0n,
    totalsNs: [],
  };
  const opened: Pods[] = [];
  const streams: Stream[] = [];
  const index = makeInterface();
  for (const count of counts) {
    progress(`${count} rules`);
    for (const isOneSource of [false, true]) {
      const pods = await openPods(makePinFolder().path);
      opened.push(pods);
      streams.push(...(await openStreams(pods, index, count, isOneSource)));
    }
  }
  try {
    for (const stream of streams) check(stream);
    let callNs = Infinity;
    for (let round = 0; round < rounds; round++) {
      progress(`packets, round ${round + 1} of ${rounds}`);
      for (let call = 0; call < callsPerRound; call++) callNs = Math.min(callNs, time(empty, 2));
      for (const stream of [empty, ...streams]) stream.totalsNs.push(time(stream, packets));
    }
    const perPacket = ({ totalsNs }: Stream) =>
      spread(totalsNs.map((total) => (total - callNs) / packets));
    return streams.map((stream) => ({
      name: stream.name,
      rules: stream.rules,
      ns: perPacket(stream),
      emptyNs: perPacket(empty),
    }));
  } finally {
    emptyProgram.close();
    for (const pods of opened) await pods.close();
  }
}

/** @throws SluiceError SLUICE_BENCH when the packets do not become what the row is about */
function check(stream: Stream): void {
  const few = 100;
  const before = stream.became();
  time(stream, few);
  const became = Number(stream.became() - before);
  // The first packet opens the flow.
  if (became >= few - 1) return;
  const problem = `of ${few} packets "${stream.name}" of ${stream.rules} rules became ${became} what they were to`;
  throw new SluiceError("SLUICE_BENCH", problem, {
    remedy: "Look at the rules: what was measured is not what was meant",
  });
}

export function packetsSection(figures: readonly PacketFigures[]): Section {
  const emptyNs = figures[0]?.emptyNs;
  return {
    title: "Per packet of a pod, by test run",
    columns: ["packets", "rules", "ns, min", "ns, median", "above empty", "× 10 rules"],
    rows: [
      ...(emptyNs === undefined
        ? []
        : [["empty program", "", formatNumber(emptyNs.min), formatNumber(emptyNs.median), "", ""]]),
      ...figures.map(({ name, rules, ns, emptyNs: { min } }) => [
        name,
        rules.toLocaleString("en-US"),
        formatNumber(ns.min),
        formatNumber(ns.median),
        formatNumber(ns.min - min),
        formatRatio(ns.min / fewest(figures, name).ns.min),
      ]),
    ],
    notes: [
      "Nanoseconds of CPU time per packet, one packet again and again; ratios are of the minima.",
    ],
  };
}

export function packetsTargets(figures: readonly PacketFigures[]): readonly Target[] {
  const largest = counts[counts.length - 1];
  return figures
    .filter(({ rules }) => rules === largest)
    .map(({ name, rules, ns, emptyNs }): Target => {
      const few = fewest(figures, name);
      const gross = ns.min / few.ns.min;
      const net = (ns.min - emptyNs.min) / (few.ns.min - emptyNs.min);
      return {
        what: `packet to a pod of ${rules.toLocaleString("en-US")} rules, ${name}`,
        goal: `≤ ${mostGrowth} × ${counts[0]} rules`,
        measured: `${formatRatio(gross)}, above empty ${formatRatio(net)} (${formatNumber(ns.min)} ns against ${formatNumber(few.ns.min)})`,
        isReached: gross <= mostGrowth && net <= mostGrowth,
      };
    });
}

function fewest(figures: readonly PacketFigures[], name: string): PacketFigures {
  return figures.find((row) => row.name === name && row.rules === counts[0])!;
}
