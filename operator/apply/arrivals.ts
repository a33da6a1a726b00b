import { join } from "node:path";
import type pino from "pino";
import { type IfIndex, ifIndex, type Program, queryClsact } from "../../datapath/index.js";
import { SluiceError } from "../errors.js";
import { CLSACT } from "./attachments.js";
import { LinkPins } from "./link-pins.js";
import { presentInterfaces } from "./node-interfaces.js";
import { attachPinned, detachPinned } from "./pinned-program.js";
import { TUNNEL_DEVICES } from "./underlay.js";

/** Names of the tunnels between nodes. */
const TUNNELS: ReadonlySet<string> = new Set(Object.values(TUNNEL_DEVICES));

/**
 * Where packets for pods come in from outside of the node.
 *
 * @param uplinks globs; empty: what default routes lead to
 */
export function arrivalInterfaces(uplinks: readonly string[]): readonly IfIndex[] {
  return presentInterfaces(uplinks)
    .filter(({ name, uplink }) => uplink || TUNNELS.has(name))
    .map(({ index }) => ifIndex(index));
}

/** The program pod_arrive on interfaces. Without it the stack does the same, more slowly, and translates no ports. */
export class Arrivals {
  readonly #program: Program;
  readonly #pins: LinkPins;
  readonly #log: pino.Logger;
  /** Interfaces that have this agent's program. */
  readonly #attached = new Set<IfIndex>();
  /** What was the matter the last time. */
  readonly #failures = new Map<IfIndex, string>();

  /** @throws SluiceError SLUICE_NO_BPFFS */
  constructor(program: Program, pinRoot: string, log: pino.Logger) {
    this.#program = program;
    this.#pins = new LinkPins(join(pinRoot, "arrive-links"), log);
    this.#log = log;
  }

  /** Puts the program on these interfaces and takes it off all others. What fails is logged, and tried again by the next call. */
  set(wanted: readonly IfIndex[]): void {
    for (const index of [...this.#attached, ...this.#pins.indices().map(ifIndex)]) {
      if (wanted.includes(index)) continue;
      this.#attached.delete(index);
      this.#try(index, () => detachPinned(this.#pins, hookOf(index)));
    }
    for (const index of wanted) {
      if (this.#attached.has(index) && this.#isThere(index)) continue;
      this.#try(index, () => {
        attachPinned(this.#pins, hookOf(index), this.#program);
        this.#attached.add(index);
        this.#failures.delete(index);
      });
    }
  }

  /** Another interface may have come with the number of one that went. */
  #isThere(index: IfIndex): boolean {
    const link = this.#pins.open("pod-arrive", index);
    link?.close();
    if (link !== undefined) return true;
    const { id } = this.#program.info();
    return queryClsact({ ifIndex: index, direction: "ingress", ...CLSACT }) === id;
  }

  #try(index: IfIndex, work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error;
      /* It has just gone. */
      if (error.code === "SLUICE_NO_INTERFACE") return;
      if (this.#failures.get(index) === error.message) return;
      this.#failures.set(index, error.message);
      this.#log.error({ err: error, ifIndex: index }, "what arrives goes to pods by the stack");
    }
  }
}

function hookOf(index: IfIndex) {
  return { kind: "pod-arrive", index, direction: "ingress" } as const;
}
