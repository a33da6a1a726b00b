import { SluiceError } from "../errors.js";
import { describePodRule } from "./describe-pod-rule.js";
import type { Direction } from "./policy-block.js";
import { compilePodRules, type PodRules, type PodRulesInput } from "./pod-rules.js";
import { PodRulesCache } from "./pod-rules-cache.js";
import { NODE_POLICY } from "./pod-rule-order.js";
import type { CompiledRule } from "./rule-list.js";
import { type RuleField, unmetFields, type WalkedPacket, walkRules } from "./rule-walk.js";

export type ExplainInput = Pick<
  PodRulesInput,
  "pods" | "namespaces" | "nodes" | "networkPolicies" | "clusterNetworkPolicies"
>;

/** Which rules match, and what they come to, at one end of a packet's way. */
export interface Explanation {
  readonly verdict: "pass" | "drop";
  readonly reason: "rule" | "no-rule" | "not-judged";
  /** What decided; missing when nothing did. */
  readonly policy?: string;
  readonly rule?: string;
  /** In order of judgement, the deciding one last. */
  readonly matched: readonly {
    readonly policy: string;
    readonly rule: string;
    readonly effect: string;
  }[];
  /** Of a drop: rules that would accept it but for these fields, those that lack the least first. */
  readonly near: readonly NearRule[];
}

export interface NearRule {
  readonly policy: string;
  readonly rule: string;
  readonly unmet: readonly Exclude<RuleField, "subject">[];
  /** Conditions, for people. */
  readonly match: string;
}

export type ExplainedPacket = Omit<WalkedPacket, "slot">;

const SLOTS = { egress: 1, ingress: 2 } as const satisfies Record<Direction, number>;
const MOST_NEAR = 5;

/**
 * Judges packets by the compiled rules of a cluster, without a kernel. What is asked about a pod is compiled as its own
 * node would, once.
 */
export class PodExplainer {
  readonly #input: ExplainInput;
  readonly #rules = new Map<string, PodRules>();

  constructor(input: ExplainInput) {
    this.#input = input;
  }

  /**
   * What the policies of a pod say of the first packet of a connection, in this direction.
   *
   * @param key of a pod of the input, not one of the host network
   * @throws CapacityError when its rules do not fit the kernel's tables
   */
  explain(key: string, direction: Direction, packet: ExplainedPacket): Explanation {
    if (packet.source === packet.destination || this.#isFromNode(key, direction, packet)) {
      return { verdict: "pass", reason: "not-judged", matched: [], near: [] };
    }
    const { rules, contents, fullNames } = this.#rulesOf(key);
    const walked = { ...packet, slot: SLOTS[direction] };
    const { verdict, by, steps } = walkRules(rules, contents, walked);
    const named = ({ policy, rule }: { readonly policy: string; readonly rule: string }) => ({
      policy: fullNames.get(policy) ?? policy,
      rule: fullNames.get(rule) ?? rule,
    });
    /* What comes behind the rule that decided would not have been asked. */
    const asked = rules.findIndex(({ policy, rule }) => policy === by?.policy && rule === by.rule);
    return {
      verdict,
      reason: by === undefined ? "no-rule" : "rule",
      ...(by !== undefined && named(by)),
      matched: steps.map((step) => ({
        ...named(step),
        effect: `${step.audit ? "audit: " : ""}${step.action.toLowerCase()}`,
      })),
      near:
        verdict === "pass"
          ? []
          : nearRules(rules.slice(0, asked), contents, walked).map((near) => ({
              ...near,
              ...named(near),
            })),
    };
  }

  /** Whatever the node itself sends reaches its pods (N33). */
  #isFromNode(key: string, direction: Direction, { family, source }: ExplainedPacket): boolean {
    return (
      direction === "ingress" &&
      this.#ownAddresses(key).some((own) =>
        own.family === 4
          ? family === 4 && BigInt(own.address) === source
          : family === 6 && ((own.high << 64n) | own.low) === source,
      )
    );
  }

  #rulesOf(key: string): PodRules {
    const known = this.#rules.get(key);
    if (known !== undefined) return known;
    const record = this.#input.pods.get(key);
    if (record === undefined) throw new SluiceError("SLUICE_UNKNOWN_POD", `there is no pod ${key}`);
    const rules = compilePodRules(
      {
        ...this.#input,
        localPods: [{ key, slotIn: SLOTS.ingress, slotOut: SLOTS.egress, record }],
        ownAddresses: this.#ownAddresses(key),
      },
      new PodRulesCache(),
    );
    this.#rules.set(key, rules);
    return rules;
  }

  #ownAddresses(key: string): PodRulesInput["ownAddresses"] {
    const node = this.#input.pods.get(key)?.nodeName;
    return this.#input.nodes.find(({ name }) => name === node)?.addresses ?? [];
  }
}

/** Rules of several bits count once, by the bit that lacks the least. */
function nearRules(
  rules: readonly CompiledRule[],
  contents: PodRules["contents"],
  packet: WalkedPacket,
): readonly NearRule[] {
  const near = new Map<string, NearRule>();
  for (const rule of rules) {
    if (rule.action !== "Accept" || rule.audit || rule.policy === NODE_POLICY) continue;
    const unmet: NearRule["unmet"][number][] = [];
    let isSubject = true;
    for (const field of unmetFields(rule, contents, packet)) {
      if (field === "subject") isSubject = false;
      else unmet.push(field);
    }
    const key = `${rule.policy}\0${rule.rule}`;
    const before = near.get(key);
    if (!isSubject || unmet.length === 0 || (before && before.unmet.length <= unmet.length))
      continue;
    near.set(key, { policy: rule.policy, rule: rule.rule, unmet, match: describePodRule(rule) });
  }
  return [...near.values()].sort((a, b) => a.unmet.length - b.unmet.length).slice(0, MOST_NEAR);
}
