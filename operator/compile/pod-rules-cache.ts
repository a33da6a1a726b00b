import { formatCidr } from "../model/cidr-format.js";
import type { Cidr, LabelSelector, NodeRecord } from "../model/records.js";
import { LocalPods, type Subject } from "./local-pods.js";
import type { SetSource } from "./member-set.js";
import { PodIndex } from "./pod-index.js";
import type { PodSelection, PortSplit } from "./pod-selection.js";
import {
  compileBlock,
  isCurrent,
  type PeerSets,
  type PodPolicyRecord,
  type PolicyBlock,
  policyName,
} from "./policy-block.js";
import type { LastRules } from "./pod-rules.js";
import type { InlineSet } from "./rule-list.js";
import { selectorText } from "./selector-text.js";
import { selectorMatches } from "./selectors.js";
import { inlineSetContent, type SetContent } from "./set-content.js";

interface BlockEntry {
  readonly block: PolicyBlock;
  readonly localVersion: number;
  readonly namespacesVersion: number;
}

/** Addresses that are written down, not those of pods. */
class FixedSet implements SetSource {
  readonly size: number;
  readonly #set: InlineSet;
  #content: SetContent | undefined;

  constructor(set: InlineSet) {
    this.#set = set;
    this.size = set.cidrs.length + set.except.length;
  }

  content(): SetContent {
    this.#content ??= inlineSetContent(this.#set);
    return this.#content;
  }
}

/** Addresses of the nodes that a selector matches. */
class NodeSet implements SetSource {
  readonly #selector: LabelSelector;
  #text = "";
  #set = new FixedSet({ cidrs: [], except: [] });

  constructor(selector: LabelSelector) {
    this.#selector = selector;
  }

  get size(): number {
    return this.#set.size;
  }

  sync(nodes: readonly NodeRecord[]): void {
    const cidrs = nodes
      .filter(({ labels }) => selectorMatches(this.#selector, labels))
      .flatMap(({ addresses }) => addresses);
    const text = cidrs.map(formatCidr).sort().join();
    if (text === this.#text) return;
    this.#text = text;
    this.#set = new FixedSet({ cidrs, except: [] });
  }

  content(): SetContent {
    return this.#set.content();
  }
}

/**
 * What compiling keeps from call to call. It changes no result: with a new one the same input gives
 * the same rules and sets.
 */
export class PodRulesCache implements PeerSets {
  readonly index = new PodIndex();
  readonly localPods = new LocalPods();
  readonly #blocks = new Map<PodPolicyRecord, BlockEntry>();
  readonly #inline = new Map<string, FixedSet>();
  readonly #nodeSets = new Map<string, NodeSet>();
  #nodes: readonly NodeRecord[] = [];
  /** The last result, and what it was made of. */
  last: LastRules | undefined;

  syncNodes(nodes: readonly NodeRecord[]): void {
    if (isSameList(nodes, this.#nodes)) return;
    this.#nodes = [...nodes];
    for (const set of this.#nodeSets.values()) set.sync(nodes);
  }

  inline(key: string, set: InlineSet): SetSource {
    const known = this.#inline.get(key);
    if (known !== undefined) return known;
    const created = new FixedSet(set);
    this.#inline.set(key, created);
    return created;
  }

  nodes(selector: LabelSelector): readonly [string, SetSource] {
    const text = selectorText(selector);
    const key = text === "" ? "nodes" : `nodes ${text}`;
    const known = this.#nodeSets.get(key);
    if (known !== undefined) return [key, known];
    const created = new NodeSet(selector);
    created.sync(this.#nodes);
    this.#nodeSets.set(key, created);
    return [key, created];
  }

  /** The block of a policy; the same object as before while it stays what it was. */
  block(policy: PodPolicyRecord): PolicyBlock {
    const versions = {
      localVersion: this.localPods.version,
      // A NetworkPolicy has its subjects in its own namespace, whatever the labels of that.
      namespacesVersion: policy.kind === "NetworkPolicy" ? 0 : this.index.namespacesVersion,
    };
    const known = this.#blocks.get(policy);
    let subjects: readonly Subject[] | undefined;
    if (known !== undefined) {
      subjects = hasVersions(known, versions) ? known.block.subjects : this.#subjectsOf(policy);
      if (isSameList(subjects, known.block.subjects) && isCurrent(known.block)) {
        if (!hasVersions(known, versions)) {
          this.#blocks.set(policy, { block: known.block, ...versions });
        }
        return known.block;
      }
    }
    subjects ??= this.#subjectsOf(policy);
    const block = subjects.length === 0 ? emptyBlock(policy) : compileBlock(policy, subjects, this);
    this.#blocks.set(policy, { block, ...versions });
    return block;
  }

  /** Policies that have a block. */
  get blockCount(): number {
    return this.#blocks.size;
  }

  /** Forgets what other blocks had. */
  retain(blocks: readonly PolicyBlock[]): void {
    const policies = new Set<PodPolicyRecord>();
    const used = new Set<PodSelection | PortSplit>();
    const keys = new Set<string>();
    for (const block of blocks) {
      policies.add(block.policy);
      for (const one of block.used) used.add(one);
      for (const key of block.sets.keys()) keys.add(key);
    }
    this.index.retain(used);
    for (const policy of this.#blocks.keys()) {
      if (!policies.has(policy)) this.#blocks.delete(policy);
    }
    for (const sets of [this.#inline, this.#nodeSets]) {
      for (const key of sets.keys()) if (!keys.has(key)) sets.delete(key);
    }
  }

  #subjectsOf(policy: PodPolicyRecord): readonly Subject[] {
    const { localPods, index } = this;
    if (policy.kind === "NetworkPolicy") return localPods.in(policy.namespace, policy.podSelector);
    const { namespaceSelector, podSelector } = policy.subject;
    return [...localPods.namespaces.keys()]
      .filter((name) => selectorMatches(namespaceSelector, index.labelsOf(name)))
      .flatMap((name) => localPods.in(name, podSelector));
  }
}

/** Nothing is looked up for a policy that has no pod here. */
function emptyBlock(policy: PodPolicyRecord): PolicyBlock {
  return {
    policy,
    order: "",
    subjects: [],
    parts: [],
    sets: new Map(),
    used: new Set(),
    ports: new Map(),
    name: policyName(policy),
    pods: [],
    placed: undefined,
  };
}

/** A set of its own for addresses that no policy names. */
export function addressSet(cidrs: readonly Cidr[]): SetSource {
  return new FixedSet({ cidrs, except: [] });
}

export function isSameList<T>(a: readonly T[], b: readonly T[]): boolean {
  return a === b || (a.length === b.length && a.every((one, index) => one === b[index]));
}

function hasVersions(entry: BlockEntry, versions: Omit<BlockEntry, "block">): boolean {
  return (
    entry.localVersion === versions.localVersion &&
    entry.namespacesVersion === versions.namespacesVersion
  );
}
