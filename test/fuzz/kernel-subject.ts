/** The kernel as the fuzzer's subject: the real compiler, the real tables, the real programs by test run. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  closeFd,
  defaultBpffs,
  GracePeriod,
  ifIndex,
  testRun,
  XdpAction,
} from "../../datapath/index.js";
import { Trace } from "../../datapath/generated/layout.js";
import { type Datapath, openDatapath } from "../../operator/apply/datapath.js";
import { compileDesired, SetContentCache } from "../../operator/apply/desired.js";
import { Firewall } from "../../operator/apply/firewall.js";
import { effectName, isAudit, REASON_NAMES, VERDICT_NAMES } from "../../operator/apply/names.js";
import { ObjectStore } from "../../operator/apply/object-store.js";
import { RedirectTargets } from "../../operator/apply/redirect-targets.js";
import { RuleSlots } from "../../operator/apply/rule-slots.js";
import type { Effect, MatchedRule, World } from "../oracle/world.js";
import type { Judgement, Subject } from "./subject.js";

/** Test runs name an interface by number; only the loopback is sure to exist, so its slot changes per call. */
const LOOPBACK = ifIndex(1);
const ADDRESS_LINES = 65536;

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
  const pinRoot = mkdtempSync(join(defaultBpffs, "sluice-fuzz-"));
  const scratch = mkdtempSync(join(tmpdir(), "sluice-fuzz-"));
  const datapath = await openDatapath({ pinRoot, addressLines: ADDRESS_LINES, metadata: false });
  return new KernelSubject(datapath, () => {
    rmSync(pinRoot, { recursive: true });
    rmSync(scratch, { recursive: true });
  });
}

class KernelSubject implements Subject {
  readonly #datapath: Datapath;
  readonly #cleanUp: () => void;
  readonly #grace = new GracePeriod();
  readonly #slots: RuleSlots;
  readonly #firewall: Firewall;
  #slotByInterface = new Map<string, number>();

  constructor(datapath: Datapath, cleanUp: () => void) {
    this.#datapath = datapath;
    this.#cleanUp = cleanUp;
    this.#slots = new RuleSlots(datapath, () => undefined);
    const targets = new RedirectTargets(
      datapath,
      new Map(),
      () => undefined,
      (name) => (this.#slotByInterface.has(name) ? LOOPBACK : undefined),
    );
    this.#firewall = new Firewall(datapath, this.#grace, this.#slots, targets);
  }

  async apply(world: World): Promise<void> {
    this.#slotByInterface = new Map(world.interfaces.map((name, index) => [name, index + 1]));
    const store = new ObjectStore();
    for (const node of world.nodes) store.submit({ type: "upsert", record: node });
    for (const [setName, entries] of world.sets) {
      const origin = { source: "fuzz" };
      store.submit({
        type: "upsert",
        record: { kind: "XdpCidrSet", name: setName, origin, generation: 1, setName, entries },
      });
    }
    const desired = compileDesired(
      {
        nodeLabels: world.node.labels,
        present: world.interfaces.map((name, index) => ({
          name,
          index: index + 1,
          uplink: world.uplinks.includes(name),
        })),
        slotOf: (index) => index,
        policies: world.policies,
        store,
        failSafe: world.failSafe,
        nodeLocal: [],
        passUnparsable: world.unparsable === "Pass",
        eventsPerSecond: 0,
        nowMs: world.nowMs,
      },
      new SetContentCache(),
    );
    await this.#firewall.change(desired.firewall);
    this.#forget();
  }

  /** The trace first, because the run itself takes tokens and remembers fragments. */
  judge(interfaceName: string, frame: Uint8Array): Judgement {
    const { interfaces, uplink, uplinkTrace, traces } = this.#datapath;
    const slot = this.#slotByInterface.get(interfaceName) ?? 0;
    interfaces.u32[(LOOPBACK * interfaces.stride) / 4] = slot;
    const run = { packet: frame, context: { ingress: LOOPBACK } };
    testRun(uplinkTrace, run);
    const trace = Trace.decode(traces.view, 0);
    const action = testRun(uplink, run).verdict;
    const verdict = VERDICT_NAMES[trace.verdict];
    if (verdict === undefined || verdict === "aborted" || action !== actionOf(verdict)) {
      return { verdict: "abort", reason: `trace says ${verdict}, the run returned ${action}` };
    }
    const owner = trace.slot === 0 ? undefined : this.#slots.owner(trace.slot);
    const followed = trace.stepCount === 0 && owner !== undefined;
    return {
      verdict,
      reason: REASON_NAMES[trace.reason]!,
      ...(owner && { policy: owner.policy, rule: owner.rule }),
      ...(!followed && trace.stepCount <= trace.steps.length && { matched: this.#matched(trace) }),
    };
  }

  async close(): Promise<void> {
    await this.#firewall.settle();
    this.#grace.close();
    closeFd(this.#datapath.eventsFd);
    this.#datapath.close();
    this.#cleanUp();
  }

  #matched(trace: Trace): readonly MatchedRule[] {
    return trace.steps.slice(0, trace.stepCount).map(({ slot, effect }) => {
      const owner = this.#slots.owner(slot);
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

  #forget(): void {
    const { fragments, sourceBuckets, connections, nodeBuckets } = this.#datapath;
    for (const map of [fragments, sourceBuckets, connections]) {
      map.deleteAll([...map.keys()] as never[]);
    }
    nodeBuckets.u64.fill(0n);
  }
}

function actionOf(verdict: "pass" | "drop" | "redirect"): number {
  if (verdict === "pass") return XdpAction.pass;
  return verdict === "drop" ? XdpAction.drop : XdpAction.redirect;
}
