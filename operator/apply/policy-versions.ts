import type { CapacityError } from "../compile/capacity-error.js";
import type { Problem, XdpPolicyRecord } from "../model/records.js";
import type { Confirmations } from "./confirmations.js";
import { policyProblem, usedSets } from "./desired.js";
import type { ObjectStore } from "./object-store.js";

/** The policies of one application: refusing one puts its version in force back, or leaves it out. */
export interface Candidates {
  policies(): readonly XdpPolicyRecord[];
  /**
   * Gives one changed policy up: the one to blame, else the last in order.
   *
   * @returns false when nothing is left to give up
   */
  refuse(error: CapacityError): boolean;
}

/** Which version of each policy is in force, and why it is not the newest. */
export class PolicyVersions {
  readonly #confirmations: Confirmations;
  readonly #inForce = new Map<string, XdpPolicyRecord>();
  #problems: readonly Problem[] = [];

  constructor(confirmations: Confirmations) {
    this.#confirmations = confirmations;
  }

  inForce(name: string): XdpPolicyRecord | undefined {
    return this.#inForce.get(name);
  }

  problems(): readonly Problem[] {
    return this.#problems;
  }

  /** The newest versions, but for those that are rolled back or use a set that nobody feeds. */
  begin(store: ObjectStore, nowMs: number): Candidates {
    const chosen = new Map<string, XdpPolicyRecord>();
    const problems: Problem[] = [];
    const setNames = store.setNames();
    this.#confirmations.forget(new Set(store.policies.keys()));
    for (const newest of store.policies.values()) {
      const version = this.#confirmations.version(newest, nowMs);
      if (version !== newest) {
        problems.push(
          policyProblem(
            newest,
            "SLUICE_ROLLED_BACK",
            "was not confirmed in time and is rolled back",
            "Change it and confirm it with sluicectl confirm, or drop confirmWithin",
          ),
        );
      }
      if (version === undefined) continue;
      const missing = [...usedSets(version)].filter((name) => !setNames.has(name));
      if (missing.length === 0) {
        chosen.set(version.name, version);
        continue;
      }
      problems.push(
        policyProblem(
          newest,
          "SLUICE_UNKNOWN_SET",
          `uses ${missing.map((name) => `set ${name}`).join(", ")}, which no XdpCidrSet feeds`,
          "Create an XdpCidrSet with this setName, or remove the peer",
        ),
      );
      const before = this.#inForce.get(newest.name);
      if (before !== undefined && [...usedSets(before)].every((name) => setNames.has(name))) {
        chosen.set(before.name, before);
      }
    }
    problems.push(...samePriority(chosen.values()));
    return this.#candidates(chosen, problems);
  }

  commit(candidates: Candidates): void {
    this.#inForce.clear();
    for (const policy of candidates.policies()) this.#inForce.set(policy.name, policy);
  }

  #candidates(chosen: Map<string, XdpPolicyRecord>, problems: Problem[]): Candidates {
    this.#problems = problems;
    return {
      policies: () => [...chosen.values()],
      refuse: (error) => {
        const changed = [...chosen.values()].filter(
          (policy) => this.#inForce.get(policy.name) !== policy,
        );
        const victim = changed.find(({ name }) => name === error.policy) ?? changed.at(-1);
        if (victim === undefined) return false;
        problems.push(
          policyProblem(
            victim,
            error.code,
            `does not fit: ${error.problem}`,
            error.remedy ?? "Use fewer rules",
          ),
        );
        const before = this.#inForce.get(victim.name);
        if (before === undefined) chosen.delete(victim.name);
        else chosen.set(before.name, before);
        return true;
      },
    };
  }
}

function samePriority(policies: Iterable<XdpPolicyRecord>): readonly Problem[] {
  const byPriority = new Map<number, XdpPolicyRecord[]>();
  for (const policy of policies) {
    byPriority.set(policy.priority, [...(byPriority.get(policy.priority) ?? []), policy]);
  }
  return [...byPriority.values()]
    .filter((same) => same.length > 1)
    .flatMap((same) =>
      same.map((policy) =>
        policyProblem(
          policy,
          "SLUICE_SAME_PRIORITY",
          `shares priority ${policy.priority} with ${same
            .filter((other) => other !== policy)
            .map(({ name }) => name)
            .join(", ")}: they are judged in the order of their names`,
          "Give each policy a priority of its own",
          "warning",
        ),
      ),
    );
}
