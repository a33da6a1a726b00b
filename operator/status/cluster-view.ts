import { isDeepStrictEqual } from "node:util";
import type { KubeObject } from "../kube/object.js";
import type { Problem } from "../model/records.js";
import type { Condition } from "./condition.js";
import { type ObjectFacts, type ObjectStatus, readFacts } from "./object-facts.js";
import {
  isPodPolicyKind,
  type PodPolicyFacts,
  type PodPolicyKey,
  podPolicyKey,
  type PodPolicyKind,
  readPodPolicyFacts,
} from "./pod-policy-facts.js";

type Labels = Readonly<Record<string, string>>;

/** Told of what changed, after it did. */
export interface ClusterListener {
  object(key: ObjectKey): void;
  podPolicy(key: PodPolicyKey): void;
  /** Undefined: the node was not there before, or is not there now. */
  node(name: string, before: Labels | undefined, after: Labels | undefined): void;
  synced(): void;
}

/** `XdpPolicy/edge`. */
export type ObjectKey = `${ObjectFacts["kind"]}/${string}`;

export function keyOf({ kind, name }: Pick<ObjectFacts, "kind" | "name">): ObjectKey {
  return `${kind}/${name}`;
}

function isReported(kind: string): kind is ObjectFacts["kind"] {
  return kind === "XdpPolicy" || kind === "XdpCidrSet";
}

/**
 * What every agent's own watches have seen of policies, sets and nodes, cut down to what a status is made of. It is fed
 * all the time, so that an agent that begins to lead has it at hand. Kinds that it does not know are let by.
 */
export class ClusterView {
  readonly #objects = new Map<ObjectKey, ObjectFacts>();
  readonly #podPolicies = new Map<PodPolicyKey, PodPolicyFacts>();
  readonly #nodes = new Map<string, Labels>();
  #isSynced = false;
  #listener: ClusterListener | undefined;

  get isSynced(): boolean {
    return this.#isSynced;
  }

  get nodes(): ReadonlyMap<string, Labels> {
    return this.#nodes;
  }

  get objects(): ReadonlyMap<ObjectKey, ObjectFacts> {
    return this.#objects;
  }

  /** Empty without a pod network. */
  get podPolicies(): ReadonlyMap<PodPolicyKey, PodPolicyFacts> {
    return this.#podPolicies;
  }

  /**
   * @param object as the API server gave it; it is not kept
   * @param problems what admission found in this generation
   */
  upsert(kind: string, object: KubeObject, problems: readonly Problem[]): void {
    if (kind === "Node") this.#upsertNode(object);
    else if (isPodPolicyKind(kind)) this.#upsertPodPolicy(kind, object, problems);
    else if (isReported(kind)) this.#upsertObject(kind, object, problems);
  }

  /** @param name of what has a namespace `NAMESPACE/NAME` */
  remove(kind: string, name: string): void {
    if (isPodPolicyKind(kind)) {
      const key = podPolicyKey(kind, name);
      if (this.#podPolicies.delete(key)) this.#listener?.podPolicy(key);
      return;
    }
    if (kind === "Node") {
      const before = this.#nodes.get(name);
      if (this.#nodes.delete(name)) this.#listener?.node(name, before, undefined);
      return;
    }
    if (!isReported(kind)) return;
    const key = keyOf({ kind, name });
    if (this.#objects.delete(key)) this.#listener?.object(key);
  }

  /** Removes those of a kind that are not among these. */
  retain(kind: string, names: ReadonlySet<string>): void {
    const held =
      kind === "Node"
        ? [...this.#nodes.keys()]
        : isPodPolicyKind(kind)
          ? [...this.#podPolicies.values()].flatMap((facts) =>
              facts.kind === kind ? pathOf(facts) : [],
            )
          : [...this.#objects.values()].flatMap((facts) => (facts.kind === kind ? facts.name : []));
    for (const name of held) if (!names.has(name)) this.remove(kind, name);
  }

  #upsertPodPolicy(kind: PodPolicyKind, object: KubeObject, problems: readonly Problem[]): void {
    const facts = readPodPolicyFacts(kind, object, problems);
    const key = podPolicyKey(kind, pathOf(facts));
    const before = this.#podPolicies.get(key);
    this.#podPolicies.set(key, facts);
    if (!isDeepStrictEqual(before, facts)) this.#listener?.podPolicy(key);
  }

  #upsertNode({ metadata }: KubeObject): void {
    const { name } = metadata;
    const labels = (metadata["labels"] ?? {}) as Labels;
    const before = this.#nodes.get(name);
    if (before !== undefined && isDeepStrictEqual(before, labels)) return;
    this.#nodes.set(name, labels);
    this.#listener?.node(name, before, labels);
  }

  #upsertObject(kind: ObjectFacts["kind"], object: KubeObject, problems: readonly Problem[]): void {
    const { name, uid, generation } = object.metadata;
    const key = keyOf({ kind, name });
    const before = this.#objects.get(key);
    const isKnown = before?.uid === uid && before?.generation === generation;
    // Most events of a watch only bring back the status that was written; 50,000 entries are not counted for that.
    const facts =
      isKnown && before !== undefined
        ? { ...before, problems, status: object["status"] as ObjectStatus | undefined }
        : readFacts(kind, object, problems);
    this.#objects.set(key, facts);
    if (!isDeepStrictEqual(before, facts)) this.#listener?.object(key);
  }

  /** Everything has been delivered once. */
  synced(): void {
    if (this.#isSynced) return;
    this.#isSynced = true;
    this.#listener?.synced();
  }

  /** Notes what was just written; the watch brings it later. */
  setStatus(key: ObjectKey, uid: string, status: ObjectStatus | undefined): void {
    const facts = this.#objects.get(key);
    if (facts?.uid === uid) this.#objects.set(key, { ...facts, status });
  }

  /** As `setStatus`. */
  setPodPolicyCondition(key: PodPolicyKey, uid: string, condition: Condition): void {
    const facts = this.#podPolicies.get(key);
    if (facts?.uid === uid) this.#podPolicies.set(key, { ...facts, condition });
  }

  /** One listener at a time; returns how to stop. */
  listen(listener: ClusterListener): () => void {
    this.#listener = listener;
    return () => {
      if (this.#listener === listener) this.#listener = undefined;
    };
  }
}

function pathOf({ namespace, name }: PodPolicyFacts): string {
  return namespace === undefined ? name : `${namespace}/${name}`;
}
