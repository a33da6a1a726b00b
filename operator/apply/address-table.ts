import {
  AddressClasses,
  type ClassId,
  type ClassSteps,
  MAX_PARTS,
  type PartId,
  type SetId,
} from "../compile/address-classes.js";
import { CapacityError } from "../compile/capacity-error.js";
import type { PrefixKey } from "../compile/prefix-key.js";
import { diffKeys, memberKey, type SetContent, type SetPart } from "../compile/set-content.js";
import type { V6Prefix } from "../compile/v6-prefixes.js";
import type { Bank } from "./bank.js";
import { LineAllocator } from "./line-allocator.js";
import { V4Table } from "./v4-table.js";
import { type V6Pointers, V6Table } from "./v6-table.js";

/** From so many new prefixes on, building all anew is faster than editing region by region. */
const MANY_PREFIXES = 100_000;

/** Contents of address sets by the key that rules use. */
export type SetContents = ReadonlyMap<string, SetContent>;

interface Edit {
  readonly addV4: PrefixKey[];
  readonly removeV4: PrefixKey[];
  readonly addV6: V6Prefix[];
  readonly removeV6: V6Prefix[];
  /** Their numbers are free once the edit is carried out. */
  readonly goneParts: string[];
}

/**
 * Addresses to classes, in one half of the kernel's tables. Sets are edited in place; what cannot be (a set of /0, a
 * full half, an error half way) is built anew in the other half.
 */
export class AddressTable {
  readonly half: 0 | 1;
  readonly classes: AddressClasses;
  readonly allocator: LineAllocator;
  readonly #sets = new Numbering();
  readonly #parts = new Numbering();
  /** Set of each part. */
  readonly #setOf = new Uint16Array(MAX_PARTS);
  readonly #contents = new Map<string, SetContent>();
  readonly #v4: V4Table;
  readonly #v6: V6Table;

  constructor(datapath: Bank, half: 0 | 1, contents: SetContents) {
    this.half = half;
    const lines = datapath.addressLines.length >> 1;
    this.allocator = new LineAllocator(half * lines, (half + 1) * lines);
    /* Line 0 of a half stays empty: a zero pointer must not point at a live line. */
    this.allocator.allocate(1);
    for (const [key, content] of contents) this.#register(key, content);
    const roots = { v4: [] as SetId[], v6: [] as SetId[] };
    for (const [key, content] of contents) {
      if (content.v4Root) roots.v4.push(this.idOf(key)!);
      if (content.v6Root) roots.v6.push(this.idOf(key)!);
    }
    this.classes = new AddressClasses(roots);
    const steps: ClassSteps = {
      with: (classId, part) => this.classes.with(classId, this.#setOf[part]!),
      without: (classId, part) => this.classes.without(classId, this.#setOf[part]!),
    };
    this.#v4 = new V4Table(datapath, half, this.#allV4(), steps, this.allocator);
    this.#v6 = new V6Table(datapath, this.#allV6(), steps, this.allocator);
  }

  get prefixes(): { readonly v4: number; readonly v6: number } {
    return { v4: this.#v4.size, v6: this.#v6.size };
  }

  idOf(key: string): SetId | undefined {
    return this.#sets.get(key);
  }

  /** Key of a set: `set:NAME`, or the CIDRs of one that stands inside rules. */
  nameOf(id: SetId): string {
    return this.#sets.nameOf(id) ?? `set ${id}`;
  }

  pointers(): V6Pointers {
    return this.#v6.pointers();
  }

  async build(pause: () => Promise<void>): Promise<void> {
    await this.#v4.build(pause);
    await this.#v6.build(pause);
  }

  async unmarkOthers(pause: () => Promise<void>): Promise<void> {
    await this.#v4.unmarkOthers(pause);
    this.#v6.unmarkOthers();
  }

  /** Whether the sets can be reached from here by edits, and edits are the cheaper way. */
  canBecome(contents: SetContents): boolean {
    let added = 0;
    let prefixes = 0;
    for (const [key, { parts, v4Root, v6Root }] of contents) {
      const before = this.#contents.get(key);
      for (const [name, { v4 }] of parts) {
        if (before?.parts.has(name) === true) continue;
        added++;
        prefixes += v4.length;
      }
      if (v4Root !== (before?.v4Root ?? false) || v6Root !== (before?.v6Root ?? false))
        return false;
    }
    for (const [key, { v4Root, v6Root }] of this.#contents) {
      if (!contents.has(key) && (v4Root || v6Root)) return false;
    }
    return this.#parts.size + added <= MAX_PARTS && prefixes < MANY_PREFIXES;
  }

  /**
   * Adds new sets and brings known ones to their new content. Sets that are missing from `contents` stay.
   *
   * @param publish called before new classes become visible
   * @returns false when the IPv6 tables must be built anew (`rebuildV6`) to show the change
   */
  change(contents: SetContents, publish: (firstNew: ClassId) => void): boolean {
    const edit = newEdit();
    for (const [key, content] of contents) {
      const before = this.#contents.get(key);
      if (before === content) continue;
      this.#register(key, content);
      this.#diffParts(key, before, content, edit);
    }
    return this.#carryOut(edit, publish);
  }

  /** Takes the sets out that no rule uses any more. Returns as `change`. */
  removeOthers(contents: SetContents, publish: (firstNew: ClassId) => void): boolean {
    const edit = newEdit();
    const gone = [...this.#contents.keys()].filter((key) => !contents.has(key));
    for (const key of gone) {
      this.#diffParts(key, this.#contents.get(key), undefined, edit);
      this.#contents.delete(key);
    }
    const shown = this.#carryOut(edit, publish);
    for (const key of gone) this.#sets.release(key);
    return shown;
  }

  /** Builds the IPv6 tables beside the present ones; a generation with the new pointers shows them. */
  async rebuildV6(pause: () => Promise<void>): Promise<{ readonly old: V6Pointers }> {
    const old = this.#v6.pointers();
    await this.#v6.build(pause);
    return { old };
  }

  retireV6(old: V6Pointers): void {
    this.#v6.retireTables(old);
  }

  /** Nothing is shown when it does not fit: the caller builds anew, which needs less room. */
  #carryOut(edit: Edit, publish: (firstNew: ClassId) => void): boolean {
    const first = this.classes.count;
    const lines =
      this.#v4.stage(edit.addV4, edit.removeV4) + this.#v6.stage(edit.addV6, edit.removeV6);
    this.allocator.reserve(lines);
    if (this.classes.count > first) publish(first);
    this.#v4.show();
    const shown = this.#v6.show();
    for (const part of edit.goneParts) this.#parts.release(part);
    return shown;
  }

  #register(key: string, content: SetContent): void {
    const set = this.#sets.number(key);
    for (const name of content.parts.keys()) {
      this.#setOf[this.#parts.number(partKey(key, name))] = set;
    }
    this.#contents.set(key, content);
  }

  #diffParts(
    key: string,
    before: SetContent | undefined,
    after: SetContent | undefined,
    edit: Edit,
  ): void {
    for (const name of new Set([...(before?.parts.keys() ?? []), ...(after?.parts.keys() ?? [])])) {
      const old = before?.parts.get(name);
      const now = after?.parts.get(name);
      if (old === now) continue;
      const id = this.#parts.number(partKey(key, name));
      diffPart(id, old, now, edit);
      if (now === undefined) edit.goneParts.push(partKey(key, name));
    }
  }

  #allV4(): Float64Array {
    let size = 0;
    for (const [, part] of this.#allParts()) size += part.v4.length;
    const keys = new Float64Array(size);
    let at = 0;
    for (const [id, { v4 }] of this.#allParts()) {
      for (let i = 0; i < v4.length; i++) keys[at++] = v4[i]! + id;
    }
    return keys;
  }

  *#allV6(): Generator<V6Prefix> {
    for (const [part, { v6 }] of this.#allParts()) {
      for (const member of v6) yield { ...member, part };
    }
  }

  *#allParts(): Generator<readonly [PartId, SetPart]> {
    for (const [key, { parts }] of this.#contents) {
      for (const [name, part] of parts) yield [this.#parts.number(partKey(key, name)), part];
    }
  }
}

/** Names to small numbers, given out again when their name is gone. */
class Numbering {
  readonly #numbers = new Map<string, number>();
  readonly #names: (string | undefined)[] = [];
  readonly #free: number[] = [];

  get size(): number {
    return this.#numbers.size;
  }

  get(name: string): number | undefined {
    return this.#numbers.get(name);
  }

  nameOf(number: number): string | undefined {
    return this.#names[number];
  }

  /** The number of a name, a fresh one if it has none. @throws CapacityError */
  number(name: string): number {
    const known = this.#numbers.get(name);
    if (known !== undefined) return known;
    const number = this.#free.pop() ?? this.#names.length;
    if (number >= MAX_PARTS) {
      throw new CapacityError("address sets", MAX_PARTS, "the rules and objects need more");
    }
    this.#numbers.set(name, number);
    this.#names[number] = name;
    return number;
  }

  release(name: string): void {
    const number = this.#numbers.get(name);
    if (number === undefined) return;
    this.#numbers.delete(name);
    this.#names[number] = undefined;
    this.#free.push(number);
  }
}

function partKey(setKey: string, name: string): string {
  return `${setKey}\0${name}`;
}

function diffPart(
  id: PartId,
  before: SetPart | undefined,
  after: SetPart | undefined,
  edit: Edit,
): void {
  const none = new Float64Array();
  const { added, removed } = diffKeys(before?.sortedV4 ?? none, after?.sortedV4 ?? none);
  for (const key of added) edit.addV4.push(key + id);
  for (const key of removed) edit.removeV4.push(key + id);
  const had = new Set((before?.v6 ?? []).map(memberKey));
  const has = new Set((after?.v6 ?? []).map(memberKey));
  for (const member of after?.v6 ?? []) {
    if (!had.has(memberKey(member))) edit.addV6.push({ ...member, part: id });
  }
  for (const member of before?.v6 ?? []) {
    if (!has.has(memberKey(member))) edit.removeV6.push({ ...member, part: id });
  }
}

function newEdit(): Edit {
  return { addV4: [], removeV4: [], addV6: [], removeV6: [], goneParts: [] };
}
