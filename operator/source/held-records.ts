import { type KubeObject, keyOf } from "../kube/object.js";
import type { Interner } from "../model/interner.js";
import { type ClusterKind, projectClusterObject } from "../model/project-cluster.js";
import { recordOf } from "../model/projection.js";
import { API_SOURCE, type Origin, type Problem } from "../model/records.js";
import type { ClusterRecord } from "../model/records-cluster.js";
import { isSameRecord } from "../model/same-record.js";
import type { HeldObjects } from "./held-objects.js";
import type { ObjectEvent } from "./source.js";

const origin: Origin = { source: API_SOURCE };

/** Objects of a kind that is Kubernetes' own. The last good version of what is refused stays. */
export class HeldRecords implements HeldObjects {
  readonly #kind: ClusterKind;
  readonly #interner: Interner;
  readonly #records = new Map<string, ClusterRecord>();
  readonly #wrong = new Map<string, readonly Problem[]>();
  #problems: readonly Problem[] | undefined = [];

  constructor(kind: ClusterKind, interner: Interner) {
    this.#kind = kind;
    this.#interner = interner;
  }

  get size(): number {
    return this.#records.size;
  }

  problems(): readonly Problem[] {
    this.#problems ??= [...this.#wrong.values()].flat();
    return this.#problems;
  }

  problemsOf(key: string): readonly Problem[] {
    return this.#wrong.get(key) ?? [];
  }

  upsert(object: KubeObject): ObjectEvent | undefined {
    const key = keyOf(object);
    const { draft, problems } = projectClusterObject(this.#kind, object, origin, this.#interner);
    this.#note(key, problems);
    if (draft === undefined) return undefined;
    const before = this.#records.get(key);
    const isPolicy = this.#kind === "NetworkPolicy" || this.#kind === "ClusterNetworkPolicy";
    const generation = isPolicy ? (object.metadata.generation ?? 0) : undefined;
    // A new generation that means the same is told, too: reports say which one is in force.
    const isNew =
      before !== undefined && "generation" in before && before.generation !== generation;
    if (before !== undefined && !isNew && isSameRecord(before, draft)) return undefined;
    const record = recordOf<ClusterRecord>(draft, origin, generation);
    this.#records.set(key, record);
    return { type: "upsert", record };
  }

  remove(key: string): ObjectEvent | undefined {
    this.#note(key, []);
    if (!this.#records.delete(key)) return undefined;
    const slash = key.indexOf("/");
    if (slash < 0) return { type: "delete", kind: this.#kind, name: key };
    const [namespace, name] = [key.slice(0, slash), key.slice(slash + 1)];
    return { type: "delete", kind: this.#kind, namespace, name };
  }

  retain(keys: ReadonlySet<string>): readonly ObjectEvent[] {
    const gone = [...this.#records.keys(), ...this.#wrong.keys()].filter((key) => !keys.has(key));
    return gone.flatMap((key) => this.remove(key) ?? []);
  }

  #note(key: string, problems: readonly Problem[]): void {
    if (problems.length > 0) this.#wrong.set(key, problems);
    else if (!this.#wrong.delete(key)) return;
    this.#problems = undefined;
  }
}
