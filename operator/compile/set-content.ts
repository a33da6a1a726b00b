import type { Cidr, CidrList } from "../model/records.js";
import { type PrefixKey, prefixKey } from "./prefix-key.js";
import type { InlineSet } from "./rule-list.js";
import { splitAddress, type V6Prefix } from "./v6-prefixes.js";

/** Prefix of an IPv6 set, not yet numbered. */
export type V6Member = Omit<V6Prefix, "set">;

/** The prefixes of one address set, without those that have expired. */
export interface SetContent {
  /** Sorted keys with set id 0 and without duplicates: the id is added to them. */
  readonly v4: Float64Array;
  readonly v6: readonly V6Member[];
  /** The set holds 0.0.0.0/0, and ::/0. These are not among the prefixes. */
  readonly v4Root: boolean;
  readonly v6Root: boolean;
  /** When the next entry expires, milliseconds since the epoch. */
  readonly nextExpiryMs: number | undefined;
}

/** The union of the lists that feed a named set. */
export function namedSetContent(lists: readonly CidrList[], nowMs: number): SetContent {
  const nowS = nowMs / 1000;
  let next = Infinity;
  const isGone = (expiresAt: number) => {
    if (expiresAt === 0) return false;
    if (expiresAt <= nowS) return true;
    next = Math.min(next, expiresAt);
    return false;
  };
  const keys = new Float64Array(lists.reduce((sum, { v4 }) => sum + v4.address.length, 0));
  const v6: V6Member[] = [];
  let count = 0;
  for (const list of lists) {
    const { address, length, expiresAt } = list.v4;
    for (let i = 0; i < address.length; i++) {
      if (expiresAt !== undefined && isGone(expiresAt[i]!)) continue;
      keys[count++] = prefixKey(address[i]!, length[i]!, 0, false);
    }
    for (let i = 0; i < list.v6.length.length; i++) {
      if (list.v6.expiresAt !== undefined && isGone(list.v6.expiresAt[i]!)) continue;
      v6.push({
        ...splitAddress(list.v6.high[i]!, list.v6.low[i]!),
        length: list.v6.length[i]!,
        exception: false,
      });
    }
  }
  return {
    v4: sortedUnique(keys.subarray(0, count)),
    v6,
    v4Root: false,
    v6Root: false,
    nextExpiryMs: next === Infinity ? undefined : next * 1000,
  };
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
  return {
    v4: sortedUnique(Float64Array.from(v4)),
    v6,
    v4Root,
    v6Root,
    nextExpiryMs: undefined,
  };
}

/** Keys in `after` and not in `before`, and the other way round; both sorted. */
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
    if (left === right) {
      i++;
      j++;
    } else if (left < right) {
      removed.push(left);
      i++;
    } else {
      added.push(right);
      j++;
    }
  }
  return { added, removed };
}

export function memberKey({ prefix, rest, length, exception }: V6Member): string {
  return `${prefix}/${rest}/${length}/${exception}`;
}

function sortedUnique(keys: Float64Array): Float64Array {
  keys.sort();
  let kept = 0;
  for (let i = 0; i < keys.length; i++) {
    if (i === 0 || keys[i] !== keys[kept - 1]) keys[kept++] = keys[i]!;
  }
  return keys.slice(0, kept);
}
