import type { CapacityError } from "../compile/capacity-error.js";
import { policyName } from "../compile/policy-block.js";
import type { Problem } from "../model/records.js";
import { kept } from "./object-problem.js";
import type { PodPolicy } from "./pod-objects.js";

/** Policies of one application. */
export interface PodPolicyCandidates {
  policies(): readonly PodPolicy[];
  /**
   * Gives one changed policy up: what was in force of it before stays.
   *
   * @returns false when none is left to give up
   */
  refuse(error: CapacityError): boolean;
  /** Notes that all of it is in force now. */
  commit(): void;
}

/** Which version of each policy is in force, and why it is not the newest. */
export class PodPolicies {
  #inForce: ReadonlyMap<string, PodPolicy> = new Map();
  #problems: readonly Problem[] = [];

  /** By kind and key. */
  get inForce(): ReadonlyMap<string, PodPolicy> {
    return this.#inForce;
  }

  problems(): readonly Problem[] {
    return this.#problems;
  }

  begin(newest: ReadonlyMap<string, PodPolicy>): PodPolicyCandidates {
    const chosen = new Map(newest);
    const problems: Problem[] = [];
    return {
      policies: () => [...chosen.values()],
      refuse: (error) => {
        const changed = [...chosen].filter(([key, policy]) => this.#inForce.get(key) !== policy);
        const blamed = blame(error, changed);
        if (blamed === undefined) return false;
        const [key, policy] = blamed;
        const before = this.#inForce.get(key);
        if (before === undefined) chosen.delete(key);
        else chosen.set(key, before);
        problems.push(capacityProblem(policy, error, before));
        return true;
      },
      commit: () => {
        this.#inForce = chosen;
        this.#problems = problems;
      },
    };
  }
}

/** The policy that the error names, or else the changed one with the most rules. */
function blame(
  { policy: named }: CapacityError,
  changed: readonly (readonly [string, PodPolicy])[],
): readonly [string, PodPolicy] | undefined {
  const found = changed.find(([, policy]) => policyName(policy) === named);
  if (found !== undefined) return found;
  return changed.reduce<(typeof changed)[number] | undefined>(
    (most, next) => (most === undefined || size(next[1]) >= size(most[1]) ? next : most),
    undefined,
  );
}

function size({ ingress = [], egress = [] }: PodPolicy): number {
  const rules = [...ingress, ...egress];
  return rules.reduce((sum, { peers, protocols }) => sum + 1 + peers.length + protocols.length, 0);
}

function displayName(policy: PodPolicy): string {
  return policy.kind === "NetworkPolicy" ? `${policy.namespace}/${policy.name}` : policy.name;
}

function capacityProblem(
  policy: PodPolicy,
  error: CapacityError,
  before: PodPolicy | undefined,
): Problem {
  return {
    severity: "error",
    code: error.code,
    origin: policy.origin,
    kind: policy.kind,
    name: displayName(policy),
    message: `does not fit: ${error.problem}`,
    remedy: "Use fewer or broader rules, or fewer named ports",
    ...kept(before),
  };
}
