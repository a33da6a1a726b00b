import { setImmediate as yieldToLoop } from "node:timers/promises";
import { CapacityError } from "../compile/capacity-error.js";
import { lastFieldClasses } from "../compile/field-classes.js";
import { compilePodRulesInSteps, type PodRules, type PodRulesInput } from "../compile/pod-rules.js";
import { PodRulesCache } from "../compile/pod-rules-cache.js";
import type { Firewall } from "./firewall.js";
import { inTurns } from "./in-turns.js";
import type { PodPolicyCandidates } from "./pod-policies.js";

/** What pods are judged by, but for the policies. */
export type PodRuleFacts = Omit<PodRulesInput, "networkPolicies" | "clusterNetworkPolicies">;

/** Compiles what pods are judged by, and writes it into the pods' bank. */
export class PodRuleWriter {
  readonly #firewall: Firewall;
  readonly #eventsPerSecond: number;
  readonly #cache = new PodRulesCache();
  readonly #classesOf = lastFieldClasses();
  #rules: PodRules | undefined;

  /** @param eventsPerSecond of events on one CPU, in the kernel */
  constructor(firewall: Firewall, eventsPerSecond: number) {
    this.#firewall = firewall;
    this.#eventsPerSecond = eventsPerSecond;
  }

  /** In force; undefined: an earlier agent's are. */
  get rules(): PodRules | undefined {
    return this.#rules;
  }

  /** Policies as they were compiled last. */
  get blocks() {
    return this.#cache.last?.blocks ?? [];
  }

  /**
   * Changes of policies that do not fit are given up one by one, until the rest fits.
   *
   * @throws CapacityError when nothing more can be given up; SluiceError
   */
  async put(facts: PodRuleFacts, candidates: PodPolicyCandidates): Promise<void> {
    for (;;) {
      try {
        const policies = candidates.policies();
        const steps = compilePodRulesInSteps(
          {
            ...facts,
            networkPolicies: policies.filter((policy) => policy.kind === "NetworkPolicy"),
            clusterNetworkPolicies: policies.filter(
              (policy) => policy.kind === "ClusterNetworkPolicy",
            ),
          },
          this.#cache,
        );
        await this.#write(await inTurns(steps), facts.localPods);
        return;
      } catch (error) {
        if (!(error instanceof CapacityError) || !candidates.refuse(error)) throw error;
      }
    }
  }

  async #write(rules: PodRules, localPods: PodRuleFacts["localPods"]): Promise<void> {
    /* Every pod is judged, also one that no rule names: what is not judged is closed. */
    const judgedSlots = localPods.flatMap(({ slotOut, slotIn }) => [slotOut, slotIn]);
    await yieldToLoop();
    const fieldClasses = this.#classesOf(rules.rules);
    await yieldToLoop();
    const isNew = await this.#firewall.change({
      rules: rules.rules,
      fieldClasses,
      contents: rules.contents,
      judgedSlots,
      enforcedSlots: judgedSlots,
      passUnparsable: false,
      eventsPerSecond: this.#eventsPerSecond,
    });
    /* What allowed a flow may have gone with an address. */
    if (!isNew && rules.contents !== this.#rules?.contents) this.#firewall.judgeFlowsAgain();
    this.#rules = rules;
  }
}
