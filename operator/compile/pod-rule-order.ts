import type { Cidr } from "../model/records.js";
import type { SetSource } from "./member-set.js";
import { addressSet } from "./pod-rules-cache.js";
import {
  type Direction,
  type PodPolicyRecord,
  type PolicyBlock,
  type RulePart,
} from "./policy-block.js";
import { protocolProducts } from "./protocol-boxes.js";
import type { CompiledRule } from "./rule-list.js";
import { RuleNames } from "./rule-names.js";

/** Policies of rules that are nobody's. */
export const NODE_POLICY = "node";
export const ISOLATION_POLICY = "isolation";
const OWN_NODE_SET = "own node";
/** ICMPv6 without which IPv6 does not work: router and neighbour discovery (N30). */
const NEIGHBOUR_DISCOVERY = { first: 133, last: 137 };

const DIRECTIONS = ["ingress", "egress"] as const;

interface AssembledRules {
  readonly rules: readonly CompiledRule[];
  readonly sets: ReadonlyMap<string, SetSource>;
  readonly judgedSlots: readonly number[];
  readonly enforcedSlots: readonly number[];
  readonly policyPods: ReadonlyMap<string, readonly string[]>;
  readonly fullNames: ReadonlyMap<string, string>;
}

/** Places of the blocks in the order in which policies of one tier are judged. */
export function orderOfJudgement(blocks: readonly PolicyBlock[]): readonly number[] {
  return Array.from(blocks.keys()).sort((a, b) => compareText(blocks[a]!.order, blocks[b]!.order));
}

/**
 * Lays the rules of all policies out in the order of judgement (docs/policy.md, “Order”).
 *
 * @param ordered as {@link orderOfJudgement}
 */
export function assembleRules(
  ordered: readonly PolicyBlock[],
  ownAddresses: readonly Cidr[],
): AssembledRules {
  const tier = (name: string) => ordered.filter(({ policy }) => tierOf(policy) === name);
  const networkPolicies = tier("NetworkPolicy");
  const enforcing = networkPolicies.filter(({ policy }) => policy.mode === "Enforce");
  const auditing = networkPolicies.filter(({ policy }) => policy.mode === "Audit");
  const list = new OrderedRules(ordered);

  list.addNode(slotsOf(ordered, "egress"), slotsOf(ordered), ownAddresses);
  list.addTier(tier("Admin"));
  list.addBlocks(enforcing);
  const isolated = isolationParts(enforcing);
  // Their count is known before: rules in audit mode lead behind both.
  const audited = auditing.length === 0 ? [] : isolationParts(auditing, isolatedSlots(enforcing));
  list.addBlocks(auditing, audited.length);
  list.add(audited);
  list.add(isolated);
  list.addTier(tier("Baseline"));
  return list.finish(ordered);
}

class OrderedRules {
  readonly #rules: CompiledRule[] = [];
  readonly #names = new RuleNames();
  readonly #sets = new Map<string, SetSource>();

  constructor(blocks: readonly PolicyBlock[]) {
    for (const { sets } of blocks) for (const [key, set] of sets) this.#sets.set(key, set);
  }

  /** N33 and N30, for pods that policies judge: no policy can change them. */
  addNode(slotsOut: readonly number[], slots: readonly number[], own: readonly Cidr[]): void {
    if (own.length > 0 && slotsOut.length > 0) {
      this.#sets.set(OWN_NODE_SET, addressSet(own));
      this.add([{ ...nodePart("own-node", slotsOut), to: [OWN_NODE_SET] }]);
    }
    if (slots.length === 0) return;
    const { first, last } = NEIGHBOUR_DISCOVERY;
    const types = Array.from({ length: last - first + 1 }, (_, index) => first + index);
    const [protocols] = protocolProducts(types.map((type) => ({ kind: "icmpv6", type }))) ?? [];
    this.add([{ ...nodePart("neighbour-discovery", slots), protocols }]);
  }

  /** Enforced Pass leads behind the tier, audit rules only behind their own policy. */
  addTier(blocks: readonly PolicyBlock[]): void {
    const end = this.#rules.length + partCount(blocks);
    for (const block of blocks) {
      const { policy, parts } = block;
      this.#addBlock(block, policy.mode === "Audit" ? this.#rules.length + parts.length : end);
    }
  }

  /** Rules that lead behind all of them, and so many more. */
  addBlocks(blocks: readonly PolicyBlock[], more = 0): void {
    const end = this.#rules.length + partCount(blocks) + more;
    for (const block of blocks) this.#addBlock(block, end);
  }

  #addBlock(block: PolicyBlock, resume: number): void {
    const start = this.#rules.length;
    const { placed } = block;
    if (placed?.start === start && placed.resume === resume) {
      for (const rule of placed.rules) this.#rules.push(rule);
      return;
    }
    const isCut = this.add(block.parts, resume);
    block.placed = isCut ? undefined : { start, resume, rules: this.#rules.slice(start) };
  }

  /** Returns whether a name was too long. */
  add(parts: readonly RulePart[], resume = this.#rules.length + parts.length): boolean {
    let isCut = false;
    for (const part of parts) {
      const policy = this.#names.policy(part.policy);
      const rule = this.#names.rule(part.rule);
      isCut ||= policy !== part.policy || rule !== part.rule;
      // Field by field: copying the rest of an object takes ten times as long.
      this.#rules.push({
        policy,
        rule,
        action: part.action,
        audit: part.audit,
        isDefault: part.isDefault,
        from: part.from,
        to: part.to,
        protocols: part.protocols,
        traits: part.traits,
        interfaces: part.interfaces,
        rateLimit: part.rateLimit,
        redirect: part.redirect,
        // What is refused, or would be, is told; how often is capped in the kernel.
        logOneIn: part.action === "Drop" || part.audit ? 1 : part.logOneIn,
        next: this.#rules.length + part.bitsLeft,
        resume,
      });
    }
    return isCut;
  }

  finish(blocks: readonly PolicyBlock[]): AssembledRules {
    const enforcing = blocks.filter(({ policy }) => policy.mode === "Enforce");
    const policyPods = new Map(
      blocks.map(({ name, pods }) => [this.#names.policy(name), pods] as const),
    );
    return {
      rules: this.#rules,
      sets: this.#sets,
      judgedSlots: slotsOf(blocks),
      enforcedSlots: slotsOf(enforcing),
      policyPods,
      fullNames: this.#names.full,
    };
  }
}

/** One Drop for all pods that the same policies isolate in a direction, named by these (N2). */
function isolationParts(
  blocks: readonly PolicyBlock[],
  except?: Readonly<Record<Direction, ReadonlySet<number>>>,
): readonly RulePart[] {
  return DIRECTIONS.flatMap((direction) => {
    const policiesOf: (string[] | undefined)[] = [];
    for (const { policy, subjects } of blocks) {
      if (policy.kind !== "NetworkPolicy" || policy[direction] === undefined) continue;
      const name = `${policy.namespace}/${policy.name}`;
      for (const subject of subjects) {
        const slot = slotOf(subject, direction);
        if (except?.[direction].has(slot) !== true) (policiesOf[slot] ??= []).push(name);
      }
    }
    const bySet = new Map<string, number[]>();
    policiesOf.forEach((names, slot) => {
      if (names === undefined) return;
      const rule = `${direction}: ${names.join(", ")}`;
      const slots = bySet.get(rule);
      if (slots === undefined) bySet.set(rule, [slot]);
      else slots.push(slot);
    });
    const audit = blocks[0]?.policy.mode === "Audit";
    return [...bySet]
      .sort(([a], [b]) => compareText(a, b))
      .map(([rule, slots]) => ({
        ...anyPart(ISOLATION_POLICY, rule, slots),
        action: "Drop",
        audit,
      }));
  });
}

function partCount(blocks: readonly PolicyBlock[]): number {
  return blocks.reduce((sum, { parts }) => sum + parts.length, 0);
}

function isolatedSlots(blocks: readonly PolicyBlock[]) {
  const slots = { ingress: new Set<number>(), egress: new Set<number>() };
  for (const { policy, subjects } of blocks) {
    for (const direction of DIRECTIONS) {
      if (policy.kind !== "NetworkPolicy" || policy[direction] === undefined) continue;
      for (const subject of subjects) slots[direction].add(slotOf(subject, direction));
    }
  }
  return slots;
}

/** Slots that the blocks judge, ascending. */
function slotsOf(blocks: readonly PolicyBlock[], only?: Direction): readonly number[] {
  const taken: (number | undefined)[] = [];
  for (const { policy, subjects } of blocks) {
    for (const direction of only === undefined ? DIRECTIONS : [only]) {
      if (!hasDirection(policy, direction)) continue;
      for (const subject of subjects) {
        const slot = slotOf(subject, direction);
        taken[slot] = slot;
      }
    }
  }
  return taken.filter((slot) => slot !== undefined);
}

function hasDirection(policy: PodPolicyRecord, direction: Direction): boolean {
  const rules = policy[direction];
  // C5: without rules a ClusterNetworkPolicy changes nothing.
  return policy.kind === "NetworkPolicy"
    ? rules !== undefined
    : rules !== undefined && rules.length > 0;
}

function slotOf(subject: PolicyBlock["subjects"][number], direction: Direction): number {
  return direction === "ingress" ? subject.slotIn : subject.slotOut;
}

function tierOf(policy: PodPolicyRecord): string {
  return policy.kind === "NetworkPolicy" ? policy.kind : policy.tier;
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function nodePart(rule: string, interfaces: readonly number[]): RulePart {
  return { ...anyPart(NODE_POLICY, rule, interfaces), action: "Accept" };
}

function anyPart(
  policy: string,
  rule: string,
  interfaces: readonly number[],
): Omit<RulePart, "action"> {
  return {
    policy,
    rule,
    audit: false,
    isDefault: false,
    from: undefined,
    to: undefined,
    protocols: undefined,
    traits: 0,
    interfaces,
    rateLimit: undefined,
    redirect: undefined,
    logOneIn: 0,
    bitsLeft: 1,
  };
}
