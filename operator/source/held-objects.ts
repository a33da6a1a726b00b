import type { KubeObject } from "../kube/object.js";
import type { Problem } from "../model/records.js";
import type { ObjectEvent } from "./source.js";

/** The objects of one kind as they were last told: says what of an object is news. */
export interface HeldObjects {
  readonly size: number;
  /** What is wrong with objects of this kind now; the same list as long as nothing changed. */
  problems(): readonly Problem[];
  /** What is wrong with one object now. */
  problemsOf(key: string): readonly Problem[];
  /** @returns what to tell, when the object means something that was not told before */
  upsert(object: KubeObject, nowMs: number): ObjectEvent | undefined;
  remove(key: string): ObjectEvent | undefined;
  /** Removes what is not among these. */
  retain(keys: ReadonlySet<string>): readonly ObjectEvent[];
}
