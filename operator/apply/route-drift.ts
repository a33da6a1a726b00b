import { type InterfaceWatch, watchRouting } from "../../datapath/index.js";
import { ROUTE_PROTOCOL } from "./route-tables.js";

export interface RouteDriftOptions {
  /** Whether what an interface has of neighbours is ours. */
  readonly isOurs: (device: number) => boolean;
  /** Interfaces or addresses have changed. */
  readonly onInterfaces: () => void;
  /** Rows of ours may be gone. */
  readonly onLoss: () => void;
}

/** What was removed is told within this time, or not at all. */
const TOLD_WITHIN_MS = 200;

/** Hears of what others do to the rows of ours. */
export class RouteDrift {
  readonly #options: RouteDriftOptions;
  readonly #watch: InterfaceWatch;
  /** Rows removed by this process, of which the kernel has not told yet. */
  #ownRemovals = 0;

  /** @throws SluiceError SLUICE_NETLINK_FAILED */
  constructor(options: RouteDriftOptions) {
    this.#options = options;
    this.#watch = watchRouting((event) => {
      switch (event.type) {
        case "interfaces":
          options.onInterfaces();
          return;
        case "route-removed":
          if (event.protocol === ROUTE_PROTOCOL) this.#removed();
          return;
        case "neighbour-removed":
          if (options.isOurs(event.device)) this.#removed();
          return;
        case "rule-removed":
          this.#removed();
          return;
        case "overrun":
          options.onLoss();
      }
    });
  }

  /** Before this process removes a row: nobody tells who did. */
  expectRemoval(): void {
    this.#ownRemovals++;
  }

  /** After it has removed the last. */
  removalsDone(): void {
    setTimeout(() => (this.#ownRemovals = 0), TOLD_WITHIN_MS).unref();
  }

  close(): void {
    this.#watch.close();
  }

  #removed(): void {
    if (this.#ownRemovals > 0) this.#ownRemovals--;
    else this.#options.onLoss();
  }
}
