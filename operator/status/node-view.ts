import type { NodeDatapathManifest } from "../model/generated/node-datapath.js";
import type { PodPolicyKey } from "./pod-policy-facts.js";
import { type PodPolicyOnNode, projectPodPolicies } from "./pod-policy-view.js";
import { shorten } from "./shorten.js";

type Status = NonNullable<NodeDatapathManifest["status"]>;
type Entry = NonNullable<Status["policies"]>[number];

/** What folding needs of one policy on one node. */
export interface PolicyOnNode {
  /** In force; 0: none. */
  readonly generation: number;
  readonly observedGeneration: number;
  readonly state: Entry["state"];
  readonly code?: string;
  readonly message?: string;
}

/** Why a node does not hold the newest version of an object that feeds a set. */
export interface SetFailure {
  readonly code: string;
  readonly message: string;
}

/** What folding needs of one NodeDatapath. */
export interface NodeView {
  readonly policies: ReadonlyMap<string, PolicyOnNode>;
  readonly sets: ReadonlyMap<string, SetFailure>;
  readonly podPolicies: ReadonlyMap<PodPolicyKey, PodPolicyOnNode>;
}

/**
 * Projections of NodeDatapaths. Nodes mostly say the same, so equal ones are one object: 5,000 nodes take hardly more
 * memory than one.
 */
export class NodeViews {
  readonly #byText = new Map<string, SharedView>();
  readonly #ofNode = new Map<string, SharedView>();

  get(node: string): NodeView | undefined {
    return this.#ofNode.get(node)?.view;
  }

  names(): Iterable<string> {
    return this.#ofNode.keys();
  }

  /** Different views that are held. */
  get distinct(): number {
    return this.#byText.size;
  }

  set(node: string, status: Status | undefined): void {
    const policies = (status?.policies ?? []).map(projectPolicy);
    const sets = (status?.failures ?? []).flatMap(projectSet);
    const podPolicies = projectPodPolicies(status);
    const text = JSON.stringify([policies, sets, podPolicies]);
    if (this.#ofNode.get(node)?.text === text) return;
    let shared = this.#byText.get(text);
    if (shared === undefined) {
      const view = {
        policies: new Map(policies),
        sets: new Map(sets),
        podPolicies: new Map(podPolicies),
      };
      shared = { view, text, uses: 0 };
      this.#byText.set(text, shared);
    }
    shared.uses += 1;
    this.delete(node);
    this.#ofNode.set(node, shared);
  }

  delete(node: string): void {
    const shared = this.#ofNode.get(node);
    if (shared === undefined) return;
    this.#ofNode.delete(node);
    shared.uses -= 1;
    if (shared.uses === 0) this.#byText.delete(shared.text);
  }
}

interface SharedView {
  readonly view: NodeView;
  readonly text: string;
  /** Nodes that say this. */
  uses: number;
}

function projectPolicy(entry: Entry): [string, PolicyOnNode] {
  const { name, generation, observedGeneration = generation, state, code, message } = entry;
  return [
    name,
    {
      generation,
      observedGeneration,
      state,
      ...(code !== undefined && { code }),
      ...(message !== undefined && { message }),
    },
  ];
}

function projectSet(failure: NonNullable<Status["failures"]>[number]): [string, SetFailure][] {
  const { kind, name, code, message, remedy } = failure;
  if (kind !== "XdpCidrSet" || name === undefined) return [];
  const text = remedy === undefined ? message : `${message}. ${remedy}`;
  return [[name, { code, message: shorten(text) }]];
}

/** Names whose entries differ between two views of one node. */
export function changedNames<Value, Name extends string = string>(
  before: ReadonlyMap<Name, Value> | undefined,
  after: ReadonlyMap<Name, Value> | undefined,
): readonly Name[] {
  if (before === after) return [];
  const names = new Set([...(before?.keys() ?? []), ...(after?.keys() ?? [])]);
  return [...names].filter(
    (name) => JSON.stringify(before?.get(name)) !== JSON.stringify(after?.get(name)),
  );
}
