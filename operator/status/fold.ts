import { selectorMatches } from "../compile/selectors.js";
import type { XdpCidrSetManifest } from "../model/generated/xdp-cidr-set.js";
import type { XdpPolicyManifest } from "../model/generated/xdp-policy.js";
import type { Problem } from "../model/records.js";
import { type Condition, type Finding, toConditions } from "./condition.js";
import type { NodeView, PolicyOnNode } from "./node-view.js";
import type { PolicyFacts, SetFacts } from "./object-facts.js";
import { enforcedFinding, policyDegradedFinding, type Tally } from "./policy-findings.js";
import { count } from "./ready.js";

export type PolicyStatus = NonNullable<XdpPolicyManifest["status"]>;
export type SetStatus = NonNullable<XdpCidrSetManifest["status"]>;

/** The cluster's nodes: their labels, and what they say of themselves. */
export interface Nodes {
  readonly labels: ReadonlyMap<string, Readonly<Record<string, string>>>;
  /** Undefined for a node that has not reported. */
  view(node: string): NodeView | undefined;
}

/** As `maxItems` of `failingNodes`. */
const MOST_FAILING_NODES = 5;

/** Status of a policy, out of what its nodes say. */
export function foldPolicy(facts: PolicyFacts, nodes: Nodes, nowMs: number): PolicyStatus {
  const { generation } = facts;
  const tally = tallyNodes(facts, nodes);
  const accepted = acceptedFinding(facts);
  const findings = [
    accepted,
    enforcedFinding(tally, accepted),
    policyDegradedFinding(tally, accepted),
  ];
  const failingNodes = tally.failing.slice(0, MOST_FAILING_NODES).map(([name, entry]) => ({
    name,
    code: entry.code ?? "SLUICE_REFUSED",
    ...(entry.message !== undefined && { message: entry.message }),
  }));
  return {
    observedGeneration: generation,
    conditions: conditionsOf(facts, findings, nowMs),
    nodes: {
      desired: tally.desired,
      enforcing: tally.enforcing,
      failing: tally.failing.length,
    },
    enforcing: `${tally.enforcing}/${tally.desired}`,
    failingNodes,
  };
}

/** Status of an object that feeds a set. */
export function foldSet(facts: SetFacts, nodes: Nodes, nowMs: number): SetStatus {
  const { generation, ipv4, ipv6, name } = facts;
  const accepted = acceptedFinding(facts);
  const failing = [...nodes.labels.keys()].sort().flatMap((node) => {
    const failure = nodes.view(node)?.sets.get(name);
    return failure === undefined ? [] : [{ node, ...failure }];
  });
  return {
    observedGeneration: generation,
    conditions: conditionsOf(facts, [accepted, setDegraded(failing, accepted)], nowMs),
    entries: { ipv4, ipv6, total: ipv4 + ipv6 },
  };
}

function setDegraded(
  failing: readonly { readonly node: string; readonly message: string }[],
  accepted: Finding,
): Finding {
  const type = "Degraded";
  const [first] = failing;
  if (first !== undefined) {
    const message = `${count(failing.length, "node")} cannot hold it; ${first.node}: ${first.message}`;
    return { type, status: "True", reason: "NodesFailing", message };
  }
  if (accepted.status === "False") return invalid(type);
  return { type, status: "False", reason: "AsExpected", message: "no node reports a failure" };
}

/** An invalid generation is not in force anywhere, whatever stays in its place. */
function invalid(type: string): Finding {
  return {
    type,
    status: "True",
    reason: "Invalid",
    message: "the newest generation is refused (see Accepted); what was in force before stays",
  };
}

function acceptedFinding({ problems }: PolicyFacts | SetFacts): Finding {
  const type = "Accepted";
  const errors = problems.filter(({ severity }) => severity === "error");
  if (errors.length > 0) {
    return { type, status: "False", reason: "Invalid", message: listProblems(errors) };
  }
  const message =
    problems.length === 0
      ? "valid"
      : `valid; ${count(problems.length, "warning")}: ${listProblems(problems)}`;
  return { type, status: "True", reason: "Valid", message };
}

/** The first of them, and how many there are. */
export function listProblems(problems: readonly Problem[]): string {
  const [first] = problems;
  if (first === undefined) return "";
  const where = first.field === undefined ? "" : `${first.field}: `;
  const more = problems.length === 1 ? "" : `${count(problems.length, "problem")}, the first: `;
  return `${more}${where}${first.message}. ${first.remedy}`;
}

function conditionsOf(
  { status, generation }: PolicyFacts | SetFacts,
  findings: readonly Finding[],
  nowMs: number,
): readonly Condition[] {
  const observed = findings.map((finding) => ({ ...finding, observedGeneration: generation }));
  return toConditions(observed, status?.conditions ?? [], nowMs);
}

function tallyNodes({ name, generation, nodeSelector }: PolicyFacts, nodes: Nodes): Tally {
  const failing: [string, PolicyOnNode][] = [];
  const tally = { desired: 0, enforcing: 0, unconfirmed: 0, idle: 0, older: 0, silent: 0 };
  for (const [node, labels] of nodes.labels) {
    if (nodeSelector === undefined || !selectorMatches(nodeSelector, labels)) continue;
    tally.desired += 1;
    const view = nodes.view(node);
    const entry = view?.policies.get(name);
    if (view === undefined) tally.silent += 1;
    if (entry === undefined) continue;
    const isNewest = entry.observedGeneration >= generation;
    if (isNewest && failingStates.has(entry.state)) failing.push([node, entry]);
    else if (entry.generation === 0) continue;
    else if (entry.generation < generation) tally.older += 1;
    else if (entry.state === "Idle") tally.idle += 1;
    else if (actingStates.has(entry.state)) {
      tally.enforcing += 1;
      if (entry.state === "Unconfirmed") tally.unconfirmed += 1;
    }
  }
  return { ...tally, failing: failing.sort(([a], [b]) => (a < b ? -1 : 1)) };
}

const failingStates: ReadonlySet<string> = new Set(["Refused", "RolledBack", "Failing"]);
const actingStates: ReadonlySet<string> = new Set(["Enforcing", "Auditing", "Unconfirmed"]);
