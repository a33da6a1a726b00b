import { Limits } from "../../datapath/generated/layout.js";
import type { Bank } from "./bank.js";

/**
 * Which row of counters and which bit of the rules' interface field each interface has. Kept in the kernel, where
 * packets find it by the interface's number.
 */
export class InterfaceSlots {
  readonly #datapath: Pick<Bank, "interfaces" | "farInterfaces">;
  readonly #clear: (slot: number) => void;
  readonly #slots = new Map<number, number>();

  /** @param clear resets the counters of a slot */
  constructor(datapath: Pick<Bank, "interfaces" | "farInterfaces">, clear: (slot: number) => void) {
    this.#datapath = datapath;
    this.#clear = clear;
    const { interfaces, farInterfaces } = datapath;
    const words = interfaces.stride / 4;
    for (let index = 1; index < interfaces.length; index++) {
      const slot = interfaces.u32[index * words]!;
      if (slot !== 0) this.#slots.set(index, slot);
    }
    for (const [index, { slot }] of farInterfaces.entries()) this.#slots.set(index, slot);
  }

  /** Numbers of the interfaces that have slots. */
  indices(): Iterable<number> {
    return this.#slots.keys();
  }

  get(index: number): number | undefined {
    return this.#slots.get(index);
  }

  /** Slot of an interface, given out on first use and kept until it is released; undefined when none is left. */
  take(index: number): number | undefined {
    const known = this.#slots.get(index);
    if (known !== undefined) return known;
    const taken = new Set(this.#slots.values());
    for (let slot = 1; slot < Limits.MAX_UPLINK_SLOTS; slot++) {
      if (taken.has(slot)) continue;
      this.#clear(slot);
      this.#write(index, slot);
      this.#slots.set(index, slot);
      return slot;
    }
    return undefined;
  }

  /** Resets the counters of an interface. */
  clear(index: number): void {
    const slot = this.#slots.get(index);
    if (slot !== undefined) this.#clear(slot);
  }

  release(index: number): void {
    if (this.#slots.delete(index)) this.#write(index, 0);
  }

  #write(index: number, slot: number): void {
    const { interfaces, farInterfaces } = this.#datapath;
    if (index < interfaces.length) interfaces.u32[(index * interfaces.stride) / 4] = slot;
    else if (slot === 0) farInterfaces.delete(index);
    else farInterfaces.update(index, { slot });
  }
}
