import {
  AddressClasses,
  type ClassId,
  MAX_SET_IDS,
  type SetId,
} from "../compile/address-classes.js";
import { CapacityError } from "../compile/capacity-error.js";
import type { PrefixKey } from "../compile/prefix-key.js";
import { diffKeys, memberKey, type SetContent } from "../compile/set-content.js";
import type { V6Prefix } from "../compile/v6-prefixes.js";
import type { Datapath } from "./datapath.js";
import { LineAllocator } from "./line-allocator.js";
import { V4Table } from "./v4-table.js";
import { type V6Pointers, V6Table } from "./v6-table.js";

/** Contents of address sets by the key that rules use. */
export type SetContents = ReadonlyMap<string, SetContent>;

interface Edit {
  readonly addV4: PrefixKey[];
  readonly removeV4: PrefixKey[];
  readonly addV6: V6Prefix[];
  readonly removeV6: V6Prefix[];
}

/**
 * Addresses to classes, in one half of the kernel's tables. Sets are edited in place; what cannot be (a set of /0, a
 * full half, an error half way) is built anew in the other half.
 */
export class AddressTable {
  readonly half: 0 | 1;
  readonly classes: AddressClasses;
  readonly allocator: LineAllocator;
  readonly #ids = new Map<string, SetId>();
  readonly #freeIds: SetId[] = [];
  readonly #contents = new Map<string, SetContent>();
  readonly #v4: V4Table;
  readonly #v6: V6Table;

  constructor(datapath: Datapath, half: 0 | 1, contents: SetContents) {
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
    this.#v4 = new V4Table(datapath, half, this.#allV4(), this.classes, this.allocator);
    this.#v6 = new V6Table(datapath, this.#allV6(), this.classes, this.allocator);
  }

  get prefixes(): { readonly v4: number; readonly v6: number } {
    return { v4: this.#v4.size, v6: this.#v6.size };
  }

  idOf(key: string): SetId | undefined {
    return this.#ids.get(key);
  }

  /** Key of a set: `set:NAME`, or the CIDRs of one that stands inside rules. */
  nameOf(id: SetId): string {
    for (const [key, known] of this.#ids) if (known === id) return key;
    return `set ${id}`;
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

  /** Whether the sets can be reached from here without building anew. */
  canBecome(contents: SetContents): boolean {
    let added = 0;
    for (const [key, { v4Root, v6Root }] of contents) {
      const before = this.#contents.get(key);
      if (before === undefined) added++;
      if (v4Root !== (before?.v4Root ?? false) || v6Root !== (before?.v6Root ?? false))
        return false;
    }
    for (const [key, { v4Root, v6Root }] of this.#contents) {
      if (!contents.has(key) && (v4Root || v6Root)) return false;
    }
    return this.#ids.size + added <= MAX_SET_IDS;
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
      if (before === undefined) this.#register(key, content);
      else this.#contents.set(key, content);
      this.#diff(this.#ids.get(key)!, before, content, edit);
    }
    return this.#carryOut(edit, publish);
  }

  /** Takes the sets out that no rule uses any more. Returns as `change`. */
  removeOthers(contents: SetContents, publish: (firstNew: ClassId) => void): boolean {
    const edit = newEdit();
    for (const [key, content] of this.#contents) {
      if (contents.has(key)) continue;
      const id = this.#ids.get(key)!;
      this.#diff(id, content, undefined, edit);
      this.#contents.delete(key);
      this.#ids.delete(key);
      this.#freeIds.push(id);
    }
    return this.#carryOut(edit, publish);
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
    return this.#v6.show();
  }

  #register(key: string, content: SetContent): void {
    const id = this.#freeIds.pop() ?? this.#ids.size;
    if (id >= MAX_SET_IDS) {
      throw new CapacityError("address sets", MAX_SET_IDS, "the rules use more");
    }
    this.#ids.set(key, id);
    this.#contents.set(key, content);
  }

  #diff(
    id: SetId,
    before: SetContent | undefined,
    after: SetContent | undefined,
    edit: Edit,
  ): void {
    const none = new Float64Array();
    const { added, removed } = diffKeys(before?.v4 ?? none, after?.v4 ?? none);
    for (const key of added) edit.addV4.push(key + id);
    for (const key of removed) edit.removeV4.push(key + id);
    const had = new Set((before?.v6 ?? []).map(memberKey));
    const has = new Set((after?.v6 ?? []).map(memberKey));
    for (const member of after?.v6 ?? []) {
      if (!had.has(memberKey(member))) edit.addV6.push({ ...member, set: id });
    }
    for (const member of before?.v6 ?? []) {
      if (!has.has(memberKey(member))) edit.removeV6.push({ ...member, set: id });
    }
  }

  #allV4(): Float64Array {
    let size = 0;
    for (const { v4 } of this.#contents.values()) size += v4.length;
    const keys = new Float64Array(size);
    let at = 0;
    for (const [key, { v4 }] of this.#contents) {
      const id = this.#ids.get(key)!;
      for (const member of v4) keys[at++] = member + id;
    }
    return keys;
  }

  *#allV6(): Generator<V6Prefix> {
    for (const [key, { v6 }] of this.#contents) {
      const set = this.#ids.get(key)!;
      for (const member of v6) yield { ...member, set };
    }
  }
}

function newEdit(): Edit {
  return { addV4: [], removeV4: [], addV6: [], removeV6: [] };
}
