import type { BpfMap } from "../../datapath/index.js";

/** Keeps the rows of a map as they are wanted, by what differs. A new agent begins with the rows that it finds. */
export class RowSet<K, V> {
  readonly #map: BpfMap<K, V>;
  /** Values as text by keys as text. */
  readonly #rows = new Map<string, { readonly key: K; readonly value: string }>();

  constructor(map: BpfMap<K, V>) {
    this.#map = map;
    for (const [key, value] of map.entries()) {
      this.#rows.set(textOf(key), { key, value: textOf(value) });
    }
  }

  /**
   * Writes what is new or different, then deletes what is no longer wanted.
   *
   * @param wanted of two rows with one key the last counts
   * @throws SluiceError SLUICE_MAP_FULL; rows that were written before stay, and the next call goes on
   */
  set(wanted: Iterable<readonly [K, V]>): void {
    const keys = new Set<string>();
    for (const [key, value] of new Map([...wanted].map((row) => [textOf(row[0]), row])).values()) {
      const [name, text] = [textOf(key), textOf(value)];
      keys.add(name);
      if (this.#rows.get(name)?.value === text) continue;
      this.#map.update(key, value);
      this.#rows.set(name, { key, value: text });
    }
    for (const [name, { key }] of this.#rows) {
      if (keys.has(name)) continue;
      this.#map.delete(key);
      this.#rows.delete(name);
    }
  }
}

/** Records of one codec have their fields in one order only if they are made so: they are sorted. */
function textOf(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) =>
    typeof part === "object" && part !== null && !Array.isArray(part) && !ArrayBuffer.isView(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}
