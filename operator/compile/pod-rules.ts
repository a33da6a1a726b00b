import { Limits } from "../../datapath/generated/layout.js";
import type { Cidr, NodeRecord } from "../model/records.js";
import type {
  ClusterNetworkPolicyRecord,
  NetworkPolicyRecord,
} from "../model/records-network-policy.js";
import type { NamespaceRecord, PodRecord } from "../model/records-pod.js";
import { CapacityError } from "./capacity-error.js";
import type { LocalPod } from "./local-pods.js";
import { partCountOf, type SetSource } from "./member-set.js";
import { assembleRules, orderOfJudgement } from "./pod-rule-order.js";
import { isSameList, type PodRulesCache } from "./pod-rules-cache.js";
import { type PolicyBlock, policyName } from "./policy-block.js";
import type { CompiledRule } from "./rule-list.js";
import type { SetContent } from "./set-content.js";

export interface PodRulesInput {
  readonly localPods: readonly LocalPod[];
  /** All pods of the cluster by `NAMESPACE/NAME`. */
  readonly pods: ReadonlyMap<string, PodRecord>;
  /**
   * Keys of all pods that were added, changed or removed since the last call with this cache; undefined: any may have
   * been.
   */
  readonly changedPods?: Iterable<string>;
  /** By name. */
  readonly namespaces: ReadonlyMap<string, NamespaceRecord>;
  readonly nodes: readonly NodeRecord[];
  /** Every address of this node, those of its bridges and gateways included. */
  readonly ownAddresses: readonly Cidr[];
  readonly networkPolicies: readonly NetworkPolicyRecord[];
  readonly clusterNetworkPolicies: readonly ClusterNetworkPolicyRecord[];
}

export interface PodRules {
  /** In order of judgement; the same list as before while no rule changed, whatever their sets hold. */
  readonly rules: readonly CompiledRule[];
  /** Of all sets that the rules use; a set is the same object as before while it holds the same. */
  readonly contents: ReadonlyMap<string, SetContent>;
  /** Slots that some rule judges, and those that a policy in mode Enforce does. */
  readonly judgedSlots: readonly number[];
  readonly enforcedSlots: readonly number[];
  /** Pods of this node that a policy has as subjects, by its name in rules. A policy without any is missing. */
  readonly policyPods: ReadonlyMap<string, readonly string[]>;
  /** Names in rules that were too long for the kernel's table, and their full texts. */
  readonly fullNames: ReadonlyMap<string, string>;
}

const POLICIES_PER_STEP = 8;
/** Numbers for parts that the kernel's tables have, less some for the sets that are one part anyway. */
const PARTS_TO_GIVE = 4096;

/**
 * Compiles what judges the pods of this node: docs/policy.md. The rules in the order of judgement are for `compileFieldClasses`
 * and the pods' bank of tables.
 *
 * @param cache of earlier calls; only what changed since then is computed anew
 * @throws CapacityError naming the policy with the most rules, when all together do not fit; the cache stays good
 */
export function compilePodRules(input: PodRulesInput, cache: PodRulesCache): PodRules {
  const steps = compilePodRulesInSteps(input, cache);
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/**
 * The same in steps of less than a millisecond, between which others may have their turn. The maps of the input are read
 * in the first step only; nobody else may use the cache until the last.
 */
export function* compilePodRulesInSteps(
  input: PodRulesInput,
  cache: PodRulesCache,
): Generator<void, PodRules> {
  cache.index.syncNamespaces(input.namespaces);
  cache.index.syncPods(input.pods, input.changedPods);
  cache.localPods.sync(input.localPods);
  cache.syncNodes(input.nodes);
  const policies = [...input.networkPolicies, ...input.clusterNetworkPolicies];
  const all: PolicyBlock[] = [];
  for (const policy of policies) {
    all.push(cache.block(policy));
    if (all.length % POLICIES_PER_STEP === 0) yield;
  }
  const blocks = all.filter(({ subjects }) => subjects.length > 0);
  const { last } = cache;
  const isSame =
    last !== undefined &&
    isSameList(blocks, last.blocks) &&
    isSameList(input.ownAddresses, last.ownAddresses);
  if (!isSame || cache.blockCount > policies.length) cache.retain(all);
  if (isSame) {
    const contents = contentsOf(last.sets, last.rules.contents);
    if (contents !== last.rules.contents)
      cache.last = { ...last, rules: { ...last.rules, contents } };
    return cache.last!.rules;
  }
  yield;
  const order = hasOrder(blocks, last) ? last.order : orderOfJudgement(blocks);
  const ordered = order.map((at) => blocks[at]!);
  const { sets, ...assembled } = assembleRules(ordered, input.ownAddresses);
  if (assembled.rules.length > Limits.MAX_POD_RULES) throw tooMany(assembled.rules.length, blocks);
  const rules: PodRules = { ...assembled, contents: contentsOf(sets, last?.rules.contents) };
  cache.last = { blocks, order, ownAddresses: [...input.ownAddresses], sets, rules };
  return rules;
}

/** What the next call compares with. */
export interface LastRules {
  readonly blocks: readonly PolicyBlock[];
  /** Of the blocks. */
  readonly order: readonly number[];
  readonly ownAddresses: readonly Cidr[];
  readonly sets: ReadonlyMap<string, SetSource>;
  readonly rules: PodRules;
}

function hasOrder(blocks: readonly PolicyBlock[], last: LastRules | undefined): last is LastRules {
  return (
    last?.blocks.length === blocks.length &&
    blocks.every(({ order }, at) => order === last.blocks[at]!.order)
  );
}

/** The map from before when all sets in it are the same. */
function contentsOf(
  sets: ReadonlyMap<string, SetSource>,
  before: PodRules["contents"] | undefined,
): PodRules["contents"] {
  let total = 0;
  for (const { size } of sets.values()) total += partCountOf(size);
  const isWide = total <= PARTS_TO_GIVE;
  const contents = new Map<string, SetContent>();
  let isSame = before?.size === sets.size;
  for (const [key, set] of sets) {
    const content = set.content(isWide ? partCountOf(set.size) : 1);
    contents.set(key, content);
    if (before?.get(key) !== content) isSame = false;
  }
  return isSame && before !== undefined ? before : contents;
}

function tooMany(count: number, blocks: readonly PolicyBlock[]): CapacityError {
  const largest = blocks.reduce((a, b) => (b.parts.length > a.parts.length ? b : a));
  const name = policyName(largest.policy);
  return new CapacityError(
    "rules",
    Limits.MAX_POD_RULES,
    `the policies of this node's pods need ${count}, of which ${name} needs ${largest.parts.length}`,
    name,
  );
}
