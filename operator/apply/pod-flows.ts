import type pino from "pino";
import type { FlowTableState } from "../api/engine.js";
import { FlowCarrier } from "./flow-carrier.js";
import { FlowTable } from "./flow-table.js";
import { takeCounters } from "./migrate.js";
import type { PodDatapath } from "./pod-datapath.js";
import type { RuleSlots } from "./rule-slots.js";

/** The flows of this node's pods, and what is carried over from the tables of another layout. */
export class PodFlows {
  readonly #table: FlowTable;
  /** While links may run programs of another layout. */
  #carrier: FlowCarrier | undefined;

  /** Takes the counters of rules over, when these tables are new. */
  constructor(datapath: PodDatapath, pinRoot: string, slots: RuleSlots, log: pino.Logger) {
    this.#carrier = FlowCarrier.open(pinRoot, datapath.folder, log);
    this.#table = new FlowTable(datapath, log);
    if (datapath.adopted) return;
    for (const folder of this.#carrier?.folders ?? []) takeCounters(folder, datapath, slots, log);
  }

  /** Links may run programs of another layout, whose flows are not all here yet. */
  get isCarrying(): boolean {
    return this.#carrier !== undefined;
  }

  describe(): FlowTableState {
    return this.#table.describe();
  }

  /**
   * Carries flows over while links are given the programs of this layout. A flow that the old programs open after the
   * last copy before that is missing until the one after it, so nothing waits between the two.
   *
   * @param connect returns whether all links run programs of this layout now
   */
  async carryOver(connect: () => boolean): Promise<void> {
    const carrier = this.#carrier;
    let carried = (await carrier?.copyAll()) ?? 0;
    carried += carrier?.copyNew() ?? 0;
    const isDone = connect();
    carried += carrier?.copyNew() ?? 0;
    this.#table.addCarried(carried);
    if (!isDone) return;
    carrier?.removeOld();
    carrier?.close();
    this.#carrier = undefined;
  }

  async close(): Promise<void> {
    await this.#table.close();
    this.#carrier?.close();
  }
}
