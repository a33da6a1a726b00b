/**
 * The real programs on tables that the real compiler filled, judging by test runs: a frame in, verdict and counters
 * out, with no traffic and no interface but the loopback.
 */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type RuleCounter, Trace } from "../../datapath/generated/layout.js";
import {
  closeFd,
  defaultBpffs,
  GracePeriod,
  type IfIndex,
  ifIndex,
  testRun,
  type TestRunResult,
} from "../../datapath/index.js";
import type { ReasonName, VerdictName } from "../../operator/api/engine.js";
import { clearRuleSlot } from "../../operator/apply/counters.js";
import { type Datapath, openDatapath } from "../../operator/apply/datapath.js";
import { compileDesired, type Desired, SetContentCache } from "../../operator/apply/desired.js";
import { Firewall } from "../../operator/apply/firewall.js";
import { ObjectStore } from "../../operator/apply/object-store.js";
import { RedirectTargets } from "../../operator/apply/redirect-targets.js";
import { RuleSlots } from "../../operator/apply/rule-slots.js";
import type { RuleRecord } from "../../operator/model/records.js";
import { world } from "../oracle/build.js";
import type { World } from "../oracle/world.js";
import {
  type Counts,
  type Outcome,
  outcomeBetween,
  readOutcomes,
  readRuleCounter,
  type Snapshot,
  takeSnapshot,
} from "./outcome.js";

/** Everything that decides; what is left out is as `world()` has it: `eth0` an uplink, `eth1` none, no policies. */
export interface Setup extends World {
  readonly nodeLocal: readonly RuleRecord[];
  readonly eventsPerSecond: number;
}

/** Test runs name an interface by number; only the loopback is sure to exist, so its slot changes per run. */
const LOOPBACK = ifIndex(1);
const ADDRESS_LINES = 65536;
/** XDP actions by verdict. */
export const ACTIONS: Readonly<Record<VerdictName, number>> = {
  aborted: 0,
  drop: 1,
  pass: 2,
  redirect: 4,
};

export async function openUplink(options: { readonly metadata?: boolean } = {}): Promise<Uplink> {
  const pinRoot = mkdtempSync(join(defaultBpffs, `slt-${process.pid}-uplink-`));
  const cleanUp = () => rmSync(pinRoot, { recursive: true });
  try {
    const { metadata = false } = options;
    const datapath = await openDatapath({ pinRoot, addressLines: ADDRESS_LINES, metadata });
    return new Uplink(datapath, cleanUp);
  } catch (error) {
    cleanUp();
    throw error;
  }
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
    return this.firewall.change(this.#compile(parts).firewall);
  }

  #compile(parts: Partial<Setup>): Desired {
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
   * Runs the program on a frame and reads off the counters what became of it. Checks what holds for every frame: the
   * bytes come out as they went in, and the action is the verdict that was counted, on the interface and with the
   * frame's length.
   */
  judge(frame: Uint8Array, interfaceName = "eth0"): Outcome {
    const before = this.#snapshot();
    const { verdict: action, packet } = this.run(frame, interfaceName);
    const { slot, ...outcome } = outcomeBetween(
      before,
      this.#snapshot(),
      frame.length,
      (ruleSlot) => this.slots.owner(ruleSlot),
    );
    assert.deepEqual(packet, Buffer.from(frame), "the frame is unchanged");
    assert.equal(slot, this.slotOf(interfaceName), "it is counted on its interface");
    assert.equal(action, ACTIONS[outcome.verdict], "the action is the verdict counted");
    return outcome;
  }

  /** What a rule has counted so far. */
  counterOf(policy: string, rule: string): RuleCounter {
    const slot = this.slots.find({ policy, rule });
    assert.ok(slot !== undefined, `${policy}/${rule} has a slot`);
    return readRuleCounter(this.datapath, slot);
  }

  /** What was counted so far for an interface under a verdict and a reason. */
  countOf(interfaceName: string, verdict: VerdictName, reason: ReasonName): Counts {
    const found = readOutcomes(this.datapath, this.slotOf(interfaceName)).find(
      ([key]) => key[1] === verdict && key[2] === reason,
    );
    return found![1];
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

  #snapshot(): Snapshot {
    const slots = [0, ...this.#interfaceSlots.values()];
    return takeSnapshot(this.datapath, slots, this.firewall.rules?.slots ?? []);
  }
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
