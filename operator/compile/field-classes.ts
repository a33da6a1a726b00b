import { ClassSections as S, Limits } from "../../datapath/generated/layout.js";
import type { PortRange } from "../model/records.js";
import {
  addRule,
  emptyRuleSet,
  hashRules,
  hasSameRules,
  type RuleSet,
  removeRule,
} from "./bitmap.js";
import { CapacityError } from "./capacity-error.js";
import {
  isUnconstrained,
  mergeRanges,
  type ProtocolBox,
  type ProtocolSpace,
} from "./protocol-boxes.js";
import type { CompiledRule } from "./rule-list.js";

/** Classes of every field but the addresses, and the rules that accept each class. */
export interface FieldClasses {
  /** Writes the class of each value, by `enum class_sections` index. */
  readonly writeClasses: (table: Uint16Array) => void;
  /** Rules by class; class 0 accepts nothing, which is what interfaces that nobody judges have. */
  readonly ruleSets: readonly RuleSet[];
}

type PortedProtocol = "tcp" | "udp" | "sctp";
const PORTED: readonly PortedProtocol[] = ["tcp", "udp", "sctp"];
const TRAIT_VALUES = 128;
const SETS_PER_POOL = 64;
const PORTS = 65536;

/** As {@link compileFieldClasses}; keeps what it made last for when the list is asked about again. */
export function lastFieldClasses(): (rules: readonly CompiledRule[]) => FieldClasses {
  let last: { readonly of: readonly CompiledRule[]; readonly classes: FieldClasses } | undefined;
  return (rules) => {
    if (last?.of !== rules) last = { of: rules, classes: compileFieldClasses(rules) };
    return last.classes;
  };
}

/**
 * @param rules in order of judgement
 * @throws CapacityError when the fields have more than MAX_FIELD_CLASSES distinct sets of rules
 */
export function compileFieldClasses(rules: readonly CompiledRule[]): FieldClasses {
  const table = new ClassTable(rules);
  PORTED.forEach((protocol, index) => {
    table.ports(S.SECTION_DESTINATION_PORT + index * PORTS, protocol, "destinationPorts");
    table.ports(S.SECTION_SOURCE_PORT + index * PORTS, protocol, "sourcePorts");
  });
  table.protocolNumbers();
  table.details(S.SECTION_TCP_FLAGS, 256, "tcp");
  table.details(S.SECTION_ICMP, 65536, "4/1");
  table.details(S.SECTION_ICMPV6, 65536, "6/58");
  table.traits();
  table.interfaces();
  return {
    writeClasses: (target) => table.write(target),
    ruleSets: table.ruleSets,
  };
}

class ClassTable {
  readonly ruleSets: RuleSet[] = [];
  readonly #rules: readonly CompiledRule[];
  readonly #byHash = new Map<number, number[]>();
  /** The table of classes: half a million entries, but few runs of one class. */
  readonly #runs = {
    starts: [] as number[],
    ends: [] as number[],
    classes: [] as number[],
  };
  readonly #all: RuleSet;
  #pool: RuleSet = new Uint32Array();
  #poolUsed = 0;
  /** Rules of any protocol, and the others by what they name: once over the rules, not once for each section. */
  readonly #unconstrained: RuleSet;
  readonly #bySpace = new Map<ProtocolSpace, RuleWithBox[]>();

  constructor(rules: readonly CompiledRule[]) {
    this.#rules = rules;
    this.#classOf(this.#emptySet());
    this.#all = this.#emptySet();
    this.#unconstrained = this.#emptySet();
    rules.forEach(({ protocols }, rule) => {
      addRule(this.#all, rule);
      if (protocols === undefined) addRule(this.#unconstrained, rule);
      protocols?.forEach((box, space) => push(this.#bySpace, space, { rule, box }));
    });
  }

  write(target: Uint16Array): void {
    const { starts, ends, classes } = this.#runs;
    target.fill(0, S.SECTION_INTERFACE, S.CLASS_TABLE_ENTRIES);
    for (let run = 0; run < starts.length; run++) {
      target.fill(classes[run]!, starts[run], ends[run]);
    }
  }

  #fill(set: RuleSet, start: number, end: number): void {
    const { starts, ends, classes } = this.#runs;
    starts.push(start);
    ends.push(end);
    classes.push(this.#classOf(set));
  }

  #emptySet(): RuleSet {
    return emptyRuleSet(this.#rules.length);
  }

  /** Classes of a port section: rules that name other protocols only do not accept any port of this one. */
  ports(
    section: number,
    protocol: PortedProtocol,
    field: "destinationPorts" | "sourcePorts",
  ): void {
    const always = this.#unconstrained.slice();
    const ranges: RuleRanges[] = [];
    for (const { rule, box } of this.#bySpace.get(protocol) ?? []) {
      const accepted = box[field];
      if (accepted === undefined) addRule(always, rule);
      else ranges.push({ rule, accepted });
    }
    this.#ranges(section, PORTS, always, ranges);
  }

  /** Packets without ports: by protocol number, for whole packets and first fragments, then for later fragments. */
  protocolNumbers(): void {
    const base = this.#unconstrained;
    for (const later of [false, true]) {
      for (const family of [4, 6] as const) {
        const section = S.SECTION_PROTOCOL + (later ? 512 : 0) + (family === 6 ? 256 : 0);
        this.#fill(base, section, section + 256);
        for (let number = 0; number < 256; number++) {
          const rules = this.#bySpace.get(spaceOf(family, number));
          if (rules === undefined) continue;
          this.#fill(extended(base, rules, later), section + number, section + number + 1);
        }
      }
    }
  }

  /** TCP flags, ICMP types: rules that name other protocols only are excluded by the port field already. */
  details(section: number, values: number, space: ProtocolSpace): void {
    const always = this.#all.slice();
    const ranges: RuleRanges[] = [];
    for (const { rule, box } of this.#bySpace.get(space) ?? []) {
      if (box.details === undefined) continue;
      removeRule(always, rule);
      ranges.push({ rule, accepted: box.details });
    }
    this.#ranges(section, values, always, ranges);
  }

  traits(): void {
    if (this.#rules.every((rule) => rule.traits === 0)) {
      this.#fill(this.#all, S.SECTION_TRAITS, S.SECTION_TRAITS + TRAIT_VALUES);
      return;
    }
    for (let traits = 0; traits < TRAIT_VALUES; traits++) {
      const set = this.#accepting((rule) => rule.traits === 0 || (rule.traits & traits) !== 0);
      this.#fill(set, S.SECTION_TRAITS + traits, S.SECTION_TRAITS + traits + 1);
    }
  }

  interfaces(): void {
    // A node's pods have many slots, and many rules on each: once over the rules, not once for each slot.
    const bySlot: (RuleSet | undefined)[] = [];
    this.#rules.forEach(({ interfaces }, rule) => {
      for (const slot of interfaces) addRule((bySlot[slot] ??= this.#emptySet()), rule);
    });
    bySlot.forEach((set, slot) => {
      if (set === undefined) return;
      this.#fill(set, S.SECTION_INTERFACE + slot, S.SECTION_INTERFACE + slot + 1);
    });
  }

  #accepting(accepts: (rule: CompiledRule) => boolean): RuleSet {
    const set = this.#emptySet();
    this.#rules.forEach((rule, index) => {
      if (accepts(rule)) addRule(set, index);
    });
    return set;
  }

  /**
   * One sweep over the section; the set of rules changes only where some rule's range starts or ends.
   *
   * @param set rules that accept every value; consumed
   */
  #ranges(section: number, values: number, set: RuleSet, ranges: readonly RuleRanges[]): void {
    const starts = new Map<number, number[]>();
    const ends = new Map<number, number[]>();
    for (const { rule, accepted } of ranges) {
      for (const { start, end } of accepted.length === 1 ? accepted : mergeRanges(accepted)) {
        push(starts, start, rule);
        push(ends, end + 1, rule);
      }
    }
    const edges = Uint32Array.from(new Set([0, ...starts.keys(), ...ends.keys()])).sort();
    edges.forEach((edge, position) => {
      for (const rule of ends.get(edge) ?? []) removeRule(set, rule);
      for (const rule of starts.get(edge) ?? []) addRule(set, rule);
      const next = Math.min(edges[position + 1] ?? values, values);
      if (edge < next) this.#fill(set, section + edge, section + next);
    });
  }

  /** A copy; many share their memory, which is cheaper than some hundred arrays of their own. */
  #kept(set: RuleSet): RuleSet {
    const { length } = set;
    if (this.#poolUsed + length > this.#pool.length) {
      this.#pool = new Uint32Array(length * SETS_PER_POOL);
      this.#poolUsed = 0;
    }
    const copy = this.#pool.subarray(this.#poolUsed, this.#poolUsed + length);
    this.#poolUsed += length;
    copy.set(set);
    return copy;
  }

  #classOf(set: RuleSet): number {
    const hash = hashRules(set);
    const alike = this.#byHash.get(hash);
    const known = alike?.find((one) => hasSameRules(this.ruleSets[one]!, set));
    if (known !== undefined) return known;
    const created = this.ruleSets.length;
    if (created >= Limits.MAX_FIELD_CLASSES) {
      throw new CapacityError(
        "field classes",
        Limits.MAX_FIELD_CLASSES,
        "the rules' ports, flags and types need more",
      );
    }
    this.ruleSets.push(this.#kept(set));
    if (alike === undefined) this.#byHash.set(hash, [created]);
    else alike.push(created);
    return created;
  }
}

/** ICMP of the other family is a plain number there. */
function spaceOf(family: 4 | 6, number: number): ProtocolSpace {
  if (number === 6) return "tcp";
  if (number === 17) return "udp";
  if (number === 132) return "sctp";
  return `${family}/${number}`;
}

interface RuleRanges {
  readonly rule: number;
  readonly accepted: readonly PortRange[];
}

interface RuleWithBox {
  readonly rule: number;
  readonly box: ProtocolBox;
}

function extended(base: RuleSet, rules: readonly RuleWithBox[], later: boolean): RuleSet {
  const set = base.slice();
  for (const { rule, box } of rules) if (!later || isUnconstrained(box)) addRule(set, rule);
  return set;
}

function push<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}

/** Which boxes constrain a field at all, for the fields mask of a generation. */
export function constrains(rules: readonly CompiledRule[], field: keyof ProtocolBox): boolean {
  for (const { protocols } of rules) {
    if (protocols === undefined) continue;
    for (const box of protocols.values()) if (box[field] !== undefined) return true;
  }
  return false;
}
