import { AddressLayout, Limits } from "../../datapath/generated/layout.js";
import { CapacityError } from "./capacity-error.js";

/** Number of an address set inside one {@link AddressClasses}, 0 … MAX_PARTS − 1. */
export type SetId = number;
/** What the kernel's address tables give for an address. */
export type ClassId = number;

/** Number of one object's part of a set, 0 … MAX_PARTS − 1: it shares a number with prefix and operation (prefix-key.ts). */
export type PartId = number;
export const MAX_PARTS = 8192;

/** How a sweep moves from class to class as it enters a prefix of a part. */
export interface ClassSteps {
  with(classId: ClassId, part: PartId): ClassId;
  without(classId: ClassId, part: PartId): ClassId;
}

/**
 * A class is the set of address sets that an address is a member of. Classes are numbered as they are met and keep
 * their number: rules come and go without touching the address tables.
 */
export class AddressClasses {
  /** Members by class, sorted. */
  readonly #members: (readonly SetId[])[] = [];
  readonly #byMembers = new Map<string, ClassId>();
  /** Class after adding (even) or removing (odd) a set, by class * 2 * MAX_PARTS + set * 2 + operation. */
  readonly #steps = new Map<number, ClassId>();

  /** @param roots sets that hold all of IPv4, and all of IPv6, but for exceptions */
  constructor(roots: { readonly v4: readonly SetId[]; readonly v6: readonly SetId[] }) {
    this.#create(roots.v4);
    this.#create(roots.v6);
    this.#byMembers.set(key(roots.v4), AddressLayout.CLASS_V4_DEFAULT);
  }

  get count(): number {
    return this.#members.length;
  }

  members(classId: ClassId): readonly SetId[] {
    return this.#members[classId] ?? [];
  }

  /** The class of addresses in `classId` that are in the set as well. */
  with(classId: ClassId, set: SetId): ClassId {
    return this.#step(classId, set, 0, (members) =>
      members.includes(set) ? members : [...members, set].sort((a, b) => a - b),
    );
  }

  /** The class of addresses in `classId` that an exception takes out of the set. */
  without(classId: ClassId, set: SetId): ClassId {
    return this.#step(classId, set, 1, (members) => members.filter((member) => member !== set));
  }

  #step(
    classId: ClassId,
    set: SetId,
    operation: 0 | 1,
    change: (members: readonly SetId[]) => readonly SetId[],
  ): ClassId {
    const step = classId * 2 * MAX_PARTS + set * 2 + operation;
    const known = this.#steps.get(step);
    if (known !== undefined) return known;
    const members = change(this.members(classId));
    const next = this.#byMembers.get(key(members)) ?? this.#create(members);
    this.#steps.set(step, next);
    return next;
  }

  #create(members: readonly SetId[]): ClassId {
    const created = this.#members.length;
    if (created >= Limits.MAX_ADDRESS_CLASSES) {
      throw new CapacityError(
        "address classes",
        Limits.MAX_ADDRESS_CLASSES,
        "the sets overlap in more ways",
      );
    }
    this.#members.push(members);
    this.#byMembers.set(key(members), created);
    return created;
  }
}

function key(members: readonly SetId[]): string {
  return members.join(",");
}
