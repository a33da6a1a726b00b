import type { EngineStatus, InterfaceState, PodPolicyState, TableState } from "../api/engine.js";
import type { NodeDatapathManifest } from "../model/generated/node-datapath.js";
import { toConditions } from "./condition.js";
import { describePodPolicies } from "./describe-pod-policies.js";
import { describePolicy } from "./describe-policy.js";
import { limitList, type Limited } from "./limit-list.js";
import { podsFinding } from "./pods-ready.js";
import { readyFinding } from "./ready.js";
import { shorten } from "./shorten.js";
import { isToldElsewhere } from "./told-elsewhere.js";

/** What a NodeDatapath tells of its node. */
export type NodeStatus = NonNullable<NodeDatapathManifest["status"]>;

/** What the kernel offers, as the probe of the datapath found it. */
export interface NodeFacts {
  /** As `uname -r`. */
  readonly kernelVersion: string;
  readonly features: readonly {
    readonly name: string;
    readonly answer: "yes" | "no" | "unknown";
    /** First kernel that has it. */
    readonly since: string;
  }[];
  /** Programs besides those at the XDP hook, which the interfaces tell. */
  readonly programs?: NonNullable<NodeStatus["programs"]>;
}

/** As `maxItems` in crds/nodedatapaths.yaml. */
const most = {
  interfaces: 256,
  programs: 64,
  features: 64,
  tables: 64,
  policies: 1000,
  failures: 100,
} as const;

const modes = { native: "Native", generic: "Generic", offload: "Offload", none: "None" } as const;

/**
 * What the NodeDatapath of a node says. It has no packet counters, and table use only coarsely: it must change with
 * the node's state and not with its traffic.
 *
 * @param podPolicies undefined without a pod network
 * @param before what it said last; times of conditions and small changes of table use are kept from it
 */
export function describeNode(
  status: EngineStatus,
  podPolicies: readonly PodPolicyState[] | undefined,
  facts: NodeFacts,
  before: NodeStatus | undefined,
  nowMs: number,
): NodeStatus {
  const lists = {
    interfaces: limitList(status.interfaces.map(describeInterface), most.interfaces, (entry) =>
      entry.state === "Attached" ? 1 : 0,
    ),
    programs: limitList(describePrograms(status, facts), most.programs),
    features: limitList(describeFeatures(facts), most.features, ({ available }) =>
      available === "Yes" ? 1 : 0,
    ),
    tables: limitList(
      status.tables.map((table) => describeTable(table, before)),
      most.tables,
    ),
    policies: limitList(
      status.policies.flatMap((policy) => describePolicy(policy, status) ?? []),
      most.policies,
      ({ state }) => (acting.has(state) ? 1 : 0),
    ),
    failures: limitList(describeFailures(status), most.failures),
  };
  const pods = podPolicies && describePodPolicies(podPolicies);
  const omitted = Object.fromEntries(
    Object.entries<Pick<Limited<unknown>, "omitted">>({
      ...lists,
      ...(pods && { podPolicies: pods }),
    })
      .filter(([, { omitted }]) => omitted > 0)
      .map(([name, { omitted }]) => [name, omitted]),
  );
  const attached = status.interfaces.filter((entry) => entry.attached).length;
  return {
    conditions: toConditions(
      [
        readyFinding(status, lists.policies.entries, pods?.status.entries),
        ...(status.podNetwork === undefined ? [] : [podsFinding(status.podNetwork, nowMs)]),
      ],
      before?.conditions ?? [],
      nowMs,
    ),
    agentVersion: status.version.slice(0, 64),
    kernelVersion: facts.kernelVersion.slice(0, 64),
    layout: status.layout.slice(0, 64),
    attached: `${attached}/${status.interfaces.length}`,
    interfaces: lists.interfaces.entries,
    programs: lists.programs.entries,
    features: lists.features.entries,
    tables: lists.tables.entries,
    policies: lists.policies.entries,
    ...(pods !== undefined && { podPolicies: pods.status }),
    failures: lists.failures.entries,
    ...(Object.keys(omitted).length > 0 && { omitted }),
  };
}

const acting: ReadonlySet<string> = new Set(["Enforcing", "Auditing", "Unconfirmed", "Idle"]);

type Entry<Name extends keyof typeof most> = NonNullable<NodeStatus[Name]>[number];

function describeInterface(state: InterfaceState): Entry<"interfaces"> {
  const { name, requestedMode, mode, attached, programId, message } = state;
  return {
    name,
    requestedMode: modes[requestedMode],
    mode: modes[mode],
    state: attached ? "Attached" : "Failed",
    ...(programId !== undefined && { programId }),
    ...(message !== undefined && { message: shorten(message) }),
  };
}

function describePrograms({ interfaces }: EngineStatus, facts: NodeFacts): Entry<"programs">[] {
  const ids = new Set(interfaces.flatMap(({ programId }) => programId ?? []));
  const uplinks = [...ids].map((id) => ({ name: "uplink", id, hook: "xdp" }));
  return [...uplinks, ...(facts.programs ?? []).filter(({ id }) => !ids.has(id))].sort(
    (a, b) => a.id - b.id,
  );
}

function describeFeatures({ features }: NodeFacts): Entry<"features">[] {
  const answers = { yes: "Yes", no: "No", unknown: "Unknown" } as const;
  const remarks = {
    yes: undefined,
    no: "since kernel",
    unknown: "not permitted to ask; since kernel",
  };
  return features.map(({ name, answer, since }) => {
    const remark = remarks[answer];
    return {
      name,
      available: answers[answer],
      ...(remark !== undefined && { remark: `${remark} ${since}` }),
    };
  });
}

/** A use that is worth a write of its own: see `tables` in the CRD. */
const STEP = 0.05;
const NEARLY_FULL = 0.9;

function describeTable(
  { name, used, capacity }: TableState,
  before: NodeStatus | undefined,
): Entry<"tables"> {
  const told = before?.tables?.find((table) => table.name === name);
  const now = { name, used, capacity };
  if (told === undefined || told.capacity !== capacity || capacity === 0) return now;
  const isNear = (entries: number) => entries / capacity >= NEARLY_FULL;
  const hasMoved = Math.abs(used - told.used) / capacity >= STEP;
  return hasMoved || isNear(used) !== isNear(told.used) ? now : told;
}

function describeFailures({ problems, applyError }: EngineStatus): Entry<"failures">[] {
  const own = problems.filter(
    ({ severity, code }) => severity === "error" && !isToldElsewhere(code),
  );
  const failures = own.map(({ code, kind, name, field, message, remedy }) => ({
    code: code.slice(0, 64),
    message: shorten(message),
    remedy: shorten(remedy),
    ...(kind !== undefined && { kind: kind.slice(0, 63) }),
    ...(name !== undefined && { name: name.slice(0, 253) }),
    ...(field !== undefined && { field: field.slice(0, 512) }),
  }));
  if (applyError === undefined) return failures;
  return [{ code: "SLUICE_APPLY_FAILED", message: shorten(applyError) }, ...failures];
}
