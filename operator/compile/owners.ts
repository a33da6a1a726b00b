/** Who has what of something that mostly one has: a set is made for a second owner only. */
export class Owners<Key, Owner extends object> {
  readonly #owners = new Map<Key, Owner | Set<Owner>>();

  get size(): number {
    return this.#owners.size;
  }

  add(key: Key, owner: Owner): void {
    const before = this.#owners.get(key);
    if (before === undefined) this.#owners.set(key, owner);
    else if (before instanceof Set) before.add(owner);
    else if (before !== owner) this.#owners.set(key, new Set([before, owner]));
  }

  remove(key: Key, owner: Owner): void {
    const before = this.#owners.get(key);
    if (before === owner) this.#owners.delete(key);
    if (!(before instanceof Set) || !before.delete(owner)) return;
    const [last] = before;
    if (before.size === 1 && last !== undefined) this.#owners.set(key, last);
  }

  of(key: Key): Iterable<Owner> {
    const owners = this.#owners.get(key);
    if (owners === undefined) return [];
    return owners instanceof Set ? owners : [owners];
  }

  /** Whether somebody else has it. */
  hasOther(key: Key, owner: Owner): boolean {
    const owners = this.#owners.get(key);
    return (
      owners !== undefined && owners !== owner && !(owners instanceof Set && owners.size === 0)
    );
  }
}
