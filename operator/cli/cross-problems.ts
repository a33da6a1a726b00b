import { CapacityError } from "../compile/capacity-error.js";
import { compileFieldClasses } from "../compile/field-classes.js";
import { compileRuleList, orderPolicies } from "../compile/rule-list.js";
import type { NodeRecord, Problem, XdpCidrSetRecord, XdpPolicyRecord } from "../model/records.js";

export interface CheckedRecords {
  readonly policies: readonly XdpPolicyRecord[];
  readonly sets: readonly XdpCidrSetRecord[];
  readonly nodes: readonly NodeRecord[];
}

/** What is wrong between objects that are each right by themselves. */
export function crossProblems(records: CheckedRecords): readonly Problem[] {
  return [...unknownSets(records), ...samePriorities(records), ...overCapacity(records)];
}

function unknownSets({ policies, sets }: CheckedRecords): readonly Problem[] {
  const known = new Set(sets.map(({ setName }) => setName));
  return policies.flatMap((policy) =>
    policy.rules.flatMap((rule, index) => {
      const fields = [
        ["from", rule.from],
        ["to", rule.to],
      ] as const;
      return fields.flatMap(([field, peers]) =>
        peers.flatMap((peer, place) =>
          peer.kind !== "cidrSet" || known.has(peer.setName)
            ? []
            : {
                ...about(policy, "error", "SLUICE_UNKNOWN_SET"),
                field: `spec.ingress[${index}].${field}[${place}].cidrSet`,
                message: `there is no set ${peer.setName}`,
                remedy: `Add an XdpCidrSet that feeds it${knownText(known)}`,
              },
        ),
      );
    }),
  );
}

function knownText(known: ReadonlySet<string>): string {
  if (known.size === 0) return "";
  const names = [...known].toSorted();
  const shown = names.slice(0, 5).join(", ");
  return `, or use one of ${shown}${names.length > 5 ? ", …" : ""}`;
}

function samePriorities({ policies }: CheckedRecords): readonly Problem[] {
  const ordered = orderPolicies(policies);
  return ordered.flatMap((policy, index) => {
    const before = ordered[index - 1];
    if (before?.priority !== policy.priority) return [];
    return {
      ...about(policy, "warning", "SLUICE_SAME_PRIORITY"),
      field: "spec.priority",
      message: `policy ${before.name} has the priority ${policy.priority}, too, and comes first by name`,
      remedy: "Give them different priorities to say which comes first",
    };
  });
}

/** As if one interface were judged by all policies: what fits then fits on every node. */
function overCapacity({ policies, nodes }: CheckedRecords): readonly Problem[] {
  try {
    const { rules } = compileRuleList({
      nodeLabels: {},
      interfaces: [{ name: "any", slot: 1, uplink: true }],
      policies: policies.map((policy) => ({ ...policy, interfaces: [], nodeSelector: {} })),
      nodes,
      failSafe: [],
      nodeLocal: [],
      nowMs: Date.now(),
    });
    compileFieldClasses(rules);
    return [];
  } catch (error) {
    if (!(error instanceof CapacityError)) throw error;
    const policy = policies.find(({ name }) => name === error.policy);
    return [
      {
        ...(policy === undefined
          ? { severity: "error", code: error.code, origin: { source: "all files together" } }
          : about(policy, "error", error.code)),
        message: error.problem,
        remedy: error.remedy ?? "Use fewer rules",
      },
    ];
  }
}

function about(
  { kind, name, origin }: XdpPolicyRecord,
  severity: Problem["severity"],
  code: string,
): Pick<Problem, "severity" | "code" | "origin" | "kind" | "name"> {
  return { severity, code, origin, kind, name };
}
