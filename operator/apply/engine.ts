import type pino from "pino";
import type {
  BlockedState,
  Engine,
  EngineOptions,
  EngineStatus,
  EventState,
  ObjectEvent,
  PodReports,
  TraceResult,
} from "../api/engine.js";
import { CapacityError } from "../compile/capacity-error.js";
import type { Problem, RuleRecord } from "../model/records.js";
import type { SourceState } from "../model/source-state.js";
import { BlockList } from "./block-list.js";
import { Confirmations } from "./confirmations.js";
import { readOutcomes, readProtocols } from "./counters.js";
import { compileDesired, type Desired, SetContentCache } from "./desired.js";
import { defaultFailSafe, systemResolvers } from "./fail-safe.js";
import { removeLayout } from "./migrate.js";
import { interfaceIndex, presentInterfaces } from "./node-interfaces.js";
import { needPods, notInForce, notStarted } from "./not-ready.js";
import { ObjectStore } from "./object-store.js";
import { openParts, type Parts } from "./parts.js";
import { type Candidates, PolicyVersions } from "./policy-versions.js";
import { describeRules, describeSets, describeStatus, type Picture } from "./report.js";
import { traceFrame } from "./tracer.js";
import { WakeUp } from "./wake-up.js";
import { nodeWarnings } from "./warnings.js";

/** Changes within this time are applied together. */
const COALESCE_MS = 20;
/** Interfaces that refused a program are asked again this often. */
const RETRY_MS = 10_000;

/** Makes the agent's core. Nothing happens before `start`. */
export function createEngine(options: EngineOptions, log: pino.Logger): Engine {
  return new FirewallEngine(options, log);
}

class FirewallEngine implements Engine {
  readonly #options: EngineOptions;
  readonly #log: pino.Logger;
  readonly #store = new ObjectStore();
  readonly #cache = new SetContentCache();
  readonly #blocks: BlockList;
  readonly #confirmations: Confirmations;
  readonly #versions: PolicyVersions;
  #failSafe: readonly RuleRecord[];
  readonly #listeners = new Set<(event: EventState) => void>();
  readonly #tell = (event: EventState) => {
    for (const listener of this.#listeners) listener(event);
  };
  readonly #startedAt = new Date();
  #parts: Parts | undefined;
  #desired: Desired | undefined;
  #warnings: readonly Problem[] = [];
  #source: (() => SourceState) | undefined;
  #pods: PodReports | undefined;
  #sourceProblems: readonly Problem[] = [];
  #isSourceSynced = false;
  #inSync = false;
  #applyError: string | undefined;
  #lastApply: EngineStatus["lastApply"];
  readonly #timer = new WakeUp(() => this.#applyNow());
  #running: Promise<void> = Promise.resolve();
  #tracing: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  constructor(options: EngineOptions, log: pino.Logger) {
    this.#options = options;
    this.#log = log.child({ component: "engine" });
    this.#blocks = new BlockList(options.stateFolder);
    this.#confirmations = new Confirmations(options.stateFolder, options.confirmProbes);
    this.#versions = new PolicyVersions(this.#confirmations);
    this.#failSafe = this.#failSafeWith(options.apiServers);
  }

  async start(): Promise<void> {
    const wake = () => this.#wake(COALESCE_MS);
    this.#parts = await openParts(this.#options, this.#log, wake, this.#tell);
  }

  submit(event: ObjectEvent): void {
    if (event.type === "synced") this.#isSourceSynced = true;
    else this.#store.submit(event);
    this.#wake(COALESCE_MS);
  }

  setApiServers(endpoints: readonly string[]): void {
    this.#failSafe = this.#failSafeWith([
      ...new Set([...this.#options.apiServers, ...endpoints].toSorted()),
    ]);
    this.#wake(COALESCE_MS);
  }

  setSource(state: () => SourceState): void {
    this.#source = state;
  }

  setPods(pods: PodReports): void {
    this.#pods = pods;
    pods.onEvent(this.#tell);
  }

  setSourceProblems(problems: readonly Problem[]): void {
    this.#sourceProblems = problems;
  }

  status(): EngineStatus {
    const podNetwork = this.#pods?.state();
    return describeStatus(this.#picture(), {
      node: this.#options.nodeName,
      startedAt: this.#startedAt,
      requestedMode: this.#options.mode,
      inSync: this.#inSync && podNetwork?.inSync !== false,
      applyError: this.#applyError ?? podNetwork?.applyError,
      podNetwork,
      lastApply: this.#lastApply,
      exceptions: this.#need().exceptions?.counts(),
      source: this.#source?.(),
      sourceProblems: this.#sourceProblems,
    });
  }

  rules() {
    return describeRules(this.#picture());
  }

  podRules() {
    return this.#pods?.rules() ?? [];
  }

  podPolicies() {
    return this.#pods?.policies();
  }

  sets() {
    return describeSets(this.#picture());
  }

  reasons() {
    return readOutcomes(this.#need().datapath).reasons;
  }

  protocols() {
    return readProtocols(this.#need().datapath);
  }

  async block(cidr: string, forMs?: number): Promise<BlockedState> {
    const blocked = this.#blocks.add(cidr, forMs, Date.now());
    await this.#applyNow();
    this.#requireApplied(`${blocked.cidr} is on the list of blocked addresses`);
    return blocked;
  }

  async unblock(cidr: string): Promise<boolean> {
    const removed = this.#blocks.remove(cidr);
    if (removed) {
      await this.#applyNow();
      this.#requireApplied(`${cidr} is off the list of blocked addresses`);
    }
    return removed;
  }

  blocked(): readonly BlockedState[] {
    return this.#blocks.list(Date.now());
  }

  async confirm(policy: string): Promise<void> {
    this.#confirmations.confirm(policy);
    this.#log.info({ policy }, "policy confirmed");
    await Promise.resolve();
  }

  trace(frame: Uint8Array, interfaceName: string): Promise<TraceResult> {
    const run = this.#tracing.then(() => {
      const { datapath, slots, firewall } = this.#need();
      return traceFrame(datapath, frame, interfaceIndex(interfaceName), interfaceName, {
        owner: (slot) => slots.owner(slot),
        addresses: firewall.addresses,
      });
    });
    this.#tracing = run.catch(() => undefined);
    return run;
  }

  pods(): PodReports {
    return needPods(this.#pods);
  }

  onEvent(listener: (event: EventState) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  eventsLost(): number {
    return Number(this.#need().datapath.eventsLost());
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer.cancel();
    await this.#running;
    await this.#tracing;
    const parts = this.#parts;
    this.#parts = undefined;
    await parts?.close();
  }

  /** @throws SluiceError SLUICE_NOT_IN_FORCE when the change just made is not in the kernel yet */
  #requireApplied(done: string): void {
    if (this.#inSync && this.#applyError === undefined) return;
    const why = this.#applyError ?? "the source is not in sync yet";
    throw notInForce(done, why);
  }

  #need(): Parts {
    if (this.#parts !== undefined) return this.#parts;
    throw notStarted();
  }

  #picture(): Picture {
    const { datapath, firewall, attachments, slots } = this.#need();
    return {
      datapath,
      firewall,
      attachments: attachments.states(),
      slots,
      desired: this.#desired,
      store: this.#store,
      cache: this.#cache,
      versions: this.#versions,
      confirmations: this.#confirmations,
      failSafe: this.#failSafe,
      nodeLocal: this.#blocks.rules(Date.now()),
      present: presentInterfaces(this.#options.uplinks),
      problems: [this.#versions, this.#pods]
        .flatMap((part) => part?.problems() ?? [])
        .concat(this.#warnings),
      nodeLabels: this.#nodeLabels(),
    };
  }

  #failSafeWith(apiServers: readonly string[]): readonly RuleRecord[] {
    return this.#options.failSafe ?? defaultFailSafe({ resolvers: systemResolvers(), apiServers });
  }

  /** Those of the configuration, and over them those of the node's own object, when the source has it. */
  #nodeLabels(): Readonly<Record<string, string>> {
    const { nodeName, nodeLabels } = this.#options;
    return { ...nodeLabels, ...this.#store.nodes.get(nodeName)?.labels };
  }

  #wake(inMs: number): void {
    if (!this.#isClosed && this.#isSourceSynced) this.#timer.in(inMs);
  }

  /** One application at a time; each works on what is newest when it begins. */
  #applyNow(): Promise<void> {
    this.#running = this.#running.then(() => this.#apply());
    return this.#running;
  }

  async #apply(): Promise<void> {
    if (this.#isClosed || !this.#isSourceSynced) return;
    const begun = performance.now();
    try {
      for (const name of await this.#confirmations.settle(Date.now())) {
        this.#log.warn({ policy: name }, "not confirmed in time: rolled back");
      }
      await this.#reconcile();
      this.#inSync = true;
      this.#applyError = undefined;
      const milliseconds = Math.round((performance.now() - begun) * 1000) / 1000;
      this.#lastApply = { at: new Date().toISOString(), milliseconds };
    } catch (error) {
      this.#applyError = error instanceof Error ? error.message : String(error);
      this.#log.error({ err: error }, "the kernel could not be brought to the wanted state");
      this.#wake(RETRY_MS);
    }
    this.#wakeForNextChange();
  }

  async #reconcile(): Promise<void> {
    const { firewall, attachments, oldLayouts } = this.#need();
    const nowMs = Date.now();
    const candidates = this.#versions.begin(this.#store, nowMs);
    const isFirst = firewall.difference === undefined;
    const desired = await this.#put(candidates, nowMs);
    if (isFirst) this.#log.info(firewall.difference, "rules found in force, against those wanted");
    candidates.commit();
    this.#desired = desired;
    this.#warnings = nodeWarnings(
      candidates.policies(),
      this.#nodeLabels(),
      presentInterfaces(this.#options.uplinks),
    );
    attachments.reconcile(desired.judged, firewall.rules?.hasDefaultDrop ?? false);
    /* Every link runs the new programs now. */
    for (const folder of oldLayouts.splice(0)) removeLayout(folder);
  }

  /** Changes that do not fit are given up one by one, until the rest fits. */
  async #put(candidates: Candidates, nowMs: number): Promise<Desired> {
    const { firewall, attachments } = this.#need();
    for (;;) {
      try {
        const desired = compileDesired(
          {
            nodeLabels: this.#nodeLabels(),
            present: presentInterfaces(this.#options.uplinks),
            slotOf: (index) => attachments.slotOf(index),
            policies: candidates.policies(),
            store: {
              nodes: this.#store.nodes,
              feeding: (setName) => candidates.feeding(setName),
            },
            failSafe: this.#failSafe,
            nodeLocal: this.#blocks.rules(nowMs),
            passUnparsable: this.#options.unparsable === "Pass",
            eventsPerSecond: this.#options.eventsPerSecond,
            nowMs,
          },
          this.#cache,
        );
        await firewall.change(desired.firewall);
        return desired;
      } catch (error) {
        if (!(error instanceof CapacityError) || !candidates.refuse(error)) throw error;
      }
    }
  }

  #wakeForNextChange(): void {
    const times = [
      this.#desired?.nextExpiryMs,
      this.#blocks.nextExpiryMs(),
      this.#confirmations.nextDeadlineMs(),
    ].flatMap((time) => time ?? []);
    if (times.length > 0) this.#wake(Math.max(0, Math.min(...times) - Date.now()));
    const waiting = this.#parts?.attachments.states().some(({ mode }) => mode === "none");
    if (waiting === true) this.#wake(RETRY_MS);
  }
}
