import { Limits } from "../../datapath/generated/layout.js";
import type { PodNetworkState, PodProblem, RuleState } from "../api/engine.js";
import { describePodRule } from "../compile/describe-pod-rule.js";
import type { PodRules } from "../compile/pod-rules.js";
import type { CompiledRule } from "../compile/rule-list.js";
import { describeBank } from "./bank-report.js";
import { readOutcomes, readRuleCounts } from "./counters.js";
import type { Firewall } from "./firewall.js";
import type { LocalEntry, LocalPodTable } from "./local-pod-table.js";
import type { PodDatapath } from "./pod-datapath.js";
import type { PodFlows } from "./pod-flows.js";
import { keyOf } from "./pod-objects.js";
import type { PodPrograms } from "./pod-programs.js";
import type { RuleSlots } from "./rule-slots.js";

/** What reports about pods are made of, at one moment. */
export interface PodPicture {
  readonly datapath: PodDatapath;
  readonly firewall: Firewall;
  readonly slots: RuleSlots;
  readonly local: LocalPodTable;
  /** Interface slots that have ever been in use are below this. */
  readonly usedSlots: number;
  readonly flows: PodFlows;
  readonly programs: PodPrograms;
  /** Undefined: an earlier agent's are in force. */
  readonly rules: PodRules | undefined;
  readonly applyError: string | undefined;
}

export function describePodNetwork({
  datapath,
  firewall,
  slots,
  local,
  rules,
  usedSlots,
  flows,
  programs,
  applyError,
}: PodPicture): Omit<PodNetworkState, "inSync" | "applyError" | "pools"> {
  const entries = [...local.entries.values()];
  /* Until the first application those that an earlier agent left are judged as they were. */
  const closed =
    rules === undefined
      ? []
      : entries.filter(({ isInForce, isConnected }) => !isInForce || !isConnected);
  const flowTable = flows.describe();
  return {
    flows: flowTable,
    generation: firewall.generation.number,
    pods: entries.length,
    closedPods: closed.length,
    programs: programs.state(),
    podProblems: closed.map((entry) => closedPod(entry, applyError)),
    policies: rules?.policyPods.size ?? 0,
    rules: rules?.rules.length ?? 0,
    reasons: readOutcomes(datapath, usedSlots).reasons,
    tables: [
      { name: "pods", used: entries.length, capacity: Limits.MAX_PODS },
      ...describeBank(datapath, firewall, slots),
      { name: "flows", used: flowTable.entries, capacity: flowTable.capacity },
    ],
  };
}

function closedPod(
  { link: { pod, hostName }, record, error, sinceMs }: LocalEntry,
  applyError: string | undefined,
): PodProblem {
  const { namespace, name } = record ?? pod;
  const uid = pod.uid ?? record?.staticUid ?? record?.uid;
  return {
    type: "Closed",
    ...(namespace !== undefined && { namespace }),
    ...(name !== undefined && { name }),
    ...(uid !== undefined && { uid }),
    since: new Date(sinceMs).toISOString(),
    message:
      record === undefined
        ? `the API server has not told of the pod behind ${hostName}`
        : (error?.message ?? applyError ?? "its policies are not in the kernel yet"),
  };
}

/** Rules in force in order of judgement; a rule that takes several bits is one row. */
export function describePodRules(picture: PodPicture): readonly RuleState[] {
  const { firewall, slots, rules, local } = picture;
  const tables = firewall.rules;
  if (tables === undefined || rules === undefined) return [];
  const counts = readRuleCounts(picture.datapath);
  const full = (name: string) => rules.fullNames.get(name) ?? name;
  const pods = podsBySlot(local);
  const rows = new Map<number, CompiledRule[]>();
  tables.rules.forEach((rule, index) => {
    const slot = tables.slots[index]!;
    if (slots.owner(slot) === undefined) return;
    const bits = rows.get(slot);
    if (bits === undefined) rows.set(slot, [rule]);
    else bits.push(rule);
  });
  return [...rows].map(([slot, bits]) => {
    const [{ policy, rule, action, audit }] = bits as [CompiledRule];
    const sinceMs = slots.countedSinceMs(slot);
    const subjects = new Set(bits.flatMap(({ interfaces }) => interfaces));
    return {
      policy: full(policy),
      rule: full(rule),
      action,
      mode: audit ? ("Audit" as const) : ("Enforce" as const),
      interfaces: [...new Set([...subjects].flatMap((one) => pods.get(one) ?? []))].sort(),
      match: [...new Set(bits.map(describePodRule))].join(" | "),
      ...counts(slot),
      ...(sinceMs !== undefined && { countedSince: new Date(sinceMs).toISOString() }),
    };
  });
}

function podsBySlot(local: LocalPodTable): ReadonlyMap<number, string> {
  return new Map(
    local.subjects().flatMap(({ record, place: { slotOut, slotIn } }) => {
      const key = keyOf(record);
      return [[slotOut, key] as const, [slotIn, key] as const];
    }),
  );
}
