import { setImmediate as yieldToLoop } from "node:timers/promises";
import { Control, Generation, GenerationFlags, Limits } from "../../datapath/generated/layout.js";
import type { GracePeriod } from "../../datapath/index.js";
import type { ClassId } from "../compile/address-classes.js";
import { CapacityError } from "../compile/capacity-error.js";
import type { FieldClasses } from "../compile/field-classes.js";
import type { CompiledRule } from "../compile/rule-list.js";
import { isSameRules } from "../compile/same-rules.js";
import { AddressTable, type SetContents } from "./address-table.js";
import type { Bank } from "./bank.js";
import { inTurns } from "./in-turns.js";
import { compareRules, type RuleDifference } from "./kernel-rules.js";
import type { RedirectTargets } from "./redirect-targets.js";
import { RuleTables } from "./rule-tables.js";
import type { V6Pointers } from "./v6-table.js";
import type { RuleSlots } from "./rule-slots.js";

/** What the kernel should hold. */
export interface DesiredFirewall {
  readonly rules: readonly CompiledRule[];
  /** Compiled from `rules`. */
  readonly fieldClasses: FieldClasses;
  /** Contents of all sets that the rules use. */
  readonly contents: SetContents;
  /** Interface slots that some policy judges, and those that one in mode Enforce does. */
  readonly judgedSlots: readonly number[];
  readonly enforcedSlots: readonly number[];
  readonly passUnparsable: boolean;
  readonly eventsPerSecond: number;
}

type Half = 0 | 1;

/**
 * Called right before rules with a default drop come into force, with the slots of the interfaces that they judge, and
 * whether the egress program forgot connections until now.
 */
export type RememberConnections = (judgedSlots: readonly number[], isNew: boolean) => void;

/**
 * Brings the tables to a desired state in an order that never shows a packet half a change:
 *
 *   1. sets gain and lose addresses in place, each address by one store; classes that are new to the rules in force
 *      get their bitmaps first
 *   2. changed rules are written to the half that no packet reads, and one store flips
 *   3. sets that no rule uses any more are taken out
 */
export class Firewall {
  readonly #datapath: Bank;
  readonly #grace: GracePeriod;
  readonly #slots: RuleSlots;
  readonly #targets: RedirectTargets;
  readonly #onRemember: RememberConnections;
  #addresses: AddressTable | undefined;
  #rules: RuleTables | undefined;
  #state = "";
  /** Resolves when no packet reads what the last flip replaced. */
  #replacedIsFree: Promise<void> = Promise.resolve();
  #reclaiming: Promise<void> = Promise.resolve();
  #difference: RuleDifference | undefined;
  /** Something went wrong half way: the next change builds everything anew. */
  #isBroken = false;

  constructor(
    datapath: Bank,
    grace: GracePeriod,
    slots: RuleSlots,
    targets: RedirectTargets,
    onRemember: RememberConnections = () => undefined,
  ) {
    this.#datapath = datapath;
    this.#grace = grace;
    this.#slots = slots;
    this.#targets = targets;
    this.#onRemember = onRemember;
  }

  get generation(): Generation {
    return this.#generationAt(this.#active());
  }

  /** How the rules that an earlier agent left differ from the first ones wanted; undefined before that. */
  get difference(): RuleDifference | undefined {
    return this.#difference;
  }

  /** Rules in force, with their slots; empty before the first change. */
  get rules(): RuleTables | undefined {
    return this.#rules;
  }

  get addresses(): AddressTable | undefined {
    return this.#addresses;
  }

  /**
   * @returns whether a new generation was put in force; changes of sets alone need none
   * @throws CapacityError, and the rules in force stay as they were
   */
  async change(desired: DesiredFirewall): Promise<boolean> {
    const before = this.#rules;
    const state = this.#stateText(desired);
    const isSame =
      before !== undefined &&
      !this.#isBroken &&
      state === this.#state &&
      isSameRules(before.rules, desired.rules);
    try {
      const next = isSame ? before : this.#tablesOf(desired);
      const isNew = await this.#bring(desired, next, isSame);
      this.#state = state;
      return isNew;
    } catch (error) {
      /* What stays in force keeps its slots. */
      if (before !== undefined && !isSame) this.#slots.assign(before.rules);
      throw error;
    }
  }

  /** What a generation says beside its rules. */
  #stateText(desired: DesiredFirewall): string {
    return JSON.stringify([
      desired.judgedSlots,
      desired.enforcedSlots,
      desired.passUnparsable,
      desired.eventsPerSecond,
      this.#targets.interfaces(desired.rules),
    ]);
  }

  #tablesOf({ rules, fieldClasses }: DesiredFirewall): RuleTables {
    const next = new RuleTables(rules, this.#slots.assign(rules), fieldClasses);
    this.#difference ??= compareRules(this.#datapath, this.generation, next);
    return next;
  }

  async #bring(desired: DesiredFirewall, next: RuleTables, isSame: boolean): Promise<boolean> {
    const addresses = this.#addresses;
    if (addresses === undefined || this.#isBroken || !addresses.canBecome(desired.contents)) {
      await this.#buildAnew(desired, next);
      return true;
    }
    try {
      await this.#changeInPlace(desired, next, addresses, isSame);
    } catch (error) {
      this.#isBroken = true;
      if (!(error instanceof CapacityError)) throw error;
      /* What edits left scattered may fit when it is laid out anew. */
      await this.#buildAnew(desired, next);
      return true;
    }
    return !isSame;
  }

  /**
   * Gives the rules in force a new number: flows that they allowed are judged again. A change of sets alone needs no new
   * generation, but what a flow was allowed by may have gone with it.
   */
  judgeFlowsAgain(): void {
    const { u32 } = this.#datapath.control;
    const at = Control.offsets.generations + this.#active() * Generation.size;
    Atomics.add(u32, (at + Generation.offsets.number) / 4, 1);
  }

  /** Everything beside what is in force, in the other halves; then one flip. */
  async #buildAnew(desired: DesiredFirewall, next: RuleTables): Promise<void> {
    const active = this.generation;
    await this.#grace.wait();
    await this.#replacedIsFree;
    const half = other(active.v4Half);
    const addresses = new AddressTable(this.#datapath, half, desired.contents);
    await addresses.build(() => yieldToLoop());
    await this.#writeRules(next, other(active.rulesHalf), addresses);
    this.#flip(desired, next, addresses, other(active.rulesHalf));
    this.#addresses = addresses;
    this.#rules = next;
    this.#isBroken = false;
    this.#replacedIsFree = this.#replacedIsFree.then(() =>
      addresses.unmarkOthers(() => yieldToLoop()),
    );
  }

  async #changeInPlace(
    desired: DesiredFirewall,
    next: RuleTables,
    addresses: AddressTable,
    rulesAreSame: boolean,
  ): Promise<void> {
    const current = this.#rules!;
    const activeHalf = this.generation.rulesHalf as Half;
    const publish = (first: ClassId) => this.#publish(current, activeHalf, addresses, first);
    let v6InPlace = addresses.change(desired.contents, publish);
    /* Sets that only the new rules use are now in the tables, and mean nothing to the rules in force. */
    let oldV6: V6Pointers | undefined;
    if (!v6InPlace) {
      oldV6 = (await addresses.rebuildV6(() => yieldToLoop())).old;
      publish(0);
    }
    if (!rulesAreSame || oldV6 !== undefined) {
      const half = rulesAreSame ? activeHalf : other(activeHalf);
      await this.#replacedIsFree;
      if (!rulesAreSame) await this.#writeRules(next, half, addresses);
      this.#flip(desired, rulesAreSame ? current : next, addresses, half);
      if (oldV6 !== undefined) addresses.retireV6(oldV6);
    }
    if (rulesAreSame) {
      this.#reclaimLater(addresses);
      return;
    }
    this.#rules = next;
    const nowHalf = this.generation.rulesHalf as Half;
    v6InPlace = addresses.removeOthers(desired.contents, (first) =>
      this.#publish(next, nowHalf, addresses, first),
    );
    if (!v6InPlace) {
      const { old } = await addresses.rebuildV6(() => yieldToLoop());
      this.#publish(next, nowHalf, addresses, 0);
      await this.#replacedIsFree;
      this.#flip(desired, next, addresses, nowHalf);
      addresses.retireV6(old);
    }
    this.#reclaimLater(addresses);
  }

  /** A change of sets does not wait for the grace period of the lines it freed. */
  #reclaimLater(addresses: AddressTable): void {
    const retired = addresses.allocator.takeRetired();
    if (retired.length === 0) return;
    this.#reclaiming = Promise.all([this.#reclaiming, this.#grace.wait()]).then(() =>
      addresses.allocator.reclaim(retired),
    );
  }

  #publish(rules: RuleTables, half: Half, addresses: AddressTable, first: ClassId): void {
    const idOf = (key: string) => addresses.idOf(key);
    const steps = rules.classSteps(this.#datapath, half, addresses.classes, idOf, first);
    while (steps.next().done !== true);
  }

  async #writeRules(rules: RuleTables, half: Half, addresses: AddressTable): Promise<void> {
    this.#targets.begin();
    const idOf = (key: string) => addresses.idOf(key);
    await inTurns(rules.write(this.#datapath, half, addresses.classes, idOf, this.#targets));
  }

  #flip(
    desired: DesiredFirewall,
    rules: RuleTables,
    addresses: AddressTable,
    rulesHalf: Half,
  ): void {
    const { control } = this.#datapath;
    if (rules.hasDefaultDrop) this.#rememberConnections(desired.judgedSlots);
    const active = this.#active();
    const index = other(active);
    const rate = desired.eventsPerSecond;
    Generation.encode(
      {
        number: this.generation.number + 1,
        rulesHalf,
        v4Half: addresses.half,
        fields: rules.fields,
        flags: rules.hasDefaultDrop ? GenerationFlags.GENERATION_CONNECTIONS : 0,
        judged: slotBits(desired.judgedSlots),
        /* Audit policies change no verdict, not even of what cannot be parsed. */
        dropUnparsable: slotBits(desired.passUnparsable ? [] : desired.enforcedSlots),
        ...addresses.pointers(),
        eventIntervalNs: rate === 0 ? 0 : Math.max(1, Math.round(1e9 / rate)),
        eventBurst: Math.max(1, Math.ceil(rate / 10)),
        ruleCount: rules.rules.length,
      },
      control.view,
      Control.offsets.generations + index * Generation.size,
    );
    Atomics.store(control.u32, Control.offsets.active / 4, index);
    this.#replacedIsFree = this.#grace.wait();
  }

  /** Under the rules that are still in force, to which it means nothing. */
  #rememberConnections(judgedSlots: readonly number[]): void {
    const { u32 } = this.#datapath.control;
    const at = Control.offsets.generations + this.#active() * Generation.size;
    const flags = (at + Generation.offsets.flags) / 4;
    const isNew = (u32[flags]! & GenerationFlags.GENERATION_CONNECTIONS) === 0;
    u32[flags]! |= GenerationFlags.GENERATION_CONNECTIONS;
    this.#onRemember(judgedSlots, isNew);
  }

  /** Waits for what goes on behind changes that are through; before the datapath is closed. */
  async settle(): Promise<void> {
    await this.#replacedIsFree;
    await this.#reclaiming;
  }

  #active(): Half {
    return ((this.#datapath.control.u32[Control.offsets.active / 4] ?? 0) & 1) as Half;
  }

  #generationAt(index: Half): Generation {
    const at = Control.offsets.generations + index * Generation.size;
    return Generation.decode(this.#datapath.control.view, at);
  }
}

function slotBits(slots: readonly number[]): readonly bigint[] {
  const words = Array.from({ length: Limits.SLOT_WORDS }, () => 0n);
  for (const slot of slots) words[slot >> 6]! |= 1n << BigInt(slot & 63);
  return words;
}

function other(half: number): Half {
  return half === 0 ? 1 : 0;
}
