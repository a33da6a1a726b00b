import {
  Field,
  Limit,
  Limits,
  LimitScope,
  LimitUnit,
  Rule,
  RuleAction,
  RuleFlags,
} from "../../datapath/generated/layout.js";
import type { AddressClasses, ClassId, SetId } from "../compile/address-classes.js";
import {
  addRule,
  pagesOf,
  BITMAP_WORDS,
  emptyRuleSet,
  type RuleSet,
  writeBitmap,
} from "../compile/bitmap.js";
import { CapacityError } from "../compile/capacity-error.js";
import { constrains, type FieldClasses } from "../compile/field-classes.js";
import type { CompiledRule } from "../compile/rule-list.js";
import type { RateLimit } from "../model/records.js";
import type { Bank } from "./bank.js";
import type { RedirectTargets } from "./redirect-targets.js";

/** Times of the limiter are in 1/16 ns, costs per 2^10 units (limiter.h). */
const TICKS_PER_SECOND = 16_000_000_000n;
const COST_UNITS = 1n << 10n;
const MAX_BURST = 1n << 62n;
/** Bitmaps that are written in a fraction of a millisecond. */
const ROWS_PER_STEP = 256;

/** `struct rule` without what points into tables that come in halves. */
export type RuleRow = Omit<Rule, "target" | "targetCount">;

/** Rules by address set, for one of the two address fields. */
interface AddressField {
  readonly any: RuleSet;
  readonly bySet: ReadonlyMap<string, readonly number[]>;
  readonly isUsed: boolean;
}

/** One rule list, ready to be written to a half of the tables. */
export class RuleTables {
  readonly rules: readonly CompiledRule[];
  readonly slots: readonly number[];
  readonly fields: number;
  readonly hasDefaultDrop: boolean;
  readonly limitCount: number;
  readonly #fieldClasses: FieldClasses;
  readonly #source: AddressField;
  readonly #destination: AddressField;

  /** @throws CapacityError */
  constructor(
    rules: readonly CompiledRule[],
    slots: readonly number[],
    fieldClasses: FieldClasses,
  ) {
    this.rules = rules;
    this.slots = slots;
    this.#fieldClasses = fieldClasses;
    this.#source = addressField(rules, "from");
    this.#destination = addressField(rules, "to");
    this.fields = fieldsOf(rules, this.#source.isUsed, this.#destination.isUsed);
    this.hasDefaultDrop = rules.some(({ isDefault, action }) => isDefault && action === "Drop");
    this.limitCount = rules.filter(({ action }) => action === "Limit").length;
    if (this.limitCount > Limits.MAX_LIMITS) {
      const last = rules.findLast(({ action }) => action === "Limit");
      throw new CapacityError(
        "limits",
        Limits.MAX_LIMITS,
        `the Limit rules need ${this.limitCount}`,
        last?.policy,
      );
    }
  }

  get fieldClassCount(): number {
    return this.#fieldClasses.ruleSets.length;
  }

  /** The rows of the rules, but for their places in other tables. */
  rows(): readonly RuleRow[] {
    return this.rules.map((rule, index) => this.#row(rule, index));
  }

  /**
   * Writes rules, limits, field classes and all bitmaps to a half that no packet reads, in steps between which others may
   * have their turn.
   */
  *write(
    datapath: Bank,
    half: 0 | 1,
    classes: AddressClasses,
    idOf: (key: string) => SetId | undefined,
    targets: RedirectTargets,
  ): Generator<void, void> {
    let limit = 0;
    /* Not by the codec, which takes an object for each of some thousand rules at every change. */
    this.rules.forEach((rule, index) => {
      const target = targets.indexOf(half, rule);
      const { view, stride } = datapath.rules;
      const at = ruleRow(half, index) * stride;
      const { offsets } = Rule;
      view.setUint8(at + offsets.action, actionOf(rule));
      view.setUint8(at + offsets.flags, flagsOf(rule));
      view.setUint16(at + offsets.resume, rule.resume, true);
      view.setUint16(at + offsets.next, rule.next, true);
      view.setUint32(at + offsets.slot, this.slots[index]!, true);
      view.setUint32(at + offsets.target, rule.action === "Limit" ? limit : target.first, true);
      view.setUint32(at + offsets.targetCount, target.count, true);
      view.setUint32(at + offsets.logOneIn, rule.logOneIn, true);
      if (rule.rateLimit !== undefined) {
        const limitAt = (half * Limits.MAX_LIMITS + limit++) * datapath.limits.stride;
        Limit.encode(limitRow(rule.rateLimit), datapath.limits.view, limitAt);
      }
    });
    const { classes: table, ruleSets } = this.#fieldClasses;
    new Uint16Array(
      datapath.fieldClasses.bytes.buffer,
      datapath.fieldClasses.bytes.byteOffset + half * table.byteLength,
      table.length,
    ).set(table);
    for (const [index, set] of ruleSets.entries()) {
      this.#writeBitmap(datapath, half, Limits.BITMAPS_FIELD + index, set);
      if (index % ROWS_PER_STEP === 0) yield;
    }
    yield* this.classSteps(datapath, half, classes, idOf, 0);
  }

  /** Writes the bitmaps of address classes from `first` on. */
  *classSteps(
    datapath: Bank,
    half: 0 | 1,
    classes: AddressClasses,
    idOf: (key: string) => SetId | undefined,
    first: ClassId,
  ): Generator<void, void> {
    for (const [field, base] of [
      [this.#source, 0],
      [this.#destination, Limits.BITMAPS_DESTINATION],
    ] as const) {
      if (!field.isUsed) continue;
      const byId: (readonly number[] | undefined)[] = [];
      for (const [key, rules] of field.bySet) {
        const id = idOf(key);
        if (id !== undefined) byId[id] = rules;
      }
      const set = field.any.slice();
      for (let classId = first; classId < classes.count; classId++) {
        set.set(field.any);
        for (const member of classes.members(classId)) {
          for (const rule of byId[member] ?? []) addRule(set, rule);
        }
        this.#writeBitmap(datapath, half, base + classId, set);
        if (classId % ROWS_PER_STEP === 0) yield;
      }
    }
  }

  #writeBitmap(datapath: Bank, half: 0 | 1, row: number, set: RuleSet): void {
    for (let page = 0; page < pagesOf(this.rules.length); page++) {
      const at = ((2 * page + half) * Limits.BITMAPS + row) * BITMAP_WORDS;
      writeBitmap(set, page, datapath.bitmaps.u32, at);
    }
  }

  #row(rule: CompiledRule, index: number): RuleRow {
    return {
      action: actionOf(rule),
      flags: flagsOf(rule),
      resume: rule.resume,
      next: rule.next,
      slot: this.slots[index]!,
      logOneIn: rule.logOneIn,
    };
  }
}

/** Rules that a half of the tables holds. */
export function ruleCapacity({ rules }: Pick<Bank, "rules">): number {
  return rules.length / 2;
}

/** Row of a rule in the table of rules: each page has its two halves. */
export function ruleRow(half: number, index: number): number {
  const inPage = index % Limits.MAX_RULES;
  return (2 * ((index - inPage) / Limits.MAX_RULES) + half) * Limits.MAX_RULES + inPage;
}

function addressField(rules: readonly CompiledRule[], field: "from" | "to"): AddressField {
  const any = emptyRuleSet(rules.length);
  const bySet = new Map<string, number[]>();
  rules.forEach((rule, index) => {
    const keys = rule[field];
    if (keys === undefined) {
      addRule(any, index);
      return;
    }
    for (const key of keys) {
      const list = bySet.get(key);
      if (list === undefined) bySet.set(key, [index]);
      else list.push(index);
    }
  });
  return { any, bySet, isUsed: rules.some((rule) => rule[field] !== undefined) };
}

function fieldsOf(
  rules: readonly CompiledRule[],
  usesSource: boolean,
  usesDestination: boolean,
): number {
  const bits: readonly (readonly [boolean, number])[] = [
    [usesSource, Field.FIELD_SOURCE],
    [usesDestination, Field.FIELD_DESTINATION],
    [rules.some(({ protocols }) => protocols !== undefined), Field.FIELD_PORT],
    [constrains(rules, "sourcePorts"), Field.FIELD_SOURCE_PORT],
    [constrains(rules, "details"), Field.FIELD_DETAIL],
    [rules.some(({ traits }) => traits !== 0), Field.FIELD_TRAITS],
  ];
  return bits.reduce((fields, [isUsed, bit]) => (isUsed ? fields | bit : fields), 0);
}

function flagsOf({ audit, isDefault }: CompiledRule): number {
  return (audit ? RuleFlags.RULE_AUDIT : 0) | (isDefault ? RuleFlags.RULE_DEFAULT : 0);
}

function actionOf({ action, redirect }: CompiledRule): RuleAction {
  switch (action) {
    case "Accept":
      return RuleAction.ACTION_ACCEPT;
    case "Drop":
      return RuleAction.ACTION_DROP;
    case "Pass":
      return RuleAction.ACTION_PASS;
    case "Limit":
      return RuleAction.ACTION_LIMIT;
    case "Redirect":
      if (redirect?.kind === "cpus") return RuleAction.ACTION_REDIRECT_CPU;
      if (redirect?.kind === "interface") return RuleAction.ACTION_REDIRECT_PORT;
      return RuleAction.ACTION_REDIRECT_SOCKET;
  }
}

function limitRow(limit: RateLimit): Limit {
  const cost = (TICKS_PER_SECOND * COST_UNITS) / BigInt(Math.round(limit.rate));
  const burst = (BigInt(Math.round(limit.burst)) * cost) / COST_UNITS;
  const perSource = limit.per === "SourceAddress";
  return {
    cost,
    burst: burst < MAX_BURST ? burst : MAX_BURST,
    unit: limit.unit === "bytes" ? LimitUnit.LIMIT_BYTES : LimitUnit.LIMIT_PACKETS,
    scope: limit.per === "Node" ? LimitScope.LIMIT_NODE : LimitScope.LIMIT_SOURCE,
    v4Prefix: perSource ? 32 : limit.ipv4PrefixLength,
    v6Prefix: perSource ? 128 : limit.ipv6PrefixLength,
  };
}
