/** The kernel as the fuzzer's subject: the real compiler, the real tables, the real programs by test run. */

import type { Trace } from "../../datapath/generated/layout.js";
import { effectName, isAudit, REASON_NAMES, VERDICT_NAMES } from "../../operator/apply/names.js";
import type { Effect, MatchedRule, World } from "../oracle/world.js";
import { ACTIONS, openUplink, type Uplink } from "../uplink/harness.js";
import type { Judgement, Subject } from "./subject.js";

const EFFECTS: Readonly<Record<string, Effect>> = {
  accept: "accept",
  drop: "drop",
  "above limit": "drop",
  redirect: "redirect",
  pass: "pass-on",
  "within limit": "within-rate",
  established: "established",
};
const AUDIT_EFFECTS: Readonly<Record<string, Effect>> = {
  accept: "would-accept",
  drop: "would-drop",
  "above limit": "would-drop",
  redirect: "would-redirect",
  pass: "pass-on",
  "within limit": "within-rate",
};

export async function openSubject(): Promise<Subject> {
  return new KernelSubject(await openUplink());
}

class KernelSubject implements Subject {
  readonly #uplink: Uplink;

  constructor(uplink: Uplink) {
    this.#uplink = uplink;
  }

  async apply(world: World): Promise<void> {
    await this.#uplink.apply(world);
    this.#uplink.forget();
  }

  /** The trace first, because the run itself takes tokens and remembers fragments. */
  judge(interfaceName: string, frame: Uint8Array): Judgement {
    const trace = this.#uplink.trace(frame, interfaceName);
    const action = this.#uplink.run(frame, interfaceName).verdict;
    const verdict = VERDICT_NAMES[trace.verdict];
    if (verdict === undefined || verdict === "aborted" || action !== ACTIONS[verdict]) {
      return { verdict: "abort", reason: `trace says ${verdict}, the run returned ${action}` };
    }
    const owner = trace.slot === 0 ? undefined : this.#uplink.slots.owner(trace.slot);
    const followed = trace.stepCount === 0 && owner !== undefined;
    return {
      verdict,
      reason: REASON_NAMES[trace.reason]!,
      ...(owner && { policy: owner.policy, rule: owner.rule }),
      ...(!followed && trace.stepCount <= trace.steps.length && { matched: this.#matched(trace) }),
    };
  }

  close(): Promise<void> {
    return this.#uplink.close();
  }

  #matched(trace: Trace): readonly MatchedRule[] {
    return trace.steps.slice(0, trace.stepCount).map(({ slot, effect }) => {
      const owner = this.#uplink.slots.owner(slot);
      const effects = isAudit(effect) ? AUDIT_EFFECTS : EFFECTS;
      const found = effects[effectName(effect)] ?? "established";
      const missesTarget = found === "redirect" && REASON_NAMES[trace.reason] === "redirect";
      return {
        policy: owner?.policy ?? "",
        rule: owner?.rule ?? "",
        effect: missesTarget ? "drop" : found,
      };
    });
  }
}
