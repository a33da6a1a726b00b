import type pino from "pino";
import type { KubeClient } from "../kube/client.js";
import { KubeError } from "../kube/errors.js";
import type { Clock } from "./clock.js";

export interface OrphanSweepOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: pino.Logger;
  readonly nodes: ReadonlyMap<string, unknown>;
}

const EVERY_MS = 15_000;
/** A Node that is deleted and registers again at once keeps its object. */
const GRACE_MS = 60_000;

/** Deletes the NodeDatapaths of nodes that are gone, for clusters whose garbage collector does not get to it. */
export class OrphanSweep {
  readonly #options: OrphanSweepOptions;
  readonly #goneSinceMs = new Map<string, number>();
  #cancel: () => void = () => {};
  #isClosed = false;

  constructor(options: OrphanSweepOptions) {
    this.#options = options;
  }

  /** @param reported names of the nodes that there is a NodeDatapath of; asked anew each time */
  start(reported: () => Iterable<string>): void {
    this.#cancel();
    if (this.#isClosed) return;
    this.#note(reported());
    this.#cancel = this.#options.clock.after(EVERY_MS, () => {
      void this.#sweep(reported).then(() => this.start(reported));
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#cancel();
  }

  #note(reported: Iterable<string>): void {
    const { nodes, clock } = this.#options;
    const gone = new Set([...reported].filter((name) => !nodes.has(name)));
    for (const name of this.#goneSinceMs.keys()) {
      if (!gone.has(name)) this.#goneSinceMs.delete(name);
    }
    const now = clock.monotonicMs();
    for (const name of gone) if (!this.#goneSinceMs.has(name)) this.#goneSinceMs.set(name, now);
  }

  async #sweep(reported: () => Iterable<string>): Promise<void> {
    const { clock, log } = this.#options;
    this.#note(reported());
    for (const [name, sinceMs] of [...this.#goneSinceMs]) {
      if (this.#isClosed || clock.monotonicMs() - sinceMs <= GRACE_MS) continue;
      try {
        if (await this.#delete(name))
          log.info({ node: name }, "NodeDatapath of a removed node deleted");
      } catch (error) {
        log.warn(
          { err: error, node: name },
          "NodeDatapath of a removed node not deleted; retrying",
        );
        return;
      }
      this.#goneSinceMs.delete(name);
    }
  }

  async #delete(name: string): Promise<boolean> {
    const { client } = this.#options;
    const isThere = await found(client.call({ path: `/api/v1/nodes/${encodeURIComponent(name)}` }));
    // The watch of nodes may be behind.
    if (isThere || this.#isClosed) return false;
    const path = `/apis/sluice.dev/v1alpha1/nodedatapaths/${encodeURIComponent(name)}`;
    return found(client.call({ method: "DELETE", path }));
  }
}

async function found(call: Promise<unknown>): Promise<boolean> {
  try {
    await call;
    return true;
  } catch (error) {
    if (error instanceof KubeError && error.status === 404) return false;
    throw error;
  }
}
