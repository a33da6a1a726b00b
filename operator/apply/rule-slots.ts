import { RuleName } from "../../datapath/generated/layout.js";
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
  /** By policy, then by rule: names are looked up for every rule at every change. */
  readonly #byName = new Map<string, Map<string, number>>();
  readonly #capacity: number;
  readonly #takenAtMs: (number | undefined)[] = [];
  readonly #clear: (slot: number) => void;
  #inUse = new Set<number>();
  #last: { readonly rules: readonly SlotOwner[]; readonly slots: readonly number[] } = {
    rules: [],
    slots: [],
  };

  /** @param clear resets the counters and buckets of a slot that changes hands */
  constructor(datapath: Pick<Bank, "ruleNames">, clear: (slot: number) => void) {
    this.#names = datapath.ruleNames.bytes;
    this.#stride = datapath.ruleNames.stride;
    this.#capacity = this.#names.length / this.#stride;
    this.#clear = clear;
    const view = datapath.ruleNames.view;
    for (let slot = 1; slot < this.#capacity; slot++) {
      if (this.#names[slot * this.#stride] === 0) continue;
      const { policy, rule } = RuleName.decode(view, slot * this.#stride);
      const owner = { policy: text(policy), rule: text(rule) };
      this.#owners[slot] = owner;
      this.#setName(owner, slot);
    }
  }

  /** Slots that rules can have; slot 0 is none. */
  get capacity(): number {
    return this.#capacity - 1;
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

  find({ policy, rule }: SlotOwner): number | undefined {
    return this.#byName.get(policy)?.get(rule);
  }

  /**
   * Slots for the rules, the same as before for those that had one.
   *
   * @throws CapacityError
   */
  assign(rules: readonly SlotOwner[]): readonly number[] {
    const inUse = new Set<number>();
    const missing: number[] = [];
    const last = this.#last;
    const slots = rules.map((rule, index) => {
      /* Most rules are the same objects at the same places as before. */
      const slot = last.rules[index] === rule ? last.slots[index] : this.find(rule);
      if (slot === undefined) missing.push(index);
      else inUse.add(slot);
      return slot ?? 0;
    });
    const free = this.#freeSlots(inUse);
    for (const index of missing) {
      const rule = rules[index]!;
      /* Several bits of one new rule. */
      const known = this.find(rule);
      slots[index] = known ?? this.#give(free, inUse, rule);
    }
    this.#inUse = inUse;
    this.#last = { rules, slots };
    return slots;
  }

  #give(free: Iterator<number>, inUse: Set<number>, rule: SlotOwner): number {
    const next = free.next();
    if (next.done === true) {
      throw new CapacityError("rule slots", this.#capacity - 1, "the rules need more");
    }
    inUse.add(next.value);
    this.#take(next.value, rule);
    return next.value;
  }

  /** Never used before vanished: a rule that comes back finds its counters. */
  *#freeSlots(inUse: ReadonlySet<number>): Generator<number> {
    for (let slot = 1; slot < this.#capacity; slot++) {
      if (this.#owners[slot] === undefined) yield slot;
    }
    for (let slot = 1; slot < this.#capacity; slot++) {
      if (!inUse.has(slot) && !this.#inUse.has(slot)) yield slot;
    }
  }

  #take(slot: number, { policy, rule }: SlotOwner): void {
    /* Not what was given: it may be a whole rule, which would live on in here. */
    const owner = { policy, rule };
    const before = this.#owners[slot];
    /* What never was anybody's has counted nothing. */
    if (before !== undefined) {
      this.#deleteName(before);
      this.#clear(slot);
    }
    const at = slot * this.#stride;
    this.#names.fill(0, at, at + RuleName.size);
    const { offsets } = RuleName;
    this.#names.set(Buffer.from(policy), at + offsets.policy);
    this.#names.set(Buffer.from(rule), at + offsets.rule);
    this.#owners[slot] = owner;
    this.#takenAtMs[slot] = Date.now();
    this.#setName(owner, slot);
  }

  #setName({ policy, rule }: SlotOwner, slot: number): void {
    const rules = this.#byName.get(policy);
    if (rules === undefined) this.#byName.set(policy, new Map([[rule, slot]]));
    else rules.set(rule, slot);
  }

  #deleteName({ policy, rule }: SlotOwner): void {
    const rules = this.#byName.get(policy);
    rules?.delete(rule);
    if (rules?.size === 0) this.#byName.delete(policy);
  }
}

/** A NUL-terminated C string. */
export function text(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return Buffer.from(bytes.subarray(0, end < 0 ? bytes.length : end)).toString();
}
