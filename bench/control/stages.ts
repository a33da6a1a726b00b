import { testRun, XdpAction } from "../../datapath/index.js";
import { AddressTable } from "../../operator/apply/address-table.js";
import { SluiceError } from "../../operator/errors.js";
import type { XdpCidrSetRecord, XdpPolicyRecord } from "../../operator/model/records.js";
import { eth, ipv4, packet } from "../../test/support/packets.js";
import { tcp } from "../../test/support/transports.js";
import { randomV4, seededRandom } from "../addresses.js";
import { formatV4 } from "../ipv4-text.js";
import { loopback, Sluice, type World } from "../sluice.js";
import {
  entryLine,
  millionManifests,
  policyText,
  readRecords,
  setFile,
  withoutLastEntry,
} from "./manifests.js";

/** Milliseconds of each round. */
export interface LoadTimes {
  /** Verifier and maps. */
  readonly open: number[];
  /** Text of the files to records. */
  readonly parse: number[];
  /** Records to sorted content of the set, and rules to bits. */
  readonly content: number[];
  /** The address tables alone, written to a firewall of their own. */
  readonly tables: number[];
  /** Tables, classes, rules and the flip. */
  readonly enforce: number[];
}

/** Milliseconds of each edit. */
export interface EditTimes {
  /** From the records that changed to in force. */
  readonly entry: number[];
  /** From the text of the one file that changed. */
  readonly entryFromText: number[];
  readonly rule: number[];
}

export interface ControlTimes {
  readonly load: LoadTimes;
  readonly edits: EditTimes;
}

interface Counts {
  readonly rounds: number;
  readonly entryEdits: number;
  readonly textEdits: number;
  readonly ruleEdits: number;
}

/** Loads 1 M addresses into fresh tables again and again, and edits the last ones under the rules in force. */
export async function measureControl(
  { rounds, entryEdits, textEdits, ruleEdits }: Counts,
  progress: (text: string) => void,
): Promise<ControlTimes> {
  const files = millionManifests();
  const load: LoadTimes = { open: [], parse: [], content: [], tables: [], enforce: [] };
  const edits: EditTimes = { entry: [], entryFromText: [], rule: [] };
  for (let round = 0; round < rounds; round++) {
    progress(`load ${round + 1} of ${rounds}`);
    const parsed = time(load.parse, () => readWorld(files));
    await measureTables(parsed, load.tables);
    const firewall = await timed(load.open, () => Sluice.open());
    const desired = time(load.content, () => firewall.compile(parsed));
    await timed(load.enforce, () => firewall.change(desired));
    await firewall.settle();
    if (round === rounds - 1) {
      progress("edits");
      const editor = new Editor(firewall, files, parsed);
      for (let i = 0; i < entryEdits; i++) await editor.entry(edits.entry, undefined);
      for (let i = 0; i < textEdits; i++) await editor.entry(undefined, edits.entryFromText);
      for (let i = 0; i < ruleEdits; i++) await editor.rules(edits.rule, 4 + (i % 2));
    }
    await firewall.close();
  }
  return { load, edits };
}

function readWorld(files: ReadonlyMap<string, string>): World {
  const records = [...files.values()].flatMap(readRecords);
  return {
    policies: records.filter((record): record is XdpPolicyRecord => record.kind === "XdpPolicy"),
    sets: records.filter((record): record is XdpCidrSetRecord => record.kind === "XdpCidrSet"),
  };
}

async function measureTables(world: World, times: number[]): Promise<void> {
  const other = await Sluice.open();
  const { contents } = other.compile(world);
  await timed(times, async () => {
    const table = new AddressTable(other.datapath, 1, contents);
    await table.build(() => Promise.resolve());
  });
  await other.close();
}

/** Changes one thing after the other in a firewall with 1 M addresses, and has packets say that it is in force. */
class Editor {
  readonly #firewall: Sluice;
  readonly #text: string;
  readonly #spare = randomV4(2000, seededRandom(32));
  #world: World;
  #next = 0;

  constructor(firewall: Sluice, files: ReadonlyMap<string, string>, world: World) {
    this.#firewall = firewall;
    firewall.judge(loopback);
    this.#text = withoutLastEntry(files.get(setFile(0))!);
    this.#world = world;
  }

  /** Replaces one entry by another: one address is let in, one is shut out. */
  async entry(fromRecord: number[] | undefined, fromText: number[] | undefined): Promise<void> {
    const before = this.#spare.at(this.#next - 1)!;
    const address = this.#spare[this.#next++]!;
    const text = this.#text + entryLine(address);
    const begun = performance.now();
    const [record] = readRecords(text);
    const parsed = performance.now();
    const [, ...others] = this.#world.sets!;
    this.#world = { ...this.#world, sets: [record as XdpCidrSetRecord, ...others] };
    await this.#firewall.change(this.#firewall.compile(this.#world));
    const ended = performance.now();
    fromRecord?.push(ended - parsed);
    fromText?.push(ended - begun);
    this.#expect(address, XdpAction.drop);
    this.#expect(before, XdpAction.pass);
    await this.#firewall.settle();
  }

  #expect(address: number, verdict: number): void {
    const source = formatV4(address);
    const frame = packet(eth(), ipv4({ source }), tcp({ destinationPort: 443 }));
    const run = { packet: frame, context: { ingress: loopback } };
    if (testRun(this.#firewall.program, run).verdict === verdict) return;
    throw new SluiceError(
      "SLUICE_BENCH",
      `a packet from ${source} did not get verdict ${verdict}`,
      {
        remedy: "The change that was measured is not in force: look at the firewall's tables",
      },
    );
  }

  async rules(times: number[], count: number): Promise<void> {
    const [policy] = readRecords(policyText(count));
    this.#world = { ...this.#world, policies: [policy as XdpPolicyRecord] };
    await timed(times, () => this.#firewall.change(this.#firewall.compile(this.#world)));
    await this.#firewall.settle();
  }
}

function time<T>(times: number[], work: () => T): T {
  const begun = performance.now();
  const result = work();
  times.push(performance.now() - begun);
  return result;
}

async function timed<T>(times: number[], work: () => Promise<T>): Promise<T> {
  const begun = performance.now();
  const result = await work();
  times.push(performance.now() - begun);
  return result;
}
