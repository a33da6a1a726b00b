import type { EngineStatus } from "../api/engine.js";
import type { NodeDatapathManifest } from "../model/generated/node-datapath.js";
import type { Finding } from "./condition.js";

type Status = NonNullable<NodeDatapathManifest["status"]>;
type Policies = NonNullable<Status["policies"]>;
type PodPolicies = NonNullable<NonNullable<Status["podPolicies"]>["entries"]>;

const failing: ReadonlySet<string> = new Set(["Refused", "RolledBack", "Failing"]);

/** Whether a node enforces what it should: the condition `Ready` of its NodeDatapath. */
export function readyFinding(
  status: EngineStatus,
  policies: Policies,
  podPolicies: PodPolicies = [],
): Finding {
  const { inSync, applyError, interfaces } = status;
  const no = (reason: string, message: string): Finding => ({
    type: "Ready",
    status: "False",
    reason,
    message,
  });
  if (applyError !== undefined) return no("ApplyFailed", applyError);
  if (!inSync) return no("NotInSync", "the API server has not delivered everything yet");
  const dark = interfaces.filter(({ attached }) => !attached);
  if (dark.length > 0) {
    const [first] = dark;
    const why = `${first?.name}: ${first?.message ?? "no program is attached"}`;
    return no("NotAttached", `${count(dark.length, "interface")} not judged; ${why}`);
  }
  const bad = [...policies, ...podPolicies].filter(({ state }) => failing.has(state));
  if (bad.length > 0) {
    const names = bad.map(({ name }) => name).join(", ");
    return no(
      "PoliciesFailing",
      `${count(bad.length, "policy", "policies")} not in force: ${names}`,
    );
  }
  return {
    type: "Ready",
    status: "True",
    reason: "InSync",
    message:
      `${count(policies.length, "policy", "policies")} on ` + count(interfaces.length, "interface"),
  };
}

/** `1 node`, `2 nodes`. */
export function count(number: number, one: string, many = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`;
}
