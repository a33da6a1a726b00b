import type pino from "pino";
import { FlowCollection } from "../../datapath/generated/layout.js";
import { sumCounters } from "../../datapath/index.js";
import type { FlowTableState } from "../api/engine.js";
import { collectFlows } from "./flow-collector.js";
import type { PodDatapath } from "./pod-datapath.js";

/** From the end of one look through the table to the next. */
const REST_MS = 10_000;

/** What programs counted: `struct flow_counts`. */
interface Counts {
  readonly opened: number;
  readonly refused: number;
  readonly homeless: number;
}

/**
 * The table of flows as its agent sees it. The kernel tells neither how many rows an LRU table has nor which it gave
 * away, so rows are counted where they are made and taken out. What is missing when the table is looked through is what
 * the kernel gave away: `opened + carried − refused − expired − seen`, which is at least that many.
 */
export class FlowTable {
  readonly #datapath: PodDatapath;
  readonly #log: pino.Logger;
  readonly #ending = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(datapath: PodDatapath, log: pino.Logger) {
    this.#datapath = datapath;
    this.#log = log;
    this.#rest();
  }

  describe(): FlowTableState {
    const counts = this.#counts();
    const { expired, carried, evicted } = this.#collection();
    const capacity = this.#datapath.flows.info.maxEntries;
    const entries = counts.opened + carried - counts.refused - expired - evicted;
    return {
      entries: Math.max(0, Math.min(capacity, entries)),
      capacity,
      ...counts,
      expired,
      carried,
      evicted,
    };
  }

  /** Flows that came from the tables of another layout. */
  addCarried(count: number): void {
    this.#add({ carried: count });
  }

  /** One look through the table; for a test, outside its turn. */
  async collect(pause?: () => Promise<unknown>): Promise<void> {
    const before = this.#counts().opened + this.#collection().carried;
    const { signal } = this.#ending;
    const { kept, expired } = await collectFlows(this.#datapath.flows, signal, pause);
    this.#add({ expired });
    if (signal.aborted) return;
    const missing = before - this.#counts().refused - this.#collection().expired - kept;
    const { evicted } = this.#collection();
    if (missing > evicted) this.#add({ evicted: missing - evicted });
  }

  async close(): Promise<void> {
    this.#ending.abort();
    clearTimeout(this.#timer);
    await this.#running;
  }

  #rest(): void {
    this.#timer = setTimeout(() => {
      this.#running = this.collect()
        .catch((err: unknown) => this.#log.error({ err }, "flows could not be collected"))
        .finally(() => {
          if (!this.#ending.signal.aborted) this.#rest();
        });
    }, REST_MS);
    this.#timer.unref();
  }

  #counts(): Counts {
    const [opened = 0n, refused = 0n, homeless = 0n] = sumCounters(this.#datapath.flowCounters);
    return { opened: Number(opened), refused: Number(refused), homeless: Number(homeless) };
  }

  #collection(): Readonly<Record<"expired" | "carried" | "evicted", number>> {
    const { view } = this.#datapath.flowCollections;
    const { expired, carried, evicted } = FlowCollection.decode(view, 0);
    return { expired: Number(expired), carried: Number(carried), evicted: Number(evicted) };
  }

  #add(more: Partial<Record<"expired" | "carried" | "evicted", number>>): void {
    const { view } = this.#datapath.flowCollections;
    const { expired, carried, evicted } = FlowCollection.decode(view, 0);
    FlowCollection.encode(
      {
        expired: expired + BigInt(more.expired ?? 0),
        carried: carried + BigInt(more.carried ?? 0),
        evicted: evicted + BigInt(more.evicted ?? 0),
      },
      view,
      0,
    );
  }
}
