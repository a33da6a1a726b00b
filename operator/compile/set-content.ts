import type { Cidr, CidrList } from "../model/records.js";
import { type PrefixKey, prefixKey } from "./prefix-key.js";
import { sortKeys } from "./sort-keys.js";
import type { InlineSet } from "./rule-list.js";
import { splitAddress, type V6Prefix } from "./v6-prefixes.js";

/** Prefix of an IPv6 set, not yet numbered. */
export type V6Member = Omit<V6Prefix, "part">;

/**
 * What one object contributes to a set, without what has expired. Objects change one at a time, so a set is kept as
 * parts: a change costs what its object holds, not what the set holds.
 */
export class SetPart {
  readonly v6: readonly V6Member[];
  /** When the next entry expires, milliseconds since the epoch. */
  readonly nextExpiryMs: number | undefined;
  readonly #v4: Float64Array;
  #isSorted = false;

  /** @param v4 keys with part 0 (prefix-key.ts), in any order; taken over */
  constructor(v4: Float64Array, v6: readonly V6Member[], nextExpiryMs?: number) {
    this.#v4 = v4;
    this.v6 = v6;
    this.nextExpiryMs = nextExpiryMs;
  }

  /** Keys with part 0, in any order: the part's number is added to them. */
  get v4(): Float64Array {
    return this.#v4;
  }

  /** As `v4`, in ascending order; sorted when first asked for, which the first start never does. */
  get sortedV4(): Float64Array {
    if (!this.#isSorted) sortKeys(this.#v4);
    this.#isSorted = true;
    return this.#v4;
  }
}

export interface SetContent {
  /** By the name of the object. */
  readonly parts: ReadonlyMap<string, SetPart>;
  /** The set holds 0.0.0.0/0, and ::/0. These are not among the prefixes. */
  readonly v4Root: boolean;
  readonly v6Root: boolean;
}

/** What an object's entries contribute to the set that it feeds. */
export function setPart({ v4, v6 }: CidrList, nowMs: number): SetPart {
  const nowS = nowMs / 1000;
  let next = Infinity;
  const isGone = (expiresAt: number) => {
    if (expiresAt === 0) return false;
    if (expiresAt <= nowS) return true;
    next = Math.min(next, expiresAt);
    return false;
  };
  const keys = new Float64Array(v4.address.length);
  let count = 0;
  for (let i = 0; i < v4.address.length; i++) {
    if (v4.expiresAt !== undefined && isGone(v4.expiresAt[i]!)) continue;
    keys[count++] = prefixKey(v4.address[i]!, v4.length[i]!, 0, false);
  }
  const members: V6Member[] = [];
  for (let i = 0; i < v6.length.length; i++) {
    if (v6.expiresAt !== undefined && isGone(v6.expiresAt[i]!)) continue;
    members.push({
      ...splitAddress(v6.high[i]!, v6.low[i]!),
      length: v6.length[i]!,
      exception: false,
    });
  }
  return new SetPart(keys.subarray(0, count), members, next === Infinity ? undefined : next * 1000);
}

export function inlineSetContent(set: InlineSet): SetContent {
  const v4: PrefixKey[] = [];
  const v6: V6Member[] = [];
  let v4Root = false;
  let v6Root = false;
  const add = (cidr: Cidr, exception: boolean) => {
    if (cidr.length === 0) {
      if (cidr.family === 4) v4Root = true;
      else v6Root = true;
    } else if (cidr.family === 4) {
      v4.push(prefixKey(cidr.address, cidr.length, 0, exception));
    } else {
      v6.push({ ...splitAddress(cidr.high, cidr.low), length: cidr.length, exception });
    }
  };
  for (const cidr of set.cidrs) add(cidr, false);
  for (const cidr of set.except) add(cidr, true);
  return { parts: new Map([["", new SetPart(Float64Array.from(v4), v6)]]), v4Root, v6Root };
}

/** Keys in `after` and not in `before`, and the other way round; both ascending, duplicates allowed. */
export function diffKeys(
  before: Float64Array,
  after: Float64Array,
): { readonly added: PrefixKey[]; readonly removed: PrefixKey[] } {
  const added: PrefixKey[] = [];
  const removed: PrefixKey[] = [];
  let i = 0;
  let j = 0;
  while (i < before.length || j < after.length) {
    const left = i < before.length ? before[i]! : Infinity;
    const right = j < after.length ? after[j]! : Infinity;
    const key = Math.min(left, right);
    if (left < right) removed.push(left);
    else if (right < left) added.push(right);
    while (i < before.length && before[i] === key) i++;
    while (j < after.length && after[j] === key) j++;
  }
  return { added, removed };
}

export function memberKey({ prefix, rest, length, exception }: V6Member): string {
  return `${prefix}/${rest}/${length}/${exception}`;
}
