import { Limits, RuleName } from "../../datapath/generated/layout.js";
import { CapacityError } from "../compile/capacity-error.js";
import type { Bank } from "./bank.js";

export interface SlotOwner {
  readonly policy: string;
  readonly rule: string;
}

/**
 * Which rule each row of counters belongs to. Names stand in the kernel beside the counters, so that both outlive the
 * agent; a slot is taken from a vanished rule only when no fresh one is left. Slot 0 belongs to nobody.
 */
export class RuleSlots {
  readonly #names: Uint8Array;
  readonly #stride: number;
  readonly #owners: (SlotOwner | undefined)[] = [];
  readonly #byName = new Map<string, number>();
  readonly #takenAtMs: (number | undefined)[] = [];
  readonly #clear: (slot: number) => void;
  #inUse = new Set<number>();

  /** @param clear resets the counters and buckets of a slot that changes hands */
  constructor(datapath: Pick<Bank, "ruleNames">, clear: (slot: number) => void) {
    this.#names = datapath.ruleNames.bytes;
    this.#stride = datapath.ruleNames.stride;
    this.#clear = clear;
    const view = datapath.ruleNames.view;
    for (let slot = 1; slot < Limits.MAX_RULE_SLOTS; slot++) {
      if (this.#names[slot * this.#stride] === 0) continue;
      const { policy, rule } = RuleName.decode(view, slot * this.#stride);
      const owner = { policy: text(policy), rule: text(rule) };
      this.#owners[slot] = owner;
      this.#byName.set(nameKey(owner), slot);
    }
  }

  get used(): number {
    return this.#inUse.size;
  }

  owner(slot: number): SlotOwner | undefined {
    return this.#owners[slot];
  }

  /** Since when the counters of a slot count its rule, in milliseconds since the epoch; undefined: since an earlier agent. */
  countedSinceMs(slot: number): number | undefined {
    return this.#takenAtMs[slot];
  }

  find(owner: SlotOwner): number | undefined {
    return this.#byName.get(nameKey(owner));
  }

  /**
   * Slots for the rules, the same as before for those that had one.
   *
   * @throws CapacityError
   */
  assign(rules: readonly SlotOwner[]): readonly number[] {
    const inUse = new Set<number>();
    for (const rule of rules) {
      const slot = this.find(rule);
      if (slot !== undefined) inUse.add(slot);
    }
    let candidate = 1;
    const slots = rules.map((rule) => {
      const known = this.find(rule);
      if (known !== undefined) return known;
      candidate = this.#free(inUse, candidate);
      inUse.add(candidate);
      this.#take(candidate, rule);
      return candidate;
    });
    this.#inUse = inUse;
    return slots;
  }

  /** Never used before vanished: a rule that comes back finds its counters. */
  #free(inUse: ReadonlySet<number>, from: number): number {
    for (let slot = from; slot < Limits.MAX_RULE_SLOTS; slot++) {
      if (this.#owners[slot] === undefined) return slot;
    }
    for (let slot = 1; slot < Limits.MAX_RULE_SLOTS; slot++) {
      if (!inUse.has(slot) && !this.#inUse.has(slot)) return slot;
    }
    throw new CapacityError("rule slots", Limits.MAX_RULE_SLOTS - 1, "the rules need more");
  }

  #take(slot: number, { policy, rule }: SlotOwner): void {
    /* Not what was given: it may be a whole rule, which would live on in here. */
    const owner = { policy, rule };
    const before = this.#owners[slot];
    if (before !== undefined) this.#byName.delete(nameKey(before));
    this.#clear(slot);
    const at = slot * this.#stride;
    this.#names.fill(0, at, at + RuleName.size);
    const { offsets } = RuleName;
    this.#names.set(Buffer.from(policy), at + offsets.policy);
    this.#names.set(Buffer.from(rule), at + offsets.rule);
    this.#owners[slot] = owner;
    this.#takenAtMs[slot] = Date.now();
    this.#byName.set(nameKey(owner), slot);
  }
}

function nameKey({ policy, rule }: SlotOwner): string {
  return `${policy}\0${rule}`;
}

/** A NUL-terminated C string. */
export function text(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return Buffer.from(bytes.subarray(0, end < 0 ? bytes.length : end)).toString();
}
