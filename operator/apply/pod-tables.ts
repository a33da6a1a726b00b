import { Limits, type PodInterface, type PodKey } from "../../datapath/generated/layout.js";
import { type IfIndex, listInterfaces } from "../../datapath/index.js";
import { CapacityError } from "../compile/capacity-error.js";
import { clearInterfaceSlot } from "./counters.js";
import type { PodDatapath } from "./pod-datapath.js";
import { macBytes, type PodLink, wordsOf } from "./pod-link.js";
import type { PodPrograms } from "./pod-programs.js";
import { limitBits, writeRates } from "./pod-rates.js";

/** Where a pod is in the kernel's tables. */
export interface PodPlace {
  /** Of the node's end of its veth. */
  readonly index: IfIndex;
  readonly slotOut: number;
  readonly slotIn: number;
}

/** How a pod was found when it was given its place. */
export type Found =
  /** These tables had it: an agent before this one attached it. */
  | "in-tables"
  /** Programs of another table layout judge it. */
  | "other-layout"
  | "new";

/**
 * Rows and programs of pods. A pod is where `pod_interfaces` says; a restarted agent finds its slots there, and its
 * programs on their links.
 */
export class PodTables {
  readonly #datapath: PodDatapath;
  readonly #gatewayMac: Uint8Array;
  readonly #programs: PodPrograms;
  /** Links that an agent before this one has put its programs on, and that these tables do not know. */
  readonly #left = new Set<number>();
  readonly #rows = new Map<number, PodInterface>();
  /** Slot 0 counts what is of no pod. */
  #usedSlots = 1;

  /** Forgets what lost its interface while no agent ran. */
  constructor(datapath: PodDatapath, programs: PodPrograms, gatewayMac: string) {
    this.#datapath = datapath;
    this.#gatewayMac = macBytes(gatewayMac);
    this.#programs = programs;
    const present = new Set<number>(listInterfaces().map(({ index }) => index));
    for (const [index, row] of [...datapath.podInterfaces.entries()]) {
      this.#rows.set(index, row);
      this.#usedSlots = Math.max(this.#usedSlots, row.slotIn + 1);
      if (!present.has(index)) this.#remove(index);
    }
    for (const index of programs.find((known) => this.#rows.has(known))) this.#left.add(index);
    for (const [key, { ifindex }] of [...datapath.pods.entries()]) {
      if (!this.#rows.has(ifindex)) datapath.pods.delete(key);
    }
  }

  /** Slots that have been in use since the start are below this: low ones are given out first. */
  get usedSlots(): number {
    return this.#usedSlots;
  }

  /**
   * Gives a pod its slots and its row in `pod_interfaces`, or finds those that it has. Nothing passes its link by that.
   *
   * @throws CapacityError
   */
  take(link: PodLink, index: IfIndex): { readonly place: PodPlace; readonly found: Found } {
    this.#programs.busy();
    const known = this.#rows.get(index);
    if (known !== undefined && isSameBytes(known.mac, macBytes(link.mac))) {
      const { slotOut, slotIn } = known;
      this.#limit(link, known);
      const limits = limitBits(link.bandwidth);
      if (known.limits !== limits) this.#put(index, { ...known, limits });
      return { place: { index, slotOut, slotIn }, found: "in-tables" };
    }
    if (known !== undefined) this.#remove(index);
    const slotOut = this.#freeSlot();
    const row = rowOf(link, slotOut);
    for (const slot of [slotOut, row.slotIn]) clearInterfaceSlot(this.#datapath, slot);
    const found = this.#left.has(index) ? "other-layout" : "new";
    this.#limit(link, row);
    this.#put(index, row);
    this.#usedSlots = Math.max(this.#usedSlots, row.slotIn + 1);
    return { place: { index, slotOut, slotIn: row.slotIn }, found };
  }

  /** Before the row that says that there is a rate. */
  #limit({ bandwidth }: PodLink, row: Pick<PodPlace, "slotOut" | "slotIn">): void {
    writeRates(this.#datapath.podRates, row, bandwidth);
  }

  #put(index: IfIndex, row: PodInterface): void {
    this.#datapath.podInterfaces.update(index, row);
    this.#rows.set(index, row);
  }

  /** Puts this agent's programs on the link, in place where others are, and lets other pods find it. */
  connect(link: PodLink, { index, slotOut, slotIn }: PodPlace): void {
    this.#programs.attach(index);
    const row = {
      ifindex: index,
      slotOut,
      slotIn,
      mac: macBytes(link.mac),
      gatewayMac: this.#gatewayMac,
      limits: limitBits(link.bandwidth),
    };
    for (const key of keysOf(link)) this.#datapath.pods.update(key, row);
  }

  /** Lets go what belongs to a pod; its link may be gone, and another pod may have its addresses by now. */
  release(link: PodLink, index = this.#indexOf(link)): void {
    if (index === undefined) return;
    for (const key of keysOf(link)) {
      if (this.#datapath.pods.lookup(key)?.ifindex === index) this.#datapath.pods.delete(key);
    }
    this.#remove(index);
  }

  /** What is not as it was made; undefined when all is. */
  check(link: PodLink, { index, slotOut, slotIn }: PodPlace): string | undefined {
    const row = this.#datapath.podInterfaces.lookup(index);
    if (row?.slotOut !== slotOut || row.slotIn !== slotIn) return "its row in pod_interfaces";
    for (const key of keysOf(link)) {
      if (this.#datapath.pods.lookup(key)?.ifindex !== index) return "its row in pods";
    }
    const missing = this.#programs.missing(index);
    return missing && `its program ${missing}`;
  }

  /** A sender's slot is odd, and its receiver's the next one. */
  #freeSlot(): number {
    const taken = new Set([...this.#rows.values()].map(({ slotOut }) => slotOut));
    for (let slot = 1; slot + 1 < Limits.MAX_INTERFACE_SLOTS; slot += 2) {
      if (!taken.has(slot)) return slot;
    }
    throw new CapacityError("pods", Limits.MAX_PODS, "this is one more");
  }

  #indexOf(link: PodLink): number | undefined {
    const mac = macBytes(link.mac);
    return [...this.#rows].find(([, row]) => isSameBytes(row.mac, mac))?.[0];
  }

  #remove(index: number): void {
    this.#datapath.podInterfaces.delete(index);
    this.#rows.delete(index);
    this.#left.delete(index);
    this.#programs.forget(index);
  }
}

function rowOf(link: PodLink, slotOut: number): PodInterface {
  const { mac, addresses, bandwidth } = link;
  const { ipv4, ipv6 } = addresses;
  return {
    ipv4: ipv4 === undefined ? 0 : wordsOf(ipv4).words[0]!,
    ipv6: ipv6 === undefined ? [0, 0, 0, 0] : wordsOf(ipv6).words,
    mac: macBytes(mac),
    slotOut,
    slotIn: slotOut + 1,
    limits: limitBits(bandwidth),
  };
}

function keysOf({ addresses: { ipv4, ipv6 } }: PodLink): readonly PodKey[] {
  return [ipv4, ipv6].flatMap((text) => {
    if (text === undefined) return [];
    const { family, words } = wordsOf(text);
    return { address: words, family };
  });
}

function isSameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
