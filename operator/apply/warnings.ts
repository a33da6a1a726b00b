import { linkSpeed } from "../../datapath/ethtool.js";
import { judgedInterfaces } from "../compile/rule-list.js";
import { selectorMatches } from "../compile/selectors.js";
import type { Problem, RuleRecord, XdpPolicyRecord } from "../model/records.js";
import type { PresentInterface } from "./desired.js";
import { objectProblem } from "./object-problem.js";
import { hasCpu } from "./redirect-targets.js";

/** What is legal and probably not meant, on this node as it is now. */
export function nodeWarnings(
  policies: readonly XdpPolicyRecord[],
  nodeLabels: Readonly<Record<string, string>>,
  present: readonly PresentInterface[],
): readonly Problem[] {
  const byIndex = present.map(({ name, index, uplink }) => ({ name, uplink, slot: index }));
  const nameOf = new Map(present.map(({ index, name }) => [index, name]));
  return policies.flatMap((policy) => {
    if (!selectorMatches(policy.nodeSelector, nodeLabels)) return [];
    const judged = judgedInterfaces(policy, nodeLabels, byIndex).flatMap(
      (index) => nameOf.get(index) ?? [],
    );
    if (judged.length === 0) return [noInterface(policy)];
    return policy.rules.flatMap((rule) => redirectWarnings(policy, rule, judged, present));
  });
}

function noInterface(policy: XdpPolicyRecord): Problem {
  const wanted =
    policy.interfaces.length === 0 ? "the uplinks" : policy.interfaces.map(quoted).join(", ");
  return warning(
    policy,
    "SLUICE_NO_INTERFACE_MATCHES",
    `selects this node, but no interface here matches ${wanted}`,
    policy.interfaces.length === 0
      ? "Name the uplinks with --uplinks, or give the node a default route"
      : "Compare spec.interfaces with ip link; the policy acts when such an interface appears",
  );
}

/** XDP has no queue and no back-pressure, so what does not fit into a slower link is lost. */
function redirectWarnings(
  policy: XdpPolicyRecord,
  { name, action }: RuleRecord,
  judged: readonly string[],
  present: readonly PresentInterface[],
): readonly Problem[] {
  if (action.kind !== "Redirect") return [];
  if (action.target.kind === "cpus") return cpuWarnings(policy, name, action.target.cpus);
  if (action.target.kind !== "interface") return [];
  const target = action.target.name;
  if (present.every((found) => found.name !== target)) {
    return [
      warning(
        policy,
        "SLUICE_REDIRECT_TARGET",
        `rule ${name} redirects to ${target}, which does not exist: its packets are dropped`,
        "Create the interface, or correct the name",
      ),
    ];
  }
  const speed = linkSpeed(target);
  return judged
    .filter((from) => speed !== undefined && (linkSpeed(from) ?? 0) > speed)
    .map((from) =>
      warning(
        policy,
        "SLUICE_REDIRECT_SPEED",
        `rule ${name} redirects from ${from} to ${target}, which is slower (${speed} Mbit/s)`,
        "Expect loss at full rate: XDP does not queue",
      ),
    );
}

function cpuWarnings(
  policy: XdpPolicyRecord,
  rule: string,
  cpus: readonly number[],
): readonly Problem[] {
  const missing = cpus.filter((cpu) => !hasCpu(cpu));
  if (missing.length === 0) return [];
  return [
    warning(
      policy,
      "SLUICE_REDIRECT_TARGET",
      `rule ${rule} redirects to CPU ${missing.join(", ")}, which this node does not have: ` +
        "packets whose flow falls on it are dropped",
      "Name CPUs that every selected node has, or narrow spec.nodeSelector",
    ),
  ];
}

function warning(policy: XdpPolicyRecord, code: string, message: string, remedy: string): Problem {
  return objectProblem(policy, code, message, remedy, { severity: "warning" });
}

function quoted(glob: string): string {
  return `"${glob}"`;
}
