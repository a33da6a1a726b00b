import { formatCidr } from "../model/cidr-format.js";
import type { Cidr, LabelSelector, ProtocolMatch } from "../model/records.js";
import type {
  ClusterNetworkPolicyRecord,
  NetworkPolicyRecord,
  PodPeer,
  PodRule,
} from "../model/records-network-policy.js";
import type { NamedPort } from "../model/records-pod.js";
import type { Subject } from "./local-pods.js";
import type { Block, SetSource } from "./member-set.js";
import type { PodIndex } from "./pod-index.js";
import type { PodSelection, PortMembers, PortSplit } from "./pod-selection.js";
import { protocolProducts } from "./protocol-boxes.js";
import type { CompiledRule, InlineSet } from "./rule-list.js";

export type PodPolicyRecord = NetworkPolicyRecord | ClusterNetworkPolicyRecord;
export type Direction = "ingress" | "egress";

/** A rule before it has its place. */
export type RulePart = Omit<CompiledRule, "next" | "resume"> & {
  /** Bits of its rule from this one on, itself included. */
  readonly bitsLeft: number;
};

/** What one policy comes to on this node. */
export interface PolicyBlock {
  readonly policy: PodPolicyRecord;
  /** Policies of one tier are judged in the order of these texts (C2). */
  readonly order: string;
  readonly subjects: readonly Subject[];
  readonly parts: readonly RulePart[];
  /** By the keys that the parts use. */
  readonly sets: ReadonlyMap<string, SetSource>;
  readonly used: ReadonlySet<PodSelection | PortSplit>;
  /** Numbers that named ports had when the parts were made. */
  readonly ports: ReadonlyMap<PortSplit, readonly PortMembers[]>;
  /** Name in reports, and keys of the subjects. */
  readonly name: string;
  readonly pods: readonly string[];
  /** What the parts last were, behind so many other rules: mostly they are it again after a change. */
  placed: PlacedRules | undefined;
}

export interface PlacedRules {
  readonly start: number;
  readonly resume: number;
  readonly rules: readonly CompiledRule[];
}

/** Where sets come from. */
export interface PeerSets {
  readonly index: PodIndex;
  inline(key: string, set: InlineSet): SetSource;
  nodes(selector: LabelSelector): readonly [key: string, set: SetSource];
}

const EVERYTHING: LabelSelector = {};
/** C10: what a rule with an entry that is not known denies. */
const ANYTHING: PodRule = { peers: [], protocols: [] };

/** Whether a block is still what compiling would give. */
export function isCurrent({ ports }: PolicyBlock): boolean {
  for (const [split, used] of ports) if (split.ports !== used) return false;
  return true;
}

/** Name for people and reports. */
export function policyName(policy: PodPolicyRecord): string {
  return policy.kind === "NetworkPolicy"
    ? `NetworkPolicy ${policy.namespace}/${policy.name}`
    : `ClusterNetworkPolicy ${policy.name}`;
}

/** By priority, then by name in byte order. */
export function orderOf(policy: PodPolicyRecord): string {
  const name = Buffer.from(policy.name).toString("latin1");
  return policy.kind === "NetworkPolicy"
    ? `${Buffer.from(policy.namespace).toString("latin1")}/${name}`
    : `${String(policy.priority).padStart(4, "0")} ${name}`;
}

export function compileBlock(
  policy: PodPolicyRecord,
  subjects: readonly Subject[],
  sets: PeerSets,
): PolicyBlock {
  const builder = new BlockBuilder(policy, subjects, sets);
  const taken = new Set<string>();
  for (const direction of ["ingress", "egress"] as const) {
    if (policy.kind === "NetworkPolicy") {
      policy[direction]?.forEach((rule, index) => {
        if (!isUnknown(rule)) builder.add(direction, `${direction}[${index}]`, "Accept", rule);
      });
      continue;
    }
    policy[direction].forEach((rule, index) => {
      const place = `${direction}[${index}]`;
      const name = ruleName(rule.name, place, taken);
      taken.add(name);
      if (!isUnknown(rule)) {
        const action = rule.action === "Deny" ? "Drop" : rule.action;
        builder.add(direction, name, action, rule);
      } else if (rule.action !== "Accept") {
        builder.add(direction, name, "Drop", ANYTHING);
      }
    });
  }
  return builder.block;
}

/** Names need not be unique in a policy, but what packets are counted by must be. */
function ruleName(name: string, place: string, taken: ReadonlySet<string>): string {
  if (name === "") return place;
  return taken.has(name) ? `${name} (${place})` : name;
}

function isUnknown({ peers, protocols }: PodRule): boolean {
  return [...peers, ...protocols].some(({ kind }) => kind === "unknown");
}

type Slots = readonly number[];
type Draft = Pick<RulePart, "from" | "to" | "protocols" | "interfaces">;

class BlockBuilder {
  readonly #policy: PodPolicyRecord;
  readonly #subjects: readonly Subject[];
  readonly #source: PeerSets;
  readonly #parts: RulePart[] = [];
  readonly #sets = new Map<string, SetSource>();
  readonly #used = new Set<PodSelection | PortSplit>();
  readonly #ports = new Map<PortSplit, readonly PortMembers[]>();

  constructor(policy: PodPolicyRecord, subjects: readonly Subject[], source: PeerSets) {
    this.#policy = policy;
    this.#subjects = subjects;
    this.#source = source;
  }

  get block(): PolicyBlock {
    return {
      policy: this.#policy,
      order: orderOf(this.#policy),
      subjects: this.#subjects,
      parts: this.#parts,
      sets: this.#usedSets(),
      used: this.#used,
      ports: this.#ports,
      name: policyName(this.#policy),
      pods: this.#subjects.map(({ key }) => key),
      placed: undefined,
    };
  }

  /** A rule that no pod has here is no part, and its sets are in no table. */
  #usedSets(): ReadonlyMap<string, SetSource> {
    const sets = new Map<string, SetSource>();
    for (const { from = [], to = [] } of this.#parts) {
      for (const key of [...from, ...to]) sets.set(key, this.#sets.get(key)!);
    }
    return sets;
  }

  add(direction: Direction, rule: string, action: RulePart["action"], content: PodRule): void {
    const drafts = direction === "ingress" ? this.#ingress(content) : this.#egress(content);
    drafts.forEach((draft, index) => {
      this.#parts.push({
        policy: policyName(this.#policy),
        rule,
        action,
        audit: this.#policy.mode === "Audit",
        isDefault: false,
        ...draft,
        traits: 0,
        rateLimit: undefined,
        redirect: undefined,
        logOneIn: 0,
        bitsLeft: drafts.length - index,
      });
    });
  }

  /** N26: a port name is what it is on the pod that receives, so pods that differ in it get a bit each. */
  #ingress(rule: PodRule): readonly Draft[] {
    const from = this.#peerKeys(rule.peers);
    if (from?.length === 0) return [];
    const byMatches = new Map<string, { matches: readonly ProtocolMatch[]; slots: number[] }>();
    for (const { slotIn, namedPorts } of this.#subjects) {
      const matches = resolve(rule, namedPorts);
      if (rule.protocols.length > 0 && matches.length === 0) continue;
      const text = JSON.stringify(matches);
      const same = byMatches.get(text);
      if (same === undefined) byMatches.set(text, { matches, slots: [slotIn] });
      else same.slots.push(slotIn);
    }
    return [...byMatches.values()].flatMap(({ matches, slots }) =>
      draftsOf({ from, to: undefined }, matches, slots),
    );
  }

  /** N26, N27: a bit for what has a number, and one for each number that the names have on peers. */
  #egress(rule: PodRule): readonly Draft[] {
    const slots = this.#subjects.map(({ slotOut }) => slotOut);
    if (slots.length === 0) return [];
    const drafts: Draft[] = [];
    const numbered = resolve(rule, []);
    if (rule.protocols.length === 0 || numbered.length > 0) {
      const to = this.#peerKeys(rule.peers);
      if (to?.length !== 0) drafts.push(...draftsOf({ from: undefined, to }, numbered, slots));
    }
    const byPort = new Map<string, { match: ProtocolMatch; to: Set<string> }>();
    for (const protocol of rule.protocols) {
      if (protocol.kind !== "namedPort") continue;
      for (const selection of this.#podsOf(rule.peers)) {
        for (const { key, ...port } of this.#split(selection, protocol.name)) {
          if (protocol.protocol !== undefined && protocol.protocol !== port.protocol) continue;
          const match = portMatch(port);
          const text = JSON.stringify(match);
          const entry = byPort.get(text) ?? { match, to: new Set() };
          byPort.set(text, entry);
          entry.to.add(key);
          this.#sets.set(key, port.members);
        }
      }
    }
    for (const { match, to } of byPort.values()) {
      drafts.push(...draftsOf({ from: undefined, to: [...to] }, [match], slots));
    }
    return drafts;
  }

  #split(selection: PodSelection, name: string): readonly PortMembers[] {
    const split = selection.split(name);
    this.#used.add(split);
    this.#ports.set(split, split.ports);
    return split.ports;
  }

  /** The pods among the peers: nothing else has port names. */
  #podsOf(peers: readonly PodPeer[]): readonly PodSelection[] {
    const { index } = this.#source;
    if (peers.length === 0) return [index.select(EVERYTHING, EVERYTHING)];
    return peers.flatMap((peer) => {
      if (peer.kind === "pods") return this.#select(peer);
      return peer.kind === "cidr" ? index.selectBlock(peer) : [];
    });
  }

  #select({ namespaceSelector, podSelector }: Extract<PodPeer, { kind: "pods" }>): PodSelection {
    const own = this.#policy.kind === "NetworkPolicy" ? this.#policy.namespace : EVERYTHING;
    return this.#source.index.select(namespaceSelector ?? own, podSelector);
  }

  /** Blocks with exceptions are sets of their own, so that `except` carves only its own block (N18). */
  #peerKeys(peers: readonly PodPeer[]): readonly string[] | undefined {
    if (peers.length === 0) return undefined;
    const keys = new Set<string>();
    const plain: Cidr[] = [];
    for (const peer of peers) {
      if (peer.kind === "pods") {
        const selection = this.#select(peer);
        this.#used.add(selection);
        this.#sets.set(selection.key, selection.whole());
        keys.add(selection.key);
      } else if (peer.kind === "nodes") {
        const [key, set] = this.#source.nodes(peer.selector);
        this.#sets.set(key, set);
        keys.add(key);
      } else if (peer.kind === "cidr") {
        if (peer.except.length === 0) plain.push(peer.cidr);
        else keys.add(this.#inline(peer));
      }
      // Domain names are not supported (C12), and match nothing.
    }
    if (plain.length > 0) keys.add(this.#inline({ cidrs: plain, except: [] }));
    return [...keys];
  }

  #inline(set: InlineSet | Block): string {
    const cidrs = "cidr" in set ? [set.cidr] : set.cidrs;
    const text = (list: readonly Cidr[]) => [...new Set(list.map(formatCidr))].sort().join(",");
    const key = `cidr:${text(cidrs)}!${text(set.except)}`;
    this.#sets.set(key, this.#source.inline(key, { cidrs, except: set.except }));
    return key;
  }
}

/** Entries with numbers; named ones by the ports of the pod that receives. */
function resolve({ protocols }: PodRule, ports: readonly NamedPort[]): readonly ProtocolMatch[] {
  return protocols.flatMap((protocol): readonly ProtocolMatch[] => {
    if (protocol.kind === "unknown") return [];
    if (protocol.kind !== "namedPort") return [protocol];
    return ports
      .filter((port) => port.name === protocol.name)
      .filter((port) => protocol.protocol === undefined || protocol.protocol === port.protocol)
      .map(portMatch);
  });
}

function portMatch({ protocol, port }: Pick<NamedPort, "protocol" | "port">): ProtocolMatch {
  return { kind: protocol, destinationPort: { start: port, end: port } };
}

/** No matches: any protocol. */
function draftsOf(
  peers: Pick<Draft, "from" | "to">,
  matches: readonly ProtocolMatch[],
  interfaces: Slots,
): readonly Draft[] {
  const products = protocolProducts(matches) ?? [undefined];
  return products.map((protocols) => ({ ...peers, protocols, interfaces }));
}
