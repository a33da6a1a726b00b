import { Limits, Trait as TraitBit } from "../../datapath/generated/layout.js";
import { formatCidr } from "../model/cidr-format.js";
import type {
  Cidr,
  NodeRecord,
  Peer,
  RateLimit,
  RedirectTarget,
  RuleRecord,
  Trait,
  XdpPolicyRecord,
} from "../model/records.js";
import { CapacityError } from "./capacity-error.js";
import { type ProtocolProduct, protocolProducts } from "./protocol-boxes.js";
import { globMatches, selectorMatches } from "./selectors.js";

/** One bit of the classifier: a rule, or a part of one whose protocols are no product. */
export interface CompiledRule {
  readonly policy: string;
  /** "default" for the policy's defaultAction. */
  readonly rule: string;
  readonly action: "Accept" | "Drop" | "Pass" | "Limit" | "Redirect";
  readonly audit: boolean;
  readonly isDefault: boolean;
  /** Keys of address sets, one of which must hold the address; undefined: any address. */
  readonly from: readonly string[] | undefined;
  readonly to: readonly string[] | undefined;
  /** Undefined: any protocol. */
  readonly protocols: ProtocolProduct | undefined;
  /** Bits of `enum trait`, one of which the packet must have; 0: any packet. */
  readonly traits: number;
  /** Slots of the interfaces that it judges. */
  readonly interfaces: readonly number[];
  readonly rateLimit: RateLimit | undefined;
  readonly redirect: RedirectTarget | undefined;
  readonly logOneIn: number;
  /** Index of the first bit behind this rule, and behind its policy. */
  readonly next: number;
  readonly resume: number;
}

/** An address set written inside rules: CIDRs, less some blocks. */
export interface InlineSet {
  readonly cidrs: readonly Cidr[];
  readonly except: readonly Cidr[];
}

export interface NodeInterface {
  readonly name: string;
  /** 1 … MAX_INTERFACE_SLOTS − 1 */
  readonly slot: number;
  /** Judged by policies that name no interfaces. */
  readonly uplink: boolean;
}

export interface RuleListInput {
  readonly nodeLabels: Readonly<Record<string, string>>;
  readonly interfaces: readonly NodeInterface[];
  readonly policies: readonly XdpPolicyRecord[];
  readonly nodes: readonly NodeRecord[];
  readonly failSafe: readonly RuleRecord[];
  /** Rules of the built-in policy `node-local`, which judges right behind the fail-safe rules. */
  readonly nodeLocal: readonly RuleRecord[];
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
}

export interface RuleList {
  /** In order of judgement. */
  readonly rules: readonly CompiledRule[];
  /** By the key that rules use. Keys of named sets are `set:NAME` and not in here. */
  readonly inlineSets: ReadonlyMap<string, InlineSet>;
  /** Names of the named sets that rules use. */
  readonly namedSets: ReadonlySet<string>;
  /** Slots by policy; a policy that judges nothing here is missing. */
  readonly policyInterfaces: ReadonlyMap<string, readonly number[]>;
  /** Slots that some policy judges, and those that one in mode Enforce does. */
  readonly judgedSlots: readonly number[];
  readonly enforcedSlots: readonly number[];
  /** When the next rule expires, milliseconds since the epoch. */
  readonly nextExpiryMs: number | undefined;
}

export const FAIL_SAFE_POLICY = "fail-safe";
export const NODE_LOCAL_POLICY = "node-local";
export const DEFAULT_RULE = "default";

const TRAIT_BITS: Record<Trait, number> = {
  Fragment: TraitBit.TRAIT_FRAGMENT,
  IPOptions: TraitBit.TRAIT_IP_OPTIONS,
  SameAddress: TraitBit.TRAIT_SAME_ADDRESS,
  MartianSource: TraitBit.TRAIT_MARTIAN_SOURCE,
  ZeroPort: TraitBit.TRAIT_ZERO_PORT,
  ImpossibleTCPFlags: TraitBit.TRAIT_IMPOSSIBLE_TCP_FLAGS,
  Bogon:
    TraitBit.TRAIT_SAME_ADDRESS |
    TraitBit.TRAIT_MARTIAN_SOURCE |
    TraitBit.TRAIT_ZERO_PORT |
    TraitBit.TRAIT_IMPOSSIBLE_TCP_FLAGS,
};

export function namedSetKey(setName: string): string {
  return `set:${setName}`;
}

/** Policies in order of judgement: docs/xdp-policy.md §2. */
export function orderPolicies(policies: readonly XdpPolicyRecord[]): readonly XdpPolicyRecord[] {
  return [...policies].sort(
    (a, b) => a.priority - b.priority || Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)),
  );
}

/** Slots of the node's interfaces that a policy judges; empty when it does not select the node. */
export function judgedInterfaces(
  policy: Pick<XdpPolicyRecord, "nodeSelector" | "interfaces">,
  nodeLabels: Readonly<Record<string, string>>,
  interfaces: readonly NodeInterface[],
): readonly number[] {
  if (!selectorMatches(policy.nodeSelector, nodeLabels)) return [];
  const judged =
    policy.interfaces.length === 0
      ? interfaces.filter(({ uplink }) => uplink)
      : interfaces.filter(({ name }) => policy.interfaces.some((glob) => globMatches(glob, name)));
  return judged.map(({ slot }) => slot);
}

/**
 * Lays the rules of all policies out in the order of judgement.
 *
 * @throws CapacityError naming the policy whose rules do not fit any more
 */
export function compileRuleList(input: RuleListInput): RuleList {
  const builder = new RuleListBuilder(input);
  const policyInterfaces = new Map<string, readonly number[]>();
  const ordered = orderPolicies(input.policies);
  const everywhere = new Set<number>();
  const enforced = new Set<number>();
  for (const policy of ordered) {
    const slots = judgedInterfaces(policy, input.nodeLabels, input.interfaces);
    if (slots.length === 0) continue;
    policyInterfaces.set(policy.name, slots);
    for (const slot of slots) {
      everywhere.add(slot);
      if (policy.mode === "Enforce") enforced.add(slot);
    }
  }
  if (input.nodeLocal.length > 0) {
    for (const { slot, uplink } of input.interfaces) if (uplink) everywhere.add(slot);
    for (const slot of everywhere) enforced.add(slot);
  }
  const judged = [...everywhere].sort((a, b) => a - b);
  if (judged.length > 0) {
    builder.addPolicy({ name: FAIL_SAFE_POLICY, rules: input.failSafe, interfaces: judged });
    builder.addPolicy({ name: NODE_LOCAL_POLICY, rules: input.nodeLocal, interfaces: judged });
  }
  for (const policy of ordered) {
    const interfaces = policyInterfaces.get(policy.name);
    if (interfaces === undefined) continue;
    builder.addPolicy({
      name: policy.name,
      rules: policy.rules,
      interfaces,
      audit: policy.mode === "Audit",
      defaultAction: policy.defaultAction,
    });
  }
  return {
    ...builder.finish(),
    policyInterfaces,
    judgedSlots: judged,
    enforcedSlots: [...enforced],
  };
}

interface PolicyToAdd {
  readonly name: string;
  readonly rules: readonly RuleRecord[];
  readonly interfaces: readonly number[];
  readonly audit?: boolean;
  readonly defaultAction?: XdpPolicyRecord["defaultAction"];
}

class RuleListBuilder {
  readonly #input: RuleListInput;
  readonly #rules: CompiledRule[] = [];
  readonly #inlineSets = new Map<string, InlineSet>();
  readonly #namedSets = new Set<string>();
  #nextExpiryMs: number | undefined;

  constructor(input: RuleListInput) {
    this.#input = input;
  }

  addPolicy({ name, rules, interfaces, audit = false, defaultAction = "Pass" }: PolicyToAdd): void {
    const added: Omit<CompiledRule, "resume">[] = [];
    const start = this.#rules.length;
    const common = { policy: name, audit, interfaces };
    for (const rule of rules) {
      if (this.#hasExpired(rule)) continue;
      const { action } = rule;
      const products = protocolProducts(rule.protocols) ?? [undefined];
      const from = this.#addressSets(rule.from);
      const to = this.#addressSets(rule.to);
      const next = start + added.length + products.length;
      for (const protocols of products) {
        added.push({
          ...common,
          rule: rule.name,
          action: action.kind,
          isDefault: false,
          from,
          to,
          protocols,
          traits: rule.traits.reduce((bits, trait) => bits | TRAIT_BITS[trait], 0),
          rateLimit: action.kind === "Limit" ? action.rateLimit : undefined,
          redirect: action.kind === "Redirect" ? action.target : undefined,
          logOneIn: rule.logOneIn,
          next,
        });
      }
    }
    if (defaultAction !== "Pass") {
      added.push({
        ...common,
        rule: DEFAULT_RULE,
        action: defaultAction,
        isDefault: true,
        from: undefined,
        to: undefined,
        protocols: undefined,
        traits: 0,
        rateLimit: undefined,
        redirect: undefined,
        logOneIn: 0,
        next: start + added.length + 1,
      });
    }
    const resume = start + added.length;
    if (resume > Limits.MAX_RULES) {
      throw new CapacityError("rules", Limits.MAX_RULES, `policy ${name} needs ${resume}`, name);
    }
    for (const rule of added) this.#rules.push({ ...rule, resume });
  }

  finish(): Pick<RuleList, "rules" | "inlineSets" | "namedSets" | "nextExpiryMs"> {
    return {
      rules: this.#rules,
      inlineSets: this.#inlineSets,
      namedSets: this.#namedSets,
      nextExpiryMs: this.#nextExpiryMs,
    };
  }

  #hasExpired({ expiresAtMs }: RuleRecord): boolean {
    if (expiresAtMs === undefined) return false;
    if (expiresAtMs <= this.#input.nowMs) return true;
    this.#nextExpiryMs = Math.min(this.#nextExpiryMs ?? Infinity, expiresAtMs);
    return false;
  }

  /**
   * Each peer with exceptions is a set of its own, so that `except` carves only its own block (docs/xdp-policy.md §1);
   * all others of a rule are one.
   */
  #addressSets(peers: readonly Peer[]): readonly string[] | undefined {
    if (peers.length === 0) return undefined;
    const keys = new Set<string>();
    const plain: Cidr[] = [];
    for (const peer of peers) {
      if (peer.kind === "cidrSet") {
        keys.add(namedSetKey(peer.setName));
        this.#namedSets.add(peer.setName);
      } else if (peer.kind === "nodes") plain.push(...this.#nodeAddresses(peer));
      else if (peer.except.length === 0) plain.push(peer.cidr);
      else keys.add(this.#inlineSet({ cidrs: [peer.cidr], except: peer.except }));
    }
    if (plain.length > 0) keys.add(this.#inlineSet({ cidrs: plain, except: [] }));
    return [...keys];
  }

  #nodeAddresses(peer: Extract<Peer, { kind: "nodes" }>): readonly Cidr[] {
    return this.#input.nodes
      .filter(({ labels }) => selectorMatches(peer.selector, labels))
      .flatMap(({ addresses }) => addresses);
  }

  #inlineSet(set: InlineSet): string {
    const text = (cidrs: readonly Cidr[]) => [...new Set(cidrs.map(formatCidr))].sort().join(",");
    const key = `cidr:${text(set.cidrs)}!${text(set.except)}`;
    this.#inlineSets.set(key, set);
    return key;
  }
}
