import { Limits } from "../../datapath/generated/layout.js";

const WORDS = Limits.MAX_RULES / 32;

/** A set of rules by index, 0 … MAX_RULES − 1, as 32-bit words in the order of the kernel's 64-bit ones. */
export type RuleSet = Uint32Array;

export function emptyRuleSet(): RuleSet {
  return new Uint32Array(WORDS);
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

/** Adds all rules of `other`. */
export function uniteRules(set: RuleSet, other: RuleSet): void {
  for (let i = 0; i < WORDS; i++) set[i]! |= other[i]!;
}

/** A string that is equal for equal sets and for no others. */
export function ruleSetKey(set: RuleSet): string {
  return Buffer.from(set.buffer, set.byteOffset, set.byteLength).toString("latin1");
}

/** 32-bit words of `struct rule_bitmap`: the 64-bit summary, then the rules. */
export const BITMAP_WORDS = 2 + WORDS;

/** Writes `struct rule_bitmap` at a word offset. Bit w of the summary says that 64-bit word w is not zero. */
export function writeBitmap(set: RuleSet, target: Uint32Array, at: number): void {
  let low = 0;
  let high = 0;
  for (let word = 0; word < 64; word++) {
    if ((set[word * 2]! | set[word * 2 + 1]!) === 0) continue;
    if (word < 32) low |= 1 << word;
    else high |= 1 << (word - 32);
  }
  target[at] = low;
  target[at + 1] = high;
  target.set(set, at + 2);
}
