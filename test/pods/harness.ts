/**
 * The pods' programs on tables that the real compiler and the real writer filled. Packets come from test runs, or from
 * sockets when the programs are attached.
 */

import assert from "node:assert/strict";
import {
  type ConnectionKey,
  type Flow,
  type PodInterface,
  Reason,
  Verdict,
} from "../../datapath/generated/layout.js";
import { closeFd, GracePeriod, type IfIndex, TcAction, testRun } from "../../datapath/index.js";
import type { ReasonName, VerdictName } from "../../operator/api/engine.js";
import { clearRuleSlot } from "../../operator/apply/counters.js";
import { Firewall } from "../../operator/apply/firewall.js";
import { REASON_NAMES, VERDICT_NAMES } from "../../operator/apply/names.js";
import {
  openPodDatapath,
  type PodDatapath,
  type PodDatapathOptions,
} from "../../operator/apply/pod-datapath.js";
import type { PodBandwidth } from "../../operator/apply/pod-link.js";
import { limitBits, writeRates } from "../../operator/apply/pod-rates.js";
import { RedirectTargets } from "../../operator/apply/redirect-targets.js";
import { RuleSlots } from "../../operator/apply/rule-slots.js";
import { compileFieldClasses } from "../../operator/compile/field-classes.js";
import { protocolProducts } from "../../operator/compile/protocol-boxes.js";
import type { CompiledRule, InlineSet } from "../../operator/compile/rule-list.js";
import { inlineSetContent } from "../../operator/compile/set-content.js";
import type { ProtocolMatch } from "../../operator/model/records.js";
import { parseCidr } from "../oracle/address.js";
import type { Namespace } from "../support/netns.js";
import { ipBytes, macBytes } from "../support/packets.js";

/** The gateway that every pod knows: the host's end of its veth. */
export const GATEWAY_MAC = "ee:ee:ee:ee:ee:ee";

/** A local pod. Its slots are given out in order. */
export interface Pod {
  readonly name: string;
  /** The host's end of its veth. */
  readonly index: IfIndex;
  readonly mac: string;
  readonly ipv4: string;
  readonly ipv6: string;
}

/** A rule as the compiler of network policies hands it on, of policy `test` unless it says otherwise. */
export interface PodRule {
  readonly rule: string;
  readonly policy?: string;
  readonly action: "Accept" | "Drop" | "Pass";
  /** Pods whose egress, or whose ingress, it judges. */
  readonly egressOf?: readonly string[];
  readonly ingressOf?: readonly string[];
  readonly from?: readonly string[];
  readonly to?: readonly string[];
  /** Name of the set that `from` and `to` are; by what is in it unless it changes in place. */
  readonly set?: string;
  readonly protocols?: readonly ProtocolMatch[];
  readonly audit?: boolean;
  /** Default: no events. */
  readonly logOneIn?: number;
}

/** What a packet met with at one stage. */
export interface Step {
  /** `out` and `in` are the pod's two slots; `?` is the row of packets of no pod. */
  readonly at: string;
  readonly verdict: VerdictName;
  readonly reason: ReasonName;
}

export interface Met {
  /** What the program returned. */
  readonly action: "stack" | "drop" | "redirect";
  readonly steps: readonly Step[];
  /** Rules that counted the packet. */
  readonly rules: readonly string[];
  readonly packet: Buffer;
}

const ACTIONS: Readonly<Record<number, Met["action"]>> = {
  [TcAction.next]: "stack",
  [TcAction.shot]: "drop",
  [TcAction.redirect]: "redirect",
};

export type PodSizes = Omit<PodDatapathOptions, "pinRoot">;

export async function openPods(
  pinRoot: string,
  sizes: PodSizes = { addressLines: 4096, flows: 4096 },
): Promise<Pods> {
  return new Pods(await openPodDatapath({ pinRoot, ...sizes }));
}

export class Pods {
  readonly datapath: PodDatapath;
  readonly slots: RuleSlots;
  readonly firewall: Firewall;
  readonly #grace = new GracePeriod();
  #isRingTaken = false;
  readonly #pods = new Map<string, Pod & Pick<PodInterface, "slotOut" | "slotIn">>();

  constructor(datapath: PodDatapath) {
    this.datapath = datapath;
    this.slots = new RuleSlots(datapath, (slot) => clearRuleSlot(datapath, slot));
    const targets = new RedirectTargets(datapath, new Map(), () => undefined);
    this.firewall = new Firewall(datapath, this.#grace, this.slots, targets);
  }

  /** Makes a pod known; it is closed until the next {@link apply}. */
  add(pod: Pod): void {
    const slotOut = 2 * this.#pods.size + 1;
    const slotIn = slotOut + 1;
    this.#pods.set(pod.name, { ...pod, slotOut, slotIn });
    const { podInterfaces, pods } = this.datapath;
    const mac = macBytes(pod.mac);
    const ipv4 = words(pod.ipv4);
    const ipv6 = words(pod.ipv6);
    podInterfaces.update(pod.index, { ipv4: ipv4[0]!, ipv6, mac, slotOut, slotIn, limits: 0 });
    const gatewayMac = macBytes(GATEWAY_MAC);
    const row = { ifindex: pod.index, slotOut, slotIn, mac, gatewayMac, limits: 0 };
    pods.update({ address: ipv4, family: 4 }, row);
    pods.update({ address: ipv6, family: 6 }, row);
  }

  /** Gives a pod full buckets of these rates. */
  limit(name: string, bandwidth: PodBandwidth): void {
    writeRates(this.datapath.podRates, this.pod(name));
    this.relimit(name, bandwidth);
  }

  /** Tells the rates of a pod again. */
  relimit(name: string, bandwidth: PodBandwidth): void {
    const { index, ipv4, ipv6, ...place } = this.pod(name);
    const { podInterfaces, pods, podRates } = this.datapath;
    const limits = limitBits(bandwidth);
    writeRates(podRates, place, bandwidth);
    podInterfaces.update(index, { ...podInterfaces.lookup(index)!, limits });
    for (const key of [
      { address: words(ipv4), family: 4 },
      { address: words(ipv6), family: 6 },
    ]) {
      pods.update(key, { ...pods.lookup(key)!, limits });
    }
  }

  /**
   * Puts rules in force for all pods added so far; a pod that none names is open.
   *
   * @param firewall another agent's, of the same tables
   */
  async apply(
    rules: readonly PodRule[],
    { eventsPerSecond = 0, firewall = this.firewall } = {},
  ): Promise<void> {
    const sets = new Map<string, InlineSet>();
    const compiled = rules.map((rule, index) => this.#compile(rule, index, sets));
    const slots = [...this.#pods.values()].flatMap(({ slotOut, slotIn }) => [slotOut, slotIn]);
    await firewall.change({
      rules: compiled,
      fieldClasses: compileFieldClasses(compiled),
      contents: new Map([...sets].map(([key, set]) => [key, inlineSetContent(set)])),
      judgedSlots: slots,
      enforcedSlots: slots,
      passUnparsable: false,
      eventsPerSecond,
    });
  }

  #compile(rule: PodRule, index: number, sets: Map<string, InlineSet>): CompiledRule {
    const { policy = "test", audit = false, egressOf = [], ingressOf = [] } = rule;
    const products = rule.protocols && protocolProducts(rule.protocols);
    assert.ok(products === undefined || products.length === 1, "protocols of one bit");
    const addresses = (cidrs: readonly string[] | undefined) => {
      if (cidrs === undefined) return undefined;
      const key = rule.set ?? `cidr:${cidrs.join()}`;
      sets.set(key, { cidrs: cidrs.map(parseCidr), except: [] });
      return [key];
    };
    return {
      policy,
      rule: rule.rule,
      action: rule.action,
      audit,
      isDefault: false,
      from: addresses(rule.from),
      to: addresses(rule.to),
      protocols: products?.[0],
      traits: 0,
      interfaces: [
        ...egressOf.map((name) => this.pod(name).slotOut),
        ...ingressOf.map((name) => this.pod(name).slotIn),
      ],
      rateLimit: undefined,
      redirect: undefined,
      logOneIn: rule.logOneIn ?? 0,
      next: index + 1,
      resume: index + 1,
    };
  }

  pod(name: string) {
    const pod = this.#pods.get(name);
    assert.ok(pod !== undefined, `there is a pod ${name}`);
    return pod;
  }

  /** Runs a program as if the frame passed an interface of the namespace, and reads off what it met with. */
  run(
    namespace: Namespace,
    program: "podOut" | "podIn" | "podArrive",
    frame: Uint8Array,
    at: { readonly ifIndex: number; readonly ingressIfIndex?: number; readonly gsoSize?: number },
  ): Met {
    const steps = this.#outcomes();
    const rules = this.#ruleCounts();
    const { verdict, packet } = this.test(namespace, program, frame, at);
    const action = ACTIONS[verdict];
    assert.ok(action !== undefined, `the program returned ${verdict}`);
    return {
      action,
      steps: grown(steps, this.#outcomes()).map(stepOf),
      rules: grown(rules, this.#ruleCounts()),
      packet,
    };
  }

  /** Runs a program, and tells what it returned. */
  test(
    namespace: Namespace,
    program: "podOut" | "podIn" | "podArrive",
    frame: Uint8Array,
    at: { readonly ifIndex: number; readonly ingressIfIndex?: number; readonly gsoSize?: number },
  ) {
    /* struct __sk_buff, of which ingress_ifindex and ifindex say where the packet is; gso_size how it will be cut. */
    const contextBytes = Buffer.alloc(192);
    contextBytes.writeUInt32LE(at.ingressIfIndex ?? 0, 36);
    contextBytes.writeUInt32LE(at.ifIndex, 40);
    contextBytes.writeUInt32LE(at.gsoSize ?? 0, 176);
    return namespace.enter(() => testRun(this.datapath[program], { packet: frame, contextBytes }));
  }

  flow(key: Partial<ConnectionKey>): Flow | undefined {
    return this.flows().find(([found]) =>
      Object.entries(key).every(([field, value]) => found[field as keyof ConnectionKey] === value),
    )?.[1];
  }

  flows(): readonly (readonly [ConnectionKey, Flow])[] {
    return [...this.datapath.flows.entries()];
  }

  /** As if so much time had passed since the last packet of every flow. */
  age(seconds: number): void {
    for (const [key, flow] of this.flows()) {
      this.datapath.flows.update(key, {
        ...flow,
        /* Also on a machine that has not run for so long: the programs' arithmetic wraps as well. */
        lastNs: BigInt.asUintN(64, flow.lastNs - BigInt(seconds) * 1_000_000_000n),
      });
    }
  }

  forget(): void {
    this.datapath.flows.deleteAll(this.flows().map(([key]) => key));
    this.datapath.fragments.deleteAll([...this.datapath.fragments.keys()]);
  }

  async close(): Promise<void> {
    await this.firewall.settle();
    this.#grace.close();
    if (!this.#isRingTaken) closeFd(this.datapath.eventsFd);
    this.datapath.close();
  }

  /** Whoever takes the ring closes it. */
  takeRing(): PodDatapath {
    this.#isRingTaken = true;
    return this.datapath;
  }

  /** Packets of a pod that have met with this so far. */
  counted(name: string, side: "out" | "in", verdict: VerdictName, reason: ReasonName): bigint {
    return this.#outcomes().get(`${name}:${side} ${verdict} ${reason}`) ?? 0n;
  }

  /** Packets by `pod:out verdict reason`. */
  #outcomes(): ReadonlyMap<string, bigint> {
    /* A packet meets its sender's policies first. */
    const all = [...this.#pods.values()];
    const places = [
      ...all.map(({ name, slotOut }) => [`${name}:out`, slotOut] as const),
      ...all.map(({ name, slotIn }) => [`${name}:in`, slotIn] as const),
    ];
    const counts = new Map<string, bigint>();
    for (const [at, slot] of [["?", 0] as const, ...places]) {
      VERDICT_NAMES.forEach((verdict, verdictNumber) => {
        REASON_NAMES.forEach((reason, reasonNumber) => {
          const row = (slot * Verdict.VERDICTS + verdictNumber) * Reason.REASONS + reasonNumber;
          counts.set(`${at} ${verdict} ${reason}`, packets(this.datapath.outcomeCounters, row));
        });
      });
    }
    return counts;
  }

  #ruleCounts(): ReadonlyMap<string, bigint> {
    const inForce = this.firewall.rules?.slots ?? [];
    return new Map(
      inForce.map((slot) => [
        this.slots.owner(slot)!.rule,
        packets(this.datapath.ruleCounters, slot),
      ]),
    );
  }
}

function packets(
  counters: PodDatapath["outcomeCounters"] | PodDatapath["ruleCounters"],
  row: number,
): bigint {
  return (counters.lookup(row) ?? []).reduce((sum, cpu) => sum + cpu.packets, 0n);
}

function grown(
  before: ReadonlyMap<string, bigint>,
  after: ReadonlyMap<string, bigint>,
): readonly string[] {
  return [...after].filter(([key, count]) => count !== before.get(key)).map(([key]) => key);
}

function stepOf(text: string): Step {
  const [at = "", verdict, reason] = text.split(" ");
  return { at, verdict: verdict as VerdictName, reason: reason as ReasonName };
}

/** Network order in words, as they stand in a packet. */
export function words(address: string): readonly number[] {
  const bytes = ipBytes(address);
  return Array.from({ length: 4 }, (_, at) =>
    at * 4 < bytes.length ? bytes.readUInt32LE(at * 4) : 0,
  );
}
