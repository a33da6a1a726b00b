import { hashText } from "./hash-text.js";

/** Bytes that `struct rule_name` has for each, without the NUL. */
const MOST_POLICY_BYTES = 255;
const MOST_RULE_BYTES = 63;

/**
 * Names as the kernel's table takes them. One that is longer ends in a mark of its own, so that two
 * of the same beginning stay two; what it stands for is kept here.
 */
export class RuleNames {
  readonly #full = new Map<string, string>();

  policy(name: string): string {
    return this.#cut(name, MOST_POLICY_BYTES);
  }

  rule(name: string): string {
    return this.#cut(name, MOST_RULE_BYTES);
  }

  /** Full text by cut name; names that fit are not in here. */
  get full(): ReadonlyMap<string, string> {
    return this.#full;
  }

  #cut(name: string, mostBytes: number): string {
    // Never more than three bytes for a UTF-16 unit.
    if (name.length * 3 <= mostBytes || Buffer.byteLength(name) <= mostBytes) return name;
    const mark = `...#${hashText(name).toString(16).padStart(8, "0")}`;
    let end = Math.min(name.length, mostBytes - mark.length);
    while (Buffer.byteLength(name.slice(0, end)) > mostBytes - mark.length) end--;
    const cut = name.slice(0, end).replace(/[\uD800-\uDBFF]$/, "") + mark;
    this.#full.set(cut, name);
    return cut;
  }
}
