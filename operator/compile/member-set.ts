import { cidrContains } from "../model/cidr.js";
import type { Cidr } from "../model/records.js";
import type { AddressPair, AddressV6 } from "../model/records-pod.js";
import { hashText } from "./hash-text.js";
import { type PrefixKey, prefixKey } from "./prefix-key.js";
import { type SetContent, SetPart, type V6Member } from "./set-content.js";
import { splitAddress } from "./v6-prefixes.js";

/** What a key of a rule's `from` or `to` stands for. */
export interface SetSource {
  /** Members, as a measure for the number of parts. */
  readonly size: number;
  /** The same object as before while nothing changed. */
  content(partCount: number): SetContent;
}

/** A pod as sets hold it; taken out and added anew when its addresses change. */
export interface Member {
  /** Of its name: says which part it is in. */
  readonly hash: number;
  readonly addresses: AddressPair;
  readonly v4: PrefixKey | undefined;
  readonly v6: V6Member | undefined;
}

/** @param key of the pod */
export function memberOf(key: string, { ipv4, ipv6 }: AddressPair): Member {
  return {
    hash: hashText(key),
    addresses: { ipv4, ipv6 },
    v4: ipv4 && prefixKey(ipv4, 32, 0, false),
    v6: ipv6 && { ...splitAddress(ipv6.high, ipv6.low), length: 128, exception: false },
  };
}

/** An ipBlock: addresses of one family. */
export interface Block {
  readonly cidr: Cidr;
  readonly except: readonly Cidr[];
}

const MEMBERS_PER_PART = 1024;
const MOST_PARTS = 32;

/** Parts that a set of this size is kept in: a power of two. */
export function partCountOf(size: number): number {
  let count = 1;
  while (count < MOST_PARTS && count * MEMBERS_PER_PART < size) count *= 2;
  return count;
}

/**
 * Addresses of pods as one set. Large sets are in parts, so that a pod that comes or goes costs what
 * its part holds.
 */
export class MemberSet implements SetSource {
  readonly #block: Block | undefined;
  #parts: Set<Member>[] = [new Set()];
  #changed = new Set<number>([0]);
  #content: SetContent = { parts: new Map(), v4Root: false, v6Root: false };
  #size = 0;

  /** @param block only addresses in it belong to the set */
  constructor(block?: Block) {
    this.#block = block;
  }

  get size(): number {
    return this.#size;
  }

  add(member: Member): void {
    const index = member.hash & (this.#parts.length - 1);
    const part = this.#parts[index]!;
    if (part.has(member)) return;
    part.add(member);
    this.#size++;
    this.#changed.add(index);
  }

  remove(member: Member): void {
    const index = member.hash & (this.#parts.length - 1);
    if (!this.#parts[index]!.delete(member)) return;
    this.#size--;
    this.#changed.add(index);
  }

  content(partCount: number): SetContent {
    if (partCount !== this.#parts.length) this.#divide(partCount);
    if (this.#changed.size === 0) return this.#content;
    const parts = new Map(this.#content.parts);
    for (const index of this.#changed) {
      parts.set(String(index), partOf(this.#parts[index]!, this.#block));
    }
    this.#changed.clear();
    this.#content = { ...this.#content, parts };
    return this.#content;
  }

  #divide(partCount: number): void {
    const members = this.#parts.flatMap((part) => [...part]);
    this.#parts = Array.from({ length: partCount }, () => new Set());
    for (const member of members) this.#parts[member.hash & (partCount - 1)]!.add(member);
    this.#changed = new Set(this.#parts.keys());
    this.#content = { ...this.#content, parts: new Map() };
  }
}

/** Two pods may have one address while one of them is about to go: a part may name a prefix twice. */
function partOf(members: ReadonlySet<Member>, block: Block | undefined): SetPart {
  const keys: PrefixKey[] = [];
  const prefixes: V6Member[] = [];
  for (const { addresses, v4, v6 } of members) {
    const { ipv4, ipv6 } = addresses;
    if (v4 !== undefined && (block === undefined || isInBlock(block, v4Cidr(ipv4!)))) keys.push(v4);
    if (v6 !== undefined && (block === undefined || isInBlock(block, v6Cidr(ipv6!)))) {
      prefixes.push(v6);
    }
  }
  return new SetPart(Float64Array.from(keys), prefixes);
}

/** Whether the block holds any address of the pod (N20, N23). */
export function isPodInBlock(block: Block, { ipv4, ipv6 }: AddressPair): boolean {
  return (
    (ipv4 !== undefined && isInBlock(block, v4Cidr(ipv4))) ||
    (ipv6 !== undefined && isInBlock(block, v6Cidr(ipv6)))
  );
}

function isInBlock({ cidr, except }: Block, address: Cidr): boolean {
  return cidrContains(cidr, address) && !except.some((block) => cidrContains(block, address));
}

function v4Cidr(address: number): Cidr {
  return { family: 4, address, length: 32 };
}

function v6Cidr({ high, low }: AddressV6): Cidr {
  return { family: 6, high, low, length: 128 };
}
