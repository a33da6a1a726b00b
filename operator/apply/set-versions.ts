import type { XdpCidrSetRecord, XdpPolicyRecord } from "../model/records.js";
import { usedSets } from "./desired.js";
import type { ObjectStore } from "./object-store.js";

/** The objects that feed a set. */
type Feeding = readonly XdpCidrSetRecord[];

/** The sets of one application. */
export interface SetCandidates {
  /** Whether some object feeds the set now. */
  isFed(setName: string): boolean;
  /** What the set is to hold: the newest objects, or those in force when it is kept or nobody feeds it any more. */
  feeding(setName: string): Feeding;
  /** Objects that are in force for the set; undefined when it is not in force. */
  inForce(setName: string): Feeding | undefined;
  /** Whether giving the newest objects up would put others in force. */
  isChanged(setName: string): boolean;
  /** Gives the newest objects of a set up. */
  keep(setName: string): void;
}

/**
 * Which content of each set is in force. A policy must not lose its addresses because a set went or outgrew the tables:
 * the last good content stays while policies in force use it.
 */
export class SetVersions {
  readonly #inForce = new Map<string, Feeding>();

  /** Names of the sets that policies in force use. */
  names(): Iterable<string> {
    return this.#inForce.keys();
  }

  /** Objects that are in force for a set; undefined when it is not in force. */
  inForce(setName: string): Feeding | undefined {
    return this.#inForce.get(setName);
  }

  begin(store: Pick<ObjectStore, "feeding">): SetCandidates {
    const newest = new Map<string, Feeding>();
    const keptNames = new Set<string>();
    const newestOf = (setName: string): Feeding => {
      let objects = newest.get(setName);
      if (objects === undefined) newest.set(setName, (objects = store.feeding(setName)));
      return objects;
    };
    const inForce = (setName: string) => this.inForce(setName);
    const feeding = (setName: string): Feeding => {
      const objects = newestOf(setName);
      const isGivenUp = objects.length === 0 || keptNames.has(setName);
      return (isGivenUp ? inForce(setName) : undefined) ?? objects;
    };
    return {
      isFed: (setName) => newestOf(setName).length > 0,
      feeding,
      inForce,
      isChanged(setName) {
        const before = inForce(setName);
        return before !== undefined && !sameObjects(before, feeding(setName));
      },
      keep: (setName) => void keptNames.add(setName),
    };
  }

  /** Notes what these policies have put in force. */
  commit(candidates: SetCandidates, policies: readonly XdpPolicyRecord[]): void {
    const used = new Set(policies.flatMap((policy) => [...usedSets(policy)]));
    const contents = [...used].map((name) => [name, candidates.feeding(name)] as const);
    this.#inForce.clear();
    for (const [name, objects] of contents) this.#inForce.set(name, objects);
  }
}

function sameObjects(a: Feeding, b: Feeding): boolean {
  return a.length === b.length && a.every((object, index) => object === b[index]);
}
