import { type KubeObject, keyOf } from "../kube/object.js";
import { admit, prepareAdmission } from "../model/admit.js";
import { KNOWN_KINDS, type Kind } from "../model/identify.js";
import { recordOf } from "../model/projection.js";
import { API_SOURCE, type ObjectRecord, type Origin, type Problem } from "../model/records.js";
import type { HeldObjects } from "./held-objects.js";
import type { ObjectEvent } from "./source.js";

const origin: Origin = { source: API_SOURCE };

/** What is known of one object of the API server. */
interface Held {
  readonly uid: string | undefined;
  /** Generation last seen, good or not. */
  readonly seen: number;
  /** Of the version that was told; absent when none has been good. */
  readonly told?: { readonly digest: string; readonly generation: number };
  readonly problems: readonly Problem[];
}

/** Objects of a kind that policies are made of. The last good version of what is refused stays. */
export class HeldManifests implements HeldObjects {
  readonly #kind: Kind;
  readonly #hasGeneration: boolean;
  readonly #held = new Map<string, Held>();
  #problems: readonly Problem[] | undefined = [];

  /**
   * @param hasGeneration the generation grows with each change that matters, so an object of a known one need not be
   *   read; not so for what has none, or whose labels matter
   */
  constructor(kind: Kind, { hasGeneration }: { readonly hasGeneration: boolean }) {
    this.#kind = kind;
    this.#hasGeneration = hasGeneration;
    // Not in the middle of a stream, where it would hold the other kinds up.
    prepareAdmission(kind);
  }

  get size(): number {
    return this.#held.size;
  }

  problems(): readonly Problem[] {
    this.#problems ??= [...this.#held.values()].flatMap(({ problems }) => problems);
    return this.#problems;
  }

  problemsOf(key: string): readonly Problem[] {
    return this.#held.get(key)?.problems ?? [];
  }

  upsert(object: KubeObject, nowMs: number): ObjectEvent<ObjectRecord> | undefined {
    const { uid, generation = 0 } = object.metadata;
    const key = keyOf(object);
    const before = this.#held.get(key);
    if (this.#hasGeneration && before?.uid === uid && before?.seen === generation) return undefined;
    // Items of a list come without what they are.
    const kind = this.#kind;
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
    const isNode = draft.kind === "Node";
    const record = recordOf<ObjectRecord>(draft, origin, isNode ? undefined : generation);
    return { type: "upsert", record };
  }

  remove(key: string): ObjectEvent<ObjectRecord> | undefined {
    const before = this.#held.get(key);
    if (before === undefined) return undefined;
    this.#held.delete(key);
    if (before.problems.length > 0) this.#problems = undefined;
    return before.told && { type: "delete", kind: this.#kind, name: key };
  }

  retain(keys: ReadonlySet<string>): readonly ObjectEvent<ObjectRecord>[] {
    const gone = [...this.#held.keys()].filter((key) => !keys.has(key));
    return gone.flatMap((key) => this.remove(key) ?? []);
  }
}

function withKept(problem: Problem, before: Held | undefined): Problem {
  if (problem.severity !== "error" || before?.told === undefined) return problem;
  return { ...problem, keptGeneration: before.told.generation };
}
