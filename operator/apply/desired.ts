import { compileFieldClasses } from "../compile/field-classes.js";
import {
  compileRuleList,
  judgedInterfaces,
  namedSetKey,
  type NodeInterface,
  type RuleList,
} from "../compile/rule-list.js";
import {
  inlineSetContent,
  type SetContent,
  type SetPart,
  setPart,
} from "../compile/set-content.js";
import type { RuleRecord, XdpCidrSetRecord, XdpPolicyRecord } from "../model/records.js";
import type { DesiredFirewall } from "./firewall.js";
import type { ObjectStore } from "./object-store.js";

/** An interface of the node before it has a slot. */
export interface PresentInterface {
  readonly name: string;
  readonly index: number;
  readonly uplink: boolean;
}

export interface DesiredInput {
  readonly nodeLabels: Readonly<Record<string, string>>;
  readonly present: readonly PresentInterface[];
  readonly slotOf: (index: number) => number | undefined;
  readonly policies: readonly XdpPolicyRecord[];
  readonly store: Pick<ObjectStore, "nodes" | "feeding">;
  readonly failSafe: readonly RuleRecord[];
  readonly nodeLocal: readonly RuleRecord[];
  readonly passUnparsable: boolean;
  readonly eventsPerSecond: number;
  readonly nowMs: number;
}

export interface Desired {
  readonly firewall: DesiredFirewall;
  readonly ruleList: RuleList;
  /** Interface indices that some policy judges. */
  readonly judged: ReadonlySet<number>;
  /** When something expires next, milliseconds since the epoch. */
  readonly nextExpiryMs: number | undefined;
}

/** Names of the sets that a policy's rules use. */
export function usedSets(policy: XdpPolicyRecord): ReadonlySet<string> {
  const names = policy.rules.flatMap(({ from, to }) =>
    [...from, ...to].flatMap((peer) => (peer.kind === "cidrSet" ? [peer.setName] : [])),
  );
  return new Set(names);
}

/** Keeps the parts of objects that did not change: reading a million entries takes a tenth of a second. */
export class SetContentCache {
  readonly #parts = new WeakMap<XdpCidrSetRecord, SetPart>();
  readonly #named = new Map<string, SetContent>();
  readonly #inline = new Map<string, SetContent>();

  named(setName: string, records: readonly XdpCidrSetRecord[], nowMs: number): SetContent {
    const parts = new Map(records.map((record) => [record.name, this.#part(record, nowMs)]));
    const known = this.#named.get(setName);
    if (known !== undefined && sameParts(known.parts, parts)) return known;
    const content = { parts, v4Root: false, v6Root: false };
    this.#named.set(setName, content);
    return content;
  }

  inline(sets: RuleList["inlineSets"]): ReadonlyMap<string, SetContent> {
    for (const key of this.#inline.keys()) if (!sets.has(key)) this.#inline.delete(key);
    for (const [key, set] of sets) {
      if (!this.#inline.has(key)) this.#inline.set(key, inlineSetContent(set));
    }
    return this.#inline;
  }

  /** Content of a set as last computed. */
  content(setName: string): SetContent | undefined {
    return this.#named.get(setName);
  }

  retain(setNames: ReadonlySet<string>): void {
    for (const name of this.#named.keys()) if (!setNames.has(name)) this.#named.delete(name);
  }

  #part(record: XdpCidrSetRecord, nowMs: number): SetPart {
    const known = this.#parts.get(record);
    if (known !== undefined && nowMs < (known.nextExpiryMs ?? Infinity)) return known;
    const part = setPart(record.entries, nowMs);
    this.#parts.set(record, part);
    return part;
  }
}

function sameParts(left: SetContent["parts"], right: SetContent["parts"]): boolean {
  return left.size === right.size && [...left].every(([name, part]) => right.get(name) === part);
}

/** @throws CapacityError */
export function compileDesired(input: DesiredInput, cache: SetContentCache): Desired {
  const { policies, present, nowMs } = input;
  const byIndex = present.map(({ name, index, uplink }) => ({ name, uplink, slot: index }));
  const judged = new Set(
    policies.flatMap((policy) => judgedInterfaces(policy, input.nodeLabels, byIndex)),
  );
  if (input.nodeLocal.length > 0) {
    for (const { index, uplink } of present) if (uplink) judged.add(index);
  }
  const interfaces: NodeInterface[] = [];
  for (const { name, index, uplink } of present) {
    const slot = judged.has(index) ? input.slotOf(index) : undefined;
    if (slot !== undefined) interfaces.push({ name, slot, uplink });
  }
  const ruleList = compileRuleList({
    nodeLabels: input.nodeLabels,
    interfaces,
    policies,
    nodes: [...input.store.nodes.values()],
    failSafe: input.failSafe,
    nodeLocal: input.nodeLocal,
    nowMs,
  });
  const contents = new Map<string, SetContent>(cache.inline(ruleList.inlineSets));
  cache.retain(ruleList.namedSets);
  for (const name of ruleList.namedSets) {
    contents.set(namedSetKey(name), cache.named(name, input.store.feeding(name), nowMs));
  }
  const expiries = [
    ruleList.nextExpiryMs ?? Infinity,
    ...[...contents.values()].flatMap(({ parts }) =>
      [...parts.values()].map(({ nextExpiryMs }) => nextExpiryMs ?? Infinity),
    ),
  ];
  const next = Math.min(...expiries);
  return {
    firewall: {
      rules: ruleList.rules,
      fieldClasses: compileFieldClasses(ruleList.rules),
      contents,
      judgedSlots: ruleList.judgedSlots,
      enforcedSlots: ruleList.enforcedSlots,
      passUnparsable: input.passUnparsable,
      eventsPerSecond: input.eventsPerSecond,
    },
    ruleList,
    judged,
    nextExpiryMs: next === Infinity ? undefined : next,
  };
}
