import { SluiceError } from "../../operator/errors.js";
import { type PartOptions, type Spread, spread } from "../result.js";
import type { Case, Floor } from "./cases.js";
import type { Harness } from "./harness.js";
import { sourceCount } from "./harness.js";
import type { OpenSubject, Subject } from "./subjects.js";

/** One subject in front of one stream of packets. */
interface Stream {
  readonly subject: Subject;
  readonly of: Case;
  /** Packets of one measurement. */
  readonly repeat: number;
  /** Of whole measurements. */
  readonly totalsNs: number[];
}

export interface Measured {
  readonly of: Case;
  readonly ns: Spread;
  readonly peerNs: Spread | undefined;
}

const rounds = { full: 11, quick: 3 };
/** One measurement is at least this many packets and this long, so that its fixed cost does not show. */
const least = {
  full: { packets: 1_000_000, ns: 60e6 },
  quick: { packets: 200_000, ns: 8e6 },
};
/** Above the rate of a limit the first packets pass, here and there one more. */
const expectedShare = 0.8;
const plainWarmUp = 10_000;
const callsPerRound = 3;

/**
 * Measures all cases in rounds: each round runs every subject once, so that a slow minute of the machine meets all of
 * them. Each subject first sees its whole list of sources once; its own counters must then say that the packets
 * became what the case is about.
 *
 * @throws SluiceError SLUICE_BENCH when a subject did something else
 */
export async function measureCases(
  harness: Harness,
  cases: readonly Case[],
  { quick }: PartOptions,
  progress: (text: string) => void,
): Promise<readonly Measured[]> {
  const { packets, ns } = quick ? least.quick : least.full;
  const opened = new Set<Subject>();
  const prepare = async (of: Case, open: OpenSubject): Promise<Stream> => {
    const subject = await open();
    opened.add(subject);
    const repeat = Math.ceil(Math.max(packets, ns / warmUp(harness, subject, of)));
    return { subject, of, repeat, totalsNs: [] };
  };
  try {
    const streams = [];
    for (const [index, of] of cases.entries()) {
      progress(`preparing ${index + 1} of ${cases.length}: ${of.name}`);
      const own = await prepare(of, of.open);
      streams.push({ own, peer: of.peer && (await prepare(of, of.peer.open)) });
    }
    const roundCount = quick ? rounds.quick : rounds.full;
    /* The least of many: a measurement that had a dearer call than this looks a little slower, and none looks faster. */
    let callNs = Infinity;
    for (let round = 0; round < roundCount; round++) {
      progress(`round ${round + 1} of ${roundCount}`);
      for (let call = 0; call < callsPerRound; call++) {
        callNs = Math.min(callNs, harness.time(harness.emptyPass, cases[0]!.packet, undefined, 2));
      }
      for (const { own, peer } of streams) {
        run(harness, own);
        if (peer !== undefined) run(harness, peer);
      }
    }
    const perPacket = ({ totalsNs, repeat }: Stream) =>
      spread(totalsNs.map((total) => (total - callNs) / repeat));
    return streams.map(({ own, peer }) => ({
      of: own.of,
      ns: perPacket(own),
      peerNs: peer && perPacket(peer),
    }));
  } finally {
    for (const subject of opened) await subject.close?.();
  }
}

function run(harness: Harness, { subject, of, repeat, totalsNs }: Stream): void {
  totalsNs.push(harness.time(subject.program, of.packet, of.sources?.(), repeat));
}

/** Returns about how many nanoseconds a packet takes. */
function warmUp(harness: Harness, { program, verdicts }: Subject, of: Case): number {
  const count = of.sources === undefined ? plainWarmUp : sourceCounts[of.floor];
  const before = verdicts?.();
  const total = harness.time(program, of.packet, of.sources?.(), count);
  const after = verdicts?.();
  if (before !== undefined && after !== undefined) {
    const became = after[of.expected] - before[of.expected];
    if (became < expectedShare * count) {
      throw new SluiceError(
        "SLUICE_BENCH",
        `${program.name} was to ${of.expected} the packets of "${of.name}", and did so with ${became} of ${count}`,
        { remedy: "Look at the tables of the subject: what was measured is not what was meant" },
      );
    }
  }
  return total / count;
}

const sourceCounts: Readonly<Record<Floor, number>> = {
  plain: plainWarmUp,
  "harness v4": sourceCount.v4,
  "harness v6": sourceCount.v6,
};
