import type { CapacityError } from "../compile/capacity-error.js";
import type { Problem, XdpCidrSetRecord, XdpPolicyRecord } from "../model/records.js";
import { blame } from "./capacity-blame.js";
import type { Confirmations } from "./confirmations.js";
import { usedSets } from "./desired.js";
import { kept, objectProblem } from "./object-problem.js";
import type { ObjectStore } from "./object-store.js";
import { type SetCandidates, SetVersions } from "./set-versions.js";

/** The policies and sets of one application. */
export interface Candidates {
  policies(): readonly XdpPolicyRecord[];
  /** The objects that feed a set. */
  feeding(setName: string): readonly XdpCidrSetRecord[];
  /**
   * Gives one change up that takes much of the table that is full: what was in force before stays.
   *
   * @returns false when nothing is left to give up
   */
  refuse(error: CapacityError): boolean;
  /** Notes that all of it is in force now. */
  commit(): void;
}

/** Which version of each policy is in force, with which sets, and why it is not the newest. */
export class PolicyVersions {
  readonly #confirmations: Confirmations;
  readonly #sets = new SetVersions();
  readonly #inForce = new Map<string, XdpPolicyRecord>();
  #problems: readonly Problem[] = [];

  constructor(confirmations: Confirmations) {
    this.#confirmations = confirmations;
  }

  inForce(name: string): XdpPolicyRecord | undefined {
    return this.#inForce.get(name);
  }

  /** Names of the sets that policies in force use. */
  usedSets(): Iterable<string> {
    return this.#sets.names();
  }

  /** Objects that are in force for a set; undefined when it is not in force. */
  feedingInForce(setName: string): readonly XdpCidrSetRecord[] | undefined {
    return this.#sets.inForce(setName);
  }

  problems(): readonly Problem[] {
    return this.#problems;
  }

  /** The newest versions, but for those that are rolled back or use a set that nobody feeds. */
  begin(store: ObjectStore, nowMs: number): Candidates {
    const round = new Round(this.#confirmations, this.#sets.begin(store), this.#inForce, nowMs);
    this.#confirmations.retain(new Set(store.policies.keys()));
    for (const newest of store.policies.values()) round.choose(newest);
    return {
      policies: () => round.policies(),
      feeding: (setName) => round.sets.feeding(setName),
      refuse: (error) => round.refuse(error),
      commit: () => {
        const policies = round.policies();
        this.#inForce.clear();
        for (const policy of policies) this.#inForce.set(policy.name, policy);
        this.#sets.commit(round.sets, policies);
        this.#problems = [...round.problems, ...samePriority(policies)];
      },
    };
  }
}

/** Chooses the versions of one application. */
class Round {
  readonly sets: SetCandidates;
  readonly problems: Problem[] = [];
  readonly #confirmations: Confirmations;
  readonly #inForce: ReadonlyMap<string, XdpPolicyRecord>;
  readonly #nowMs: number;
  readonly #chosen = new Map<string, XdpPolicyRecord>();
  /** How to undo the trials that began in this round. */
  readonly #undo = new Map<string, () => void>();

  constructor(
    confirmations: Confirmations,
    sets: SetCandidates,
    inForce: ReadonlyMap<string, XdpPolicyRecord>,
    nowMs: number,
  ) {
    this.#confirmations = confirmations;
    this.sets = sets;
    this.#inForce = inForce;
    this.#nowMs = nowMs;
  }

  policies(): readonly XdpPolicyRecord[] {
    return [...this.#chosen.values()];
  }

  choose(newest: XdpPolicyRecord): void {
    const { name } = newest;
    const before = this.#lastGood(name);
    const version = this.#wanted(newest);
    if (version === undefined) return;
    const missing = [...usedSets(version)].filter((setName) => !this.sets.isFed(setName));
    if (missing.length === 0) {
      this.#undo.set(name, this.#confirmations.begin(newest, before, this.#nowMs));
      this.#chosen.set(name, version);
      return;
    }
    const sets = missing.map((setName) => `set ${setName}`).join(", ");
    const stays = before === version ? "; what it last held stays in force" : "";
    this.problems.push(
      objectProblem(
        newest,
        "SLUICE_UNKNOWN_SET",
        `uses ${sets}, which no XdpCidrSet feeds${stays}`,
        "Create an XdpCidrSet with this setName, or remove the peer",
        kept(before),
      ),
    );
    if (before !== undefined) this.#chosen.set(name, before);
  }

  refuse(error: CapacityError): boolean {
    const policies = this.policies();
    const changed = policies.filter((policy) => this.#inForce.get(policy.name) !== policy);
    const blamed = blame(error, policies, changed, this.sets);
    if (blamed === undefined) return false;
    if (blamed.kind === "set") this.#refuseSet(blamed.setName, error);
    else this.#refusePolicy(blamed.policy, error);
    return true;
  }

  /** The newest version, or the one that a rolled-back one goes back to. */
  #wanted(newest: XdpPolicyRecord): XdpPolicyRecord | undefined {
    if (!this.#confirmations.isRolledBack(newest)) return newest;
    const previous = this.#confirmations.previous(newest.name);
    this.problems.push(
      objectProblem(
        newest,
        "SLUICE_ROLLED_BACK",
        "was not confirmed in time and is rolled back",
        "Change it and confirm it with sluicectl confirm, or drop confirmWithin",
        kept(previous),
      ),
    );
    return previous;
  }

  /** The version in force, unless its trial has failed since. */
  #lastGood(name: string): XdpPolicyRecord | undefined {
    const before = this.#inForce.get(name);
    if (before === undefined || !this.#confirmations.isRolledBack(before)) return before;
    return this.#confirmations.previous(name);
  }

  #refusePolicy(policy: XdpPolicyRecord, error: CapacityError): void {
    const before = this.#lastGood(policy.name);
    this.#undo.get(policy.name)?.();
    this.problems.push(
      objectProblem(
        policy,
        error.code,
        `does not fit: ${error.problem}`,
        error.remedy ?? "Use fewer rules",
        kept(before),
      ),
    );
    if (before === undefined || before === policy) this.#chosen.delete(policy.name);
    else this.#chosen.set(before.name, before);
  }

  #refuseSet(setName: string, error: CapacityError): void {
    const before = this.sets.inForce(setName) ?? [];
    for (const object of this.sets.feeding(setName)) {
      if (before.includes(object)) continue;
      this.problems.push(
        objectProblem(
          object,
          error.code,
          `set ${setName} does not fit: ${error.problem}; what it held before stays in force`,
          error.remedy ?? "Use fewer entries",
          kept(before.find(({ name }) => name === object.name)),
        ),
      );
    }
    this.sets.keep(setName);
  }
}

function samePriority(policies: Iterable<XdpPolicyRecord>): readonly Problem[] {
  const byPriority = new Map<number, XdpPolicyRecord[]>();
  for (const policy of policies) {
    const same = byPriority.get(policy.priority);
    if (same === undefined) byPriority.set(policy.priority, [policy]);
    else same.push(policy);
  }
  return [...byPriority.values()]
    .filter((same) => same.length > 1)
    .flatMap((same) =>
      same.map((policy) =>
        objectProblem(
          policy,
          "SLUICE_SAME_PRIORITY",
          `shares priority ${policy.priority} with ${othersText(policy, same)}: they are judged in the order of their names`,
          "Give each policy a priority of its own",
          { severity: "warning" },
        ),
      ),
    );
}

const mostNames = 5;

/** The first few: hundreds of policies that name hundreds each would be megabytes in every status. */
function othersText(policy: XdpPolicyRecord, same: readonly XdpPolicyRecord[]): string {
  const others = same.slice(0, mostNames + 1).filter((other) => other !== policy);
  const shown = others.slice(0, mostNames).map(({ name }) => name);
  const more = same.length - 1 - shown.length;
  return `${shown.join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}
