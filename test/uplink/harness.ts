/**
 * The real programs on tables that the real compiler filled, judging by test runs: a frame in, verdict and counters
 * out, with no traffic and no interface but the loopback.
 */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Reason, type RuleCounter, Trace, Verdict } from "../../datapath/generated/layout.js";
import {
  closeFd,
  defaultBpffs,
  GracePeriod,
  type IfIndex,
  ifIndex,
  sumCounters,
  testRun,
  type TestRunResult,
} from "../../datapath/index.js";
import type { ReasonName, VerdictName } from "../../operator/api/engine.js";
import { clearRuleSlot } from "../../operator/apply/counters.js";
import { type Datapath, openDatapath } from "../../operator/apply/datapath.js";
import { compileDesired, type Desired, SetContentCache } from "../../operator/apply/desired.js";
import { Firewall } from "../../operator/apply/firewall.js";
import { REASON_NAMES, VERDICT_NAMES } from "../../operator/apply/names.js";
import { ObjectStore } from "../../operator/apply/object-store.js";
import { RedirectTargets } from "../../operator/apply/redirect-targets.js";
import { RuleSlots } from "../../operator/apply/rule-slots.js";
import type { RuleRecord } from "../../operator/model/records.js";
import { world } from "../oracle/build.js";
import type { World } from "../oracle/world.js";

/** Everything that decides; what is left out is as `world()` has it: `eth0` an uplink, `eth1` none, no policies. */
export interface Setup extends World {
  readonly nodeLocal: readonly RuleRecord[];
  readonly eventsPerSecond: number;
}

/** What one packet met with, by the counters alone. */
export interface Outcome {
  readonly verdict: VerdictName;
  readonly reason: ReasonName;
  /** What it was counted as; undefined when no policy judges the interface. */
  readonly protocol: number | undefined;
  /** `policy/rule` of the rules that counted it, with ` above` when it was above their rate. */
  readonly counted: readonly string[];
}

interface Counts {
  readonly packets: bigint;
  readonly bytes: bigint;
}

/** Test runs name an interface by number; only the loopback is sure to exist, so its slot changes per run. */
const LOOPBACK = ifIndex(1);
const ADDRESS_LINES = 65536;
/** XDP actions by verdict. */
const ACTIONS: Readonly<Record<VerdictName, number>> = { aborted: 0, drop: 1, pass: 2, redirect: 4 };
const NO_EXCEEDED = { exceededPackets: 0n, exceededBytes: 0n };

export async function openUplink(options: { readonly metadata?: boolean } = {}): Promise<Uplink> {
  const pinRoot = mkdtempSync(join(defaultBpffs, `slt-${process.pid}-uplink-`));
  const { metadata = false } = options;
  const datapath = await openDatapath({ pinRoot, addressLines: ADDRESS_LINES, metadata });
  return new Uplink(datapath, () => rmSync(pinRoot, { recursive: true }));
}

export class Uplink {
  readonly datapath: Datapath;
  readonly slots: RuleSlots;
  readonly firewall: Firewall;
  /** Stands in for every interface of a setup, one run after the other. */
  readonly loopback = LOOPBACK;
  readonly #cleanUp: () => void;
  readonly #grace = new GracePeriod();
  readonly #cache = new SetContentCache();
  #interfaceSlots: ReadonlyMap<string, number> = new Map();
  #isRingTaken = false;

  constructor(datapath: Datapath, cleanUp: () => void) {
    this.datapath = datapath;
    this.#cleanUp = cleanUp;
    this.slots = new RuleSlots(datapath, (slot) => clearRuleSlot(datapath, slot));
    const targets = new RedirectTargets(
      datapath,
      new Map(),
      () => undefined,
      (name) => (this.#interfaceSlots.has(name) ? LOOPBACK : undefined),
    );
    this.firewall = new Firewall(datapath, this.#grace, this.slots, targets);
  }

  /** Puts a setup in force. @returns whether that took a new generation */
  async apply(parts: Partial<Setup>): Promise<boolean> {
    return this.firewall.change(this.compile(parts).firewall);
  }

  compile(parts: Partial<Setup>): Desired {
    const { nodeLocal = [], eventsPerSecond = 0 } = parts;
    const setup = world(parts);
    this.#interfaceSlots = new Map(setup.interfaces.map((name, index) => [name, index + 1]));
    return compileDesired(
      {
        nodeLabels: setup.node.labels,
        present: setup.interfaces.map((name, index) => ({
          name,
          index: index + 1,
          uplink: setup.uplinks.includes(name),
        })),
        slotOf: (index) => index,
        policies: setup.policies,
        store: storeOf(setup),
        failSafe: setup.failSafe,
        nodeLocal,
        passUnparsable: setup.unparsable === "Pass",
        eventsPerSecond,
        nowMs: setup.nowMs,
      },
      this.#cache,
    );
  }

  slotOf(interfaceName: string): number {
    return this.#interfaceSlots.get(interfaceName) ?? 0;
  }

  /** Makes an interface that really exists bear one of the names of the setup. */
  bind(index: IfIndex, interfaceName: string): void {
    const { interfaces, farInterfaces } = this.datapath;
    const slot = this.slotOf(interfaceName);
    if (index < interfaces.length) interfaces.u32[(index * interfaces.stride) / 4] = slot;
    else farInterfaces.update(index, { slot });
  }

  /** Runs the program as if the frame came in by an interface; one that the setup lacks is not ours. */
  run(frame: Uint8Array, interfaceName = "eth0"): TestRunResult {
    this.bind(LOOPBACK, interfaceName);
    return testRun(this.datapath.uplink, { packet: frame, context: { ingress: LOOPBACK } });
  }

  /** Runs the trace program and reads what it wrote. */
  trace(frame: Uint8Array, interfaceName = "eth0"): Trace {
    this.bind(LOOPBACK, interfaceName);
    const { uplinkTrace, traces } = this.datapath;
    testRun(uplinkTrace, { packet: frame, context: { ingress: LOOPBACK } });
    return Trace.decode(traces.view, 0);
  }

  /** Runs the program behind an interface's egress, as if the node sent the frame. */
  send(frame: Uint8Array): void {
    const { verdict, packet } = testRun(this.datapath.uplinkEgress, { packet: frame });
    assert.equal(verdict, -1, "egress goes on with the next program");
    assert.deepEqual(packet, Buffer.from(frame));
  }

  /**
   * Runs the program on a frame and reads off the counters what became of it. Holds for every frame, so checked for
   * every frame: the bytes come out as they went in, one row of one interface grew by one packet of the frame's
   * length, so did one protocol, and each rule that counted it.
   */
  judge(frame: Uint8Array, interfaceName = "eth0"): Outcome {
    const before = this.#read();
    const { verdict: action, packet } = this.run(frame, interfaceName);
    const after = this.#read();
    assert.deepEqual(packet, Buffer.from(frame), "the frame is unchanged");

    const one: Counts = { packets: 1n, bytes: BigInt(frame.length) };
    const [row, ...otherRows] = grown(before.outcomes, after.outcomes, one);
    assert.ok(row !== undefined && otherRows.length === 0, "one outcome is counted");
    const [slot, verdict, reason] = row;
    assert.equal(slot, this.slotOf(interfaceName), "it is counted on its interface");
    assert.equal(action, ACTIONS[verdict], "the action is the verdict counted");

    const [protocol, ...otherProtocols] = grown(before.protocols, after.protocols, one);
    assert.equal(otherProtocols.length, 0, "one protocol is counted");
    assert.equal(protocol === undefined, reason === "not-judged");
    return { verdict, reason, protocol, counted: this.#counted(before.rules, after.rules, one) };
  }

  counterOf(policy: string, rule: string): RuleCounter {
    const slot = this.slots.find({ policy, rule });
    assert.ok(slot !== undefined, `${policy}/${rule} has a slot`);
    return this.#ruleCounter(slot);
  }

  /** What was counted so far for an interface under a verdict and a reason. */
  countOf(interfaceName: string, verdict: VerdictName, reason: ReasonName): Counts {
    const slot = this.slotOf(interfaceName);
    const found = this.#outcomes().find(
      ([key]) => key[0] === slot && key[1] === verdict && key[2] === reason,
    );
    assert.ok(found !== undefined, `${interfaceName} is one of the setup`);
    return found[1];
  }

  /** Fragments, buckets and connections as if nothing had come yet. */
  forget(): void {
    const { fragments, sourceBuckets, connections, nodeBuckets } = this.datapath;
    fragments.deleteAll([...fragments.keys()]);
    sourceBuckets.deleteAll([...sourceBuckets.keys()]);
    connections.deleteAll([...connections.keys()]);
    nodeBuckets.u64.fill(0n);
  }

  /** For who reads the ring of events: it closes the descriptor itself. */
  takeRing(): Datapath {
    this.#isRingTaken = true;
    return this.datapath;
  }

  async close(): Promise<void> {
    await this.firewall.settle();
    this.#grace.close();
    if (!this.#isRingTaken) closeFd(this.datapath.eventsFd);
    this.datapath.close();
    this.#cleanUp();
  }

  #read() {
    return { outcomes: this.#outcomes(), protocols: this.#protocols(), rules: this.#rules() };
  }

  /** By row of the table: interface slot, verdict and reason, and what was counted there. */
  #outcomes(): readonly Row<readonly [number, VerdictName, ReasonName]>[] {
    return [0, ...this.#interfaceSlots.values()].flatMap((slot) =>
      VERDICT_NAMES.flatMap((verdict, verdictNumber) =>
        REASON_NAMES.map((reason, reasonNumber) => {
          const at = (slot * Verdict.VERDICTS + verdictNumber) * Reason.REASONS + reasonNumber;
          return [[slot, verdict, reason], sumOf(this.datapath.outcomeCounters.lookup(at))];
        }),
      ),
    );
  }

  #protocols(): readonly Row<number>[] {
    const sums = sumCounters(this.datapath.protocolCounters);
    return Array.from({ length: 257 }, (_, protocol) => [
      protocol,
      { packets: sums[2 * protocol]!, bytes: sums[2 * protocol + 1]! },
    ]);
  }

  #rules(): ReadonlyMap<number, RuleCounter> {
    const slots = this.firewall.rules?.slots ?? [];
    return new Map(slots.map((slot) => [slot, this.#ruleCounter(slot)]));
  }

  #ruleCounter(slot: number): RuleCounter {
    return (this.datapath.ruleCounters.lookup(slot) ?? []).reduce((sum, cpu) => ({
      packets: sum.packets + cpu.packets,
      bytes: sum.bytes + cpu.bytes,
      exceededPackets: sum.exceededPackets + cpu.exceededPackets,
      exceededBytes: sum.exceededBytes + cpu.exceededBytes,
    }));
  }

  #counted(
    before: ReadonlyMap<number, RuleCounter>,
    after: ReadonlyMap<number, RuleCounter>,
    one: Counts,
  ): readonly string[] {
    return [...after].flatMap(([slot, { packets, bytes, exceededPackets, exceededBytes }]) => {
      const earlier = before.get(slot)!;
      const difference = {
        packets: packets - earlier.packets,
        bytes: bytes - earlier.bytes,
        exceededPackets: exceededPackets - earlier.exceededPackets,
        exceededBytes: exceededBytes - earlier.exceededBytes,
      };
      if (difference.packets === 0n && difference.bytes === 0n) return [];
      const isAbove = difference.exceededPackets !== 0n;
      const exceeded = { exceededPackets: one.packets, exceededBytes: one.bytes };
      assert.deepEqual(difference, { ...one, ...(isAbove ? exceeded : NO_EXCEEDED) });
      const { policy, rule } = this.slots.owner(slot)!;
      return [`${policy}/${rule}${isAbove ? " above" : ""}`];
    });
  }
}

type Row<Key> = readonly [key: Key, counts: Counts];

/** Keys of the rows that grew, each of which must have grown by `one`. */
function grown<Key>(
  before: readonly Row<Key>[],
  after: readonly Row<Key>[],
  one: Counts,
): readonly Key[] {
  return after.flatMap(([key, { packets, bytes }], index) => {
    const [, earlier] = before[index]!;
    if (packets === earlier.packets && bytes === earlier.bytes) return [];
    const difference = { packets: packets - earlier.packets, bytes: bytes - earlier.bytes };
    assert.deepEqual(difference, one);
    return [key];
  });
}

function sumOf(perCpu: readonly Counts[] | undefined): Counts {
  return (perCpu ?? []).reduce((sum, { packets, bytes }) => ({
    packets: sum.packets + packets,
    bytes: sum.bytes + bytes,
  }));
}

function storeOf({ nodes, sets }: World): ObjectStore {
  const store = new ObjectStore();
  for (const node of nodes) store.submit({ type: "upsert", record: node });
  for (const [setName, entries] of sets) {
    const origin = { source: "test" };
    store.submit({
      type: "upsert",
      record: { kind: "XdpCidrSet", name: setName, origin, generation: 1, setName, entries },
    });
  }
  return store;
}

/** Fails unless the outcome has these parts. */
export function assertOutcome(actual: Outcome, expected: Partial<Outcome>, message?: string): void {
  const keys = Object.keys(expected) as (keyof Outcome)[];
  const parts = Object.fromEntries(keys.map((key) => [key, actual[key]]));
  assert.deepEqual(parts, expected, message);
}
