import { compileFieldClasses } from "../compile/field-classes.js";
import {
  compileRuleList,
  judgedInterfaces,
  namedSetKey,
  type NodeInterface,
  type RuleList,
} from "../compile/rule-list.js";
import { inlineSetContent, namedSetContent, type SetContent } from "../compile/set-content.js";
import type { Problem, RuleRecord, XdpCidrSetRecord, XdpPolicyRecord } from "../model/records.js";
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
  readonly store: ObjectStore;
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

/** Keeps the content of sets whose objects did not change: sorting a million entries takes 0.2 s. */
export class SetContentCache {
  readonly #known = new Map<
    string,
    { readonly records: readonly XdpCidrSetRecord[]; readonly content: SetContent }
  >();
  readonly #inline = new Map<string, SetContent>();

  named(setName: string, records: readonly XdpCidrSetRecord[], nowMs: number): SetContent {
    const known = this.#known.get(setName);
    if (
      known !== undefined &&
      known.records.length === records.length &&
      known.records.every((record, index) => record === records[index]) &&
      nowMs < (known.content.nextExpiryMs ?? Infinity)
    ) {
      return known.content;
    }
    const content = namedSetContent(
      records.map(({ entries }) => entries),
      nowMs,
    );
    this.#known.set(setName, { records, content });
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
    return this.#known.get(setName)?.content;
  }

  retain(setNames: ReadonlySet<string>): void {
    for (const name of this.#known.keys()) if (!setNames.has(name)) this.#known.delete(name);
  }
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
    ...[...contents.values()].map(({ nextExpiryMs }) => nextExpiryMs ?? Infinity),
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

/** A policy that cannot be carried out, as the report shows it. */
export function policyProblem(
  policy: XdpPolicyRecord,
  code: string,
  message: string,
  remedy: string,
  severity: Problem["severity"] = "error",
): Problem {
  return {
    severity,
    code,
    origin: policy.origin,
    kind: policy.kind,
    name: policy.name,
    message,
    remedy,
  };
}
