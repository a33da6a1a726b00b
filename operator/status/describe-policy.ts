import type { EngineStatus, PolicyState } from "../api/engine.js";
import type { NodeDatapathManifest } from "../model/generated/node-datapath.js";
import { shorten } from "./shorten.js";

type Entry = NonNullable<NonNullable<NodeDatapathManifest["status"]>["policies"]>[number];

/** What is in the way of a policy on this node. */
interface Obstacle {
  readonly state: Entry["state"];
  readonly code?: string;
  readonly message?: string;
}

/** One policy as the NodeDatapath has it; undefined when it does not select the node. */
export function describePolicy(policy: PolicyState, status: EngineStatus): Entry | undefined {
  const { name, generation, selected, confirmBy } = policy;
  if (!selected) return undefined;
  const { state, code, message } = stateOf(policy, status);
  return {
    name,
    generation: generationInForce(policy, state),
    observedGeneration: generation,
    state,
    ...(confirmBy !== undefined && { confirmBefore: confirmBy }),
    ...(code !== undefined && { code }),
    ...(message !== undefined && { message: shorten(message) }),
  };
}

function generationInForce(policy: PolicyState, state: Entry["state"]): number {
  if (policy.generationInForce !== undefined) return policy.generationInForce;
  const isNewest = policy.inForce || state === "Idle";
  return isNewest ? policy.generation : 0;
}

function stateOf(policy: PolicyState, status: EngineStatus): Obstacle {
  const { problems, rolledBack, generationInForce: older, inForce, interfaces, mode } = policy;
  const refusal = problems.find(({ severity }) => severity === "error");
  if (rolledBack === true) {
    return {
      state: "RolledBack",
      ...told(refusal, "SLUICE_ROLLED_BACK", "it was not confirmed in time"),
    };
  }
  if (refusal !== undefined) return { state: "Refused", ...told(refusal) };
  if (status.applyError !== undefined) {
    return { state: "Failing", code: "SLUICE_APPLY_FAILED", message: status.applyError };
  }
  const idle = problems.find(({ code }) => code === "SLUICE_NO_INTERFACE_MATCHES");
  if (idle !== undefined) return { state: "Idle", ...told(idle) };
  if (!inForce || older !== undefined) return { state: "Pending" };
  const dark = status.interfaces.find(
    ({ name, attached }) => !attached && interfaces.includes(name),
  );
  if (dark !== undefined) {
    const why = dark.message ?? "no program is attached";
    return { state: "Failing", code: "SLUICE_NOT_ATTACHED", message: `${dark.name}: ${why}` };
  }
  if (policy.confirmBy !== undefined) return { state: "Unconfirmed" };
  return { state: mode === "Audit" ? "Auditing" : "Enforcing" };
}

function told(
  problem: PolicyState["problems"][number] | undefined,
  code = "SLUICE_REFUSED",
  message = "it was refused",
): Pick<Obstacle, "code" | "message"> {
  if (problem === undefined) return { code, message };
  return { code: problem.code.slice(0, 64), message: `${problem.message}. ${problem.remedy}` };
}
