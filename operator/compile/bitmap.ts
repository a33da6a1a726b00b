import { Limits } from "../../datapath/generated/layout.js";

/** Words of 32 bits in one page, and in `struct rule_bitmap`: the 64-bit summary, then the rules. */
const PAGE_WORDS = Limits.MAX_RULES / 32;
export const BITMAP_WORDS = 2 + PAGE_WORDS;

/**
 * A set of rules by index, as 32-bit words in the order of the kernel's 64-bit ones. As long as its list of rules
 * needs: sets of one list have one length, and only they are compared and united.
 */
export type RuleSet = Uint32Array;

export function emptyRuleSet(ruleCount: number): RuleSet {
  return new Uint32Array(2 * Math.max(1, Math.ceil(ruleCount / 64)));
}

/** Pages that a list of rules takes: a class has a bitmap in each. */
export function pagesOf(ruleCount: number): number {
  return Math.max(1, Math.ceil(ruleCount / Limits.MAX_RULES));
}

export function addRule(set: RuleSet, rule: number): void {
  set[rule >> 5]! |= 1 << (rule & 31);
}

export function removeRule(set: RuleSet, rule: number): void {
  set[rule >> 5]! &= ~(1 << (rule & 31));
}

export function hasRule(set: RuleSet, rule: number): boolean {
  return ((set[rule >> 5]! >>> (rule & 31)) & 1) === 1;
}

/** Equal for equal sets, and for hardly any others. */
export function hashRules(set: RuleSet): number {
  let high = 0x811c9dc5;
  let low = 0x9e3779b1;
  for (let word = 0; word < set.length; word++) {
    high = Math.imul(high ^ set[word]!, 0x01000193);
    low = Math.imul(low ^ set[word]! ^ (low >>> 15), 0x85ebca6b);
  }
  return (high >>> 0) * 0x200000 + (low >>> 11);
}

export function hasSameRules(a: RuleSet, b: RuleSet): boolean {
  for (let word = 0; word < a.length; word++) if (a[word] !== b[word]) return false;
  return true;
}

/** Writes a page's `struct rule_bitmap` at a word offset. Bit w of the summary says that 64-bit word w is not zero. */
export function writeBitmap(set: RuleSet, page: number, target: Uint32Array, at: number): void {
  const first = page * PAGE_WORDS;
  const count = Math.max(0, Math.min(set.length - first, PAGE_WORDS));
  let low = 0;
  let high = 0;
  for (let word = 0; word < count; word += 2) {
    const words = set[first + word]! | set[first + word + 1]!;
    if (words === 0) continue;
    if (word < 64) low |= 1 << (word >> 1);
    else high |= 1 << ((word >> 1) - 32);
  }
  target[at] = low;
  target[at + 1] = high;
  if ((low | high) === 0) {
    target.fill(0, at + 2, at + BITMAP_WORDS);
    return;
  }
  for (let word = 0; word < count; word++) target[at + 2 + word] = set[first + word]!;
  target.fill(0, at + 2 + count, at + BITMAP_WORDS);
}
