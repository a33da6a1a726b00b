import type { KubeObject } from "../kube/object.js";
import { keyOf } from "../kube/object.js";
import { admit } from "../model/admit.js";
import { KNOWN_KINDS } from "../model/identify.js";
import type { ObjectRecord, Origin, Problem } from "../model/records.js";
import type { KubernetesKind } from "./kubernetes-kinds.js";
import type { ObjectEvent } from "./source.js";

const origin: Origin = { source: "api" };

/** What is known of one object of the API server. */
interface Held {
  readonly uid: string | undefined;
  /** Generation last seen, good or not. */
  readonly seen: number;
  /** Of the version that was told; absent when none has been good. */
  readonly told?: { readonly digest: string; readonly generation: number };
  readonly problems: readonly Problem[];
}

/** The objects of one kind: tells what means something new, and keeps the last good version of what is refused. */
export class KubernetesObjects {
  readonly #kind: KubernetesKind;
  readonly #held = new Map<string, Held>();
  #problems: readonly Problem[] | undefined = [];

  constructor(kind: KubernetesKind) {
    this.#kind = kind;
  }

  get size(): number {
    return this.#held.size;
  }

  /** What is wrong with objects of this kind now; the same list as long as nothing changed. */
  problems(): readonly Problem[] {
    this.#problems ??= [...this.#held.values()].flatMap(({ problems }) => problems);
    return this.#problems;
  }

  /** @returns the record to tell, when the object means something that was not told before */
  upsert(object: KubeObject, nowMs: number): ObjectEvent | undefined {
    const { kind, hasGeneration } = this.#kind;
    const { uid, generation = 0 } = object.metadata;
    const key = keyOf(object);
    const before = this.#held.get(key);
    if (hasGeneration && before?.uid === uid && before?.seen === generation) return undefined;
    // Items of a list come without what they are.
    const value = { ...object, apiVersion: KNOWN_KINDS[kind], kind };
    const { admitted, problems } = admit({ value, origin }, nowMs);
    if (before === undefined || before.problems.length + problems.length > 0) {
      this.#problems = undefined;
    }
    if (admitted === undefined) {
      this.#held.set(key, {
        uid,
        seen: generation,
        ...(before?.told !== undefined && { told: before.told }),
        problems: problems.map((problem) => withKept(problem, before)),
      });
      return undefined;
    }
    const { draft, digest } = admitted;
    this.#held.set(key, { uid, seen: generation, told: { digest, generation }, problems });
    const isTold = before?.told?.digest === digest && before.uid === uid;
    if (isTold && before.told?.generation === generation) return undefined;
    const record = draft.kind === "Node" ? { ...draft, origin } : { ...draft, origin, generation };
    return { type: "upsert", record };
  }

  remove(key: string): ObjectEvent | undefined {
    const before = this.#held.get(key);
    if (before === undefined) return undefined;
    this.#held.delete(key);
    if (before.problems.length > 0) this.#problems = undefined;
    return before.told && { type: "delete", kind: this.#kind.kind, name: key };
  }

  /** Removes what is not among these. */
  retain(keys: ReadonlySet<string>): readonly ObjectEvent[] {
    const gone = [...this.#held.keys()].filter((key) => !keys.has(key));
    return gone.flatMap((key) => this.remove(key) ?? []);
  }
}

function withKept(problem: Problem, before: Held | undefined): Problem {
  if (problem.severity !== "error" || before?.told === undefined) return problem;
  return { ...problem, keptGeneration: before.told.generation };
}
