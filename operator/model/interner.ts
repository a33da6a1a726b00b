import type { Labels } from "./records-pod.js";

/** Entries of one generation: some thousand label sets and names serve a cluster of 20,000 pods. */
const MOST_TEXTS = 16_384;
const MOST_SHARED = 4096;

const NO_LABELS: Labels = Object.freeze({});
const NOTHING: readonly never[] = Object.freeze([]);

/**
 * Gives equal values as one object, for as long as they keep coming.
 *
 * Nothing is ever handed back: entries live in two generations. What is met again moves to the
 * young one; when that is full it becomes the old one, and the old one is forgotten. So the table is
 * bounded however many values come and go, and records keep what they use by themselves. A value that
 * was forgotten and comes again is a second object: compare by `isSame`, never by identity alone.
 */
export class Interner {
  readonly #texts: TwoGenerations<string>;
  readonly #labels: TwoGenerations<Labels>;
  readonly #lists: TwoGenerations<readonly unknown[]>;

  /** Limits are the entries of one generation; there are two. */
  constructor({ mostTexts = MOST_TEXTS, mostShared = MOST_SHARED } = {}) {
    this.#texts = new TwoGenerations(mostTexts);
    this.#labels = new TwoGenerations(mostShared);
    this.#lists = new TwoGenerations(mostShared);
  }

  /** Entries that the tables hold. */
  get size(): number {
    return this.#texts.size + this.#labels.size + this.#lists.size;
  }

  text(text: string): string {
    return text === "" ? "" : this.#texts.share(text, () => text);
  }

  /** A frozen object with the same keys and values; the order of the keys does not matter. */
  labels(labels: Labels): Labels {
    const keys = Object.keys(labels);
    if (keys.length === 0) return NO_LABELS;
    // The API server sends keys in order.
    if (!isSorted(keys)) keys.sort();
    let key = "";
    for (const name of keys) key += `${name}\n${labels[name]!}\n`;
    return this.#labels.share(key, () =>
      Object.freeze(Object.fromEntries(keys.map((name) => [name, this.text(labels[name]!)]))),
    );
  }

  /** A frozen list that equals this one: texts, numbers, and objects of such. */
  list<T>(list: readonly T[]): readonly T[] {
    if (list.length === 0) return NOTHING;
    const share = () => Object.freeze(list.slice());
    return this.#lists.share(JSON.stringify(list), share) as readonly T[];
  }
}

class TwoGenerations<V> {
  readonly #most: number;
  #young = new Map<string, V>();
  #old = new Map<string, V>();

  constructor(most: number) {
    this.#most = most;
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }

  share(key: string, make: () => V): V {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const value = this.#old.get(key) ?? make();
    if (this.#young.size >= this.#most) {
      this.#old = this.#young;
      this.#young = new Map();
    } else {
      this.#old.delete(key);
    }
    this.#young.set(key, value);
    return value;
  }
}

function isSorted(keys: readonly string[]): boolean {
  for (let at = 1; at < keys.length; at++) if (keys[at - 1]! > keys[at]!) return false;
  return true;
}
