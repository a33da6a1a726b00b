import { isDeepStrictEqual } from "node:util";
import type pino from "pino";
import type { Engine, PodNetworkState } from "../api/engine.js";
import type { Clock } from "./clock.js";
import { describeNode, type NodeFacts, type NodeStatus } from "./describe-node.js";
import { differInPodsAlone } from "./describe-pod-policies.js";
import type { EventRecorder } from "./events.js";
import { nodeOccurrences } from "./node-transitions.js";
import type { NodeWriter } from "./node-writer.js";
import { PodEvents } from "./pods-ready.js";

/** What is reported of the engine. */
export type ReportedEngine = Pick<Engine, "status" | "podPolicies">;

export interface NodeReporterOptions {
  readonly engine: ReportedEngine;
  readonly node: string;
  /** Asked at each look: programs come and go. */
  readonly facts: () => NodeFacts;
  readonly writer: Pick<NodeWriter, "read" | "update" | "close">;
  readonly events: Pick<EventRecorder, "emit">;
  readonly clock: Clock;
  readonly log: pino.Logger;
}

/** Reading the engine's state is cheap, and it changes for reasons that nobody announces: links, deadlines, expiry. */
const LOOK_EVERY_MS = 2000;

/** Between two reports that differ in numbers of pods alone. */
const COUNTS_EVERY_MS = 60_000;

/**
 * What the kernel enforces outlives the agent: until a new one has read everything, the last report is nearer to the truth
 * than what it knows. A roll-out over all nodes must not make every policy look unenforced.
 */
const PATIENCE_MS = 30_000;

/** Tells the API server what this node does: its NodeDatapath, and Events of the Node. */
export class NodeReporter {
  readonly #options: NodeReporterOptions;
  #said: NodeStatus | undefined;
  readonly #podEvents = new PodEvents();
  #countsHoldUntilMs = -Infinity;
  #silentUntilMs = 0;
  #cancel: () => void = () => {};
  #isClosed = false;

  constructor(options: NodeReporterOptions) {
    this.#options = options;
  }

  /** Begins with what the agent before this one said: its transitions are not told again. */
  async start(): Promise<void> {
    this.#silentUntilMs = this.#options.clock.monotonicMs() + PATIENCE_MS;
    try {
      this.#said = await this.#options.writer.read();
    } catch (error) {
      this.#options.log.warn({ err: error }, "the NodeDatapath cannot be read; it is written anew");
    }
    this.#loop();
  }

  /** Looks now instead of in a moment, after a change that is known. */
  look(): void {
    const { engine, facts, clock, writer, events, node, log } = this.#options;
    let now: NodeStatus;
    let pods: PodNetworkState | undefined;
    try {
      const status = engine.status();
      if (status.inSync) this.#silentUntilMs = 0;
      if (clock.monotonicMs() < this.#silentUntilMs) return;
      pods = status.podNetwork;
      now = this.#withSteadyCounts(
        describeNode(status, engine.podPolicies(), facts(), this.#said, clock.wallMs()),
      );
    } catch (error) {
      // The engine has no datapath yet.
      log.debug({ err: error }, "no state to report");
      return;
    }
    const before = this.#said;
    this.#said = now;
    writer.update(now);
    for (const one of this.#podEvents.occurrences(pods, clock.wallMs())) events.emit(one);
    if (isDeepStrictEqual(before, now)) return;
    for (const occurrence of nodeOccurrences(node, before, now)) events.emit(occurrence);
  }

  /** Pods come and go all the time: their numbers alone make a new report once a minute at most. */
  #withSteadyCounts(now: NodeStatus): NodeStatus {
    const before = this.#said?.podPolicies;
    const { podPolicies } = now;
    if (before === undefined || podPolicies === undefined) return now;
    if (isDeepStrictEqual(before, podPolicies) || !differInPodsAlone(before, podPolicies)) {
      return now;
    }
    const nowMs = this.#options.clock.monotonicMs();
    if (nowMs < this.#countsHoldUntilMs) return { ...now, podPolicies: before };
    this.#countsHoldUntilMs = nowMs + COUNTS_EVERY_MS;
    return now;
  }

  close(): void {
    this.#isClosed = true;
    this.#cancel();
    this.#options.writer.close();
  }

  #loop(): void {
    if (this.#isClosed) return;
    this.look();
    this.#cancel = this.#options.clock.after(LOOK_EVERY_MS, () => this.#loop());
  }
}
