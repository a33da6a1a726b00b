import { Limits, layoutHash } from "../../datapath/generated/layout.js";
import type {
  EngineStatus,
  ExceptionCounts,
  InterfaceState,
  PolicyState,
  RuleState,
  SetObjectState,
  SetState,
  TableState,
} from "../api/engine.js";
import { describeRule } from "../compile/describe-rule.js";
import {
  type CompiledRule,
  DEFAULT_RULE,
  FAIL_SAFE_POLICY,
  NODE_LOCAL_POLICY,
} from "../compile/rule-list.js";
import { selectorMatches } from "../compile/selectors.js";
import type { CidrList, Problem, RuleRecord, XdpCidrSetRecord } from "../model/records.js";
import { version } from "../version.js";
import type { AttachmentState } from "./attachments.js";
import type { Confirmations } from "./confirmations.js";
import { describeBank } from "./bank-report.js";
import { readOutcomes, readRuleCounts } from "./counters.js";
import type { Datapath } from "./datapath.js";
import type { Desired, PresentInterface, SetContentCache } from "./desired.js";
import { usedSets } from "./desired.js";
import type { Firewall } from "./firewall.js";
import type { ObjectStore } from "./object-store.js";
import type { PolicyVersions } from "./policy-versions.js";
import type { RuleSlots } from "./rule-slots.js";

/** Everything reports are made of, at one moment. */
export interface Picture {
  readonly datapath: Datapath;
  readonly firewall: Firewall;
  readonly attachments: readonly AttachmentState[];
  readonly slots: RuleSlots;
  readonly desired: Desired | undefined;
  readonly store: ObjectStore;
  readonly cache: SetContentCache;
  readonly versions: PolicyVersions;
  readonly confirmations: Confirmations;
  readonly failSafe: readonly RuleRecord[];
  readonly nodeLocal: readonly RuleRecord[];
  readonly present: readonly PresentInterface[];
  readonly problems: readonly Problem[];
  readonly nodeLabels: Readonly<Record<string, string>>;
}

/** Rules in force in order of judgement; a rule that takes several bits is one row. */
export function describeRules(picture: Picture): readonly RuleState[] {
  const { firewall, slots, versions } = picture;
  const tables = firewall.rules;
  if (tables === undefined) return [];
  const counts = readRuleCounts(picture.datapath);
  const names = interfaceNames(picture);
  const records = recordsByRule(picture);
  const seen = new Set<number>();
  return tables.rules.flatMap((rule, index) => {
    const slot = tables.slots[index]!;
    if (seen.has(slot) || slots.owner(slot) === undefined) return [];
    seen.add(slot);
    const record = records.get(`${rule.policy}\0${rule.rule}`);
    const priority = versions.inForce(rule.policy)?.priority;
    return [
      {
        policy: rule.policy,
        rule: rule.rule,
        action: rule.action,
        mode: rule.audit ? ("Audit" as const) : ("Enforce" as const),
        ...(priority !== undefined && { priority }),
        interfaces: rule.interfaces.flatMap((slot) => names.get(slot) ?? []),
        match: record === undefined ? matchOfBuiltIn(rule) : describeRule(record),
        ...counts(slot),
        ...(record?.expiresAtMs !== undefined && {
          expiresAt: new Date(record.expiresAtMs).toISOString(),
        }),
      },
    ];
  });
}

export function describeSets(picture: Picture): readonly SetState[] {
  const { store, versions, cache } = picture;
  const policies = [...store.policies.keys()].flatMap((name) => versions.inForce(name) ?? []);
  const names = new Set([...store.setNames(), ...versions.usedSets()]);
  return [...names].sort().map((name) => {
    const objects = store.feeding(name);
    /* A set in force is counted as it is; one that no rule uses, as its objects are written. */
    const parts = [...(cache.content(name)?.parts.values() ?? [])];
    const lists = parts.length > 0 ? parts : objects.map(({ entries }) => listSizes(entries));
    const next = Math.min(...parts.map(({ nextExpiryMs }) => nextExpiryMs ?? Infinity));
    return {
      name,
      objects: describeSetObjects(objects, versions.feedingInForce(name) ?? []),
      ipv4Prefixes: sum(lists.map(({ v4 }) => v4.length)),
      ipv6Prefixes: sum(lists.map(({ v6 }) => v6.length)),
      usedBy: policies.filter((policy) => usedSets(policy).has(name)).map((policy) => policy.name),
      ...(next !== Infinity && { nextExpiry: new Date(next).toISOString() }),
    };
  });
}

function describeSetObjects(
  newest: readonly XdpCidrSetRecord[],
  inForce: readonly XdpCidrSetRecord[],
): readonly SetObjectState[] {
  const generations = new Map(inForce.map(({ name, generation }) => [name, generation]));
  return newest.map(({ name, generation }) => {
    const generationInForce = generations.get(name);
    return { name, generation, ...(generationInForce !== undefined && { generationInForce }) };
  });
}

export interface StatusFacts {
  readonly node: string;
  readonly startedAt: Date;
  readonly requestedMode: InterfaceState["requestedMode"];
  readonly inSync: boolean;
  readonly applyError: string | undefined;
  readonly lastApply: EngineStatus["lastApply"];
  readonly exceptions: ExceptionCounts | undefined;
  readonly source: EngineStatus["source"] | undefined;
  readonly sourceProblems: readonly Problem[];
  readonly podNetwork: EngineStatus["podNetwork"] | undefined;
}

export function describeStatus(picture: Picture, facts: StatusFacts): EngineStatus {
  const { datapath, firewall } = picture;
  return {
    node: facts.node,
    version,
    startedAt: facts.startedAt.toISOString(),
    inSync: facts.inSync,
    generation: firewall.generation.number,
    layout: layoutHash,
    pinFolder: datapath.folder,
    interfaces: describeInterfaces(picture, facts.requestedMode),
    policies: describePolicies(picture),
    tables: describeTables(picture),
    problems: [...facts.sourceProblems, ...picture.problems],
    ...(facts.exceptions !== undefined && { exceptions: facts.exceptions }),
    ...(facts.applyError !== undefined && { applyError: facts.applyError }),
    ...(facts.lastApply !== undefined && { lastApply: facts.lastApply }),
    ...(facts.source !== undefined && { source: facts.source }),
    ...(facts.podNetwork !== undefined && { podNetwork: facts.podNetwork }),
  };
}

function describeInterfaces(
  { datapath, attachments }: Picture,
  requestedMode: InterfaceState["requestedMode"],
): readonly InterfaceState[] {
  const { verdicts } = readOutcomes(datapath);
  return attachments.map(({ name, index, slot, mode, programId, message }) => ({
    name,
    index,
    requestedMode,
    mode,
    attached: mode !== "none",
    ...(programId !== undefined && { programId }),
    ...(message !== undefined && { message }),
    verdicts: verdicts(slot),
  }));
}

function describePolicies(picture: Picture): readonly PolicyState[] {
  const { store, versions, confirmations, desired, problems, nodeLabels } = picture;
  const names = interfaceNames(picture);
  return [...store.policies.values()].map((newest) => {
    const inForce = versions.inForce(newest.name);
    const slots = desired?.ruleList.policyInterfaces.get(newest.name) ?? [];
    const trial = confirmations.state(newest);
    return {
      name: newest.name,
      generation: newest.generation,
      priority: newest.priority,
      mode: newest.mode,
      selected: selectorMatches(newest.nodeSelector, nodeLabels),
      inForce: inForce !== undefined && slots.length > 0,
      interfaces: slots.flatMap((slot) => names.get(slot) ?? []),
      rules: newest.rules.length,
      ...(inForce !== undefined && inForce !== newest && { generationInForce: inForce.generation }),
      ...(trial?.outcome === "waiting" && {
        confirmBy: new Date(trial.deadlineMs).toISOString(),
      }),
      ...(trial?.outcome === "rolled-back" && { rolledBack: true }),
      problems: problems.filter(({ name, kind }) => kind === "XdpPolicy" && name === newest.name),
    };
  });
}

function describeTables({
  datapath,
  firewall,
  slots,
  attachments,
}: Picture): readonly TableState[] {
  const [rules, names, ...others] = describeBank(datapath, firewall, slots);
  return [
    rules,
    names,
    { name: "limits", used: firewall.rules?.limitCount ?? 0, capacity: Limits.MAX_LIMITS },
    ...others,
    { name: "interfaces", used: attachments.length, capacity: Limits.MAX_UPLINK_SLOTS - 1 },
  ];
}

function recordsByRule(picture: Picture): ReadonlyMap<string, RuleRecord> {
  const records = new Map<string, RuleRecord>();
  const add = (policy: string, rules: readonly RuleRecord[]) => {
    for (const rule of rules) records.set(`${policy}\0${rule.name}`, rule);
  };
  add(FAIL_SAFE_POLICY, picture.failSafe);
  add(NODE_LOCAL_POLICY, picture.nodeLocal);
  for (const name of picture.store.policies.keys()) {
    add(name, picture.versions.inForce(name)?.rules ?? []);
  }
  return records;
}

function interfaceNames({ attachments, present }: Picture): ReadonlyMap<number, string> {
  const byIndex = new Map(present.map(({ index, name }) => [index, name]));
  return new Map(attachments.map(({ slot, index, name }) => [slot, byIndex.get(index) ?? name]));
}

function matchOfBuiltIn({ rule }: CompiledRule): string {
  return rule === DEFAULT_RULE ? "any packet" : "";
}

function listSizes({ v4, v6 }: CidrList) {
  return { v4: { length: v4.length.length }, v6: { length: v6.length.length } };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
