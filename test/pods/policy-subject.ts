/** The pods' programs, on what the real compiler and writer put into their tables, as what the oracle is compared with. */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import {
  defaultBpffs,
  type IfIndex,
  sumCounters,
  TcAction,
  testRun,
} from "../../datapath/index.js";
import type { PodTraceStep } from "../../operator/api/engine.js";
import { traceNow } from "../../operator/apply/pod-tracer.js";
import { compileFieldClasses } from "../../operator/compile/field-classes.js";
import type { PodRules } from "../../operator/compile/pod-rules.js";
import type { CompiledRule } from "../../operator/compile/rule-list.js";
import { CompiledSubject, writtenNames } from "../pod-rules/compiled-subject.js";
import { type Address, formatAddress, isSameAddress } from "../policy-oracle/address.js";
import { type Cluster, keyOf, type Pod } from "../policy-oracle/manifests.js";
import {
  endsOf,
  localPods,
  nodeAddresses,
  type Packet,
  podAddresses,
} from "../policy-oracle/packet.js";
import type { PolicyAnswer, PolicySubject } from "../policy-oracle/subject.js";
import { createNamespace, type Namespace } from "../support/netns.js";
import { macBytes } from "../support/packets.js";
import { FIRST_SOURCE_PORT, frameOf, type Part, withSourcePorts } from "./frames.js";
import { localTable } from "./local-table.js";
import { GATEWAY_MAC, openPods, type PodSizes, type Pods, words } from "./harness.js";

/** Pods that a generated node has at most. */
const MOST_PODS = 16;
const CONTEXT_BYTES = 192;

interface Place {
  readonly index: IfIndex;
  readonly mac: string;
}

interface LocalPlace extends Place {
  readonly slotOut: number;
  readonly slotIn: number;
}

/** Rules of one name, which may take several bits, count together. */
interface CountedRule {
  readonly slot: number;
  readonly rule: CompiledRule;
  /** Slots of the interfaces that any of them judges. */
  readonly interfaces: Set<number>;
}

export interface KernelPolicySubject extends PolicySubject {
  /**
   * Opens a connection by each packet, and keeps what the programs know of it over the next loads. Packets have ports.
   *
   * @returns whether each first packet passed
   */
  open(packets: readonly Packet[]): readonly boolean[];
  /** Whether a further packet of the connection passes that the packet at this place has opened. */
  goesOn(place: number, part: "answer" | "later"): boolean;
  /** In force, in order of judgement. */
  rules(): readonly CompiledRule[];
  /** By the policies of both ends that are pods of the node, egress first. Nothing else may come of it. */
  trace(packet: Packet): readonly PodTraceStep[];
  /** All that a packet could have changed. */
  marks(): unknown;
  close(): Promise<void>;
}

/** Loads the programs, with interfaces for pods in a namespace of its own. */
export async function openPolicySubject(sizes?: PodSizes): Promise<KernelPolicySubject> {
  const cleanups: (() => void | Promise<void>)[] = [];
  const close = async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  };
  try {
    const node = createNamespace("oracle", (work) => void cleanups.push(work));
    const pinRoot = mkdtempSync(join(defaultBpffs, `slt-${process.pid}-oracle-`));
    cleanups.push(() => rmSync(pinRoot, { recursive: true }));
    const pods = await openPods(pinRoot, sizes);
    cleanups.push(() => pods.close());
    const add = (name: string): IfIndex => {
      const words = ["type", "veth", "peer", "name", `${name}-peer`];
      node.run("ip", "link", "add", "name", name, "address", GATEWAY_MAC, ...words);
      return node.indexOf(name);
    };
    const places = Array.from({ length: MOST_PODS }, (_, at) => {
      return { index: add(`pod${at}`), mac: `02:00:00:00:02:${String(10 + at)}` };
    });
    const subject = new ProgramSubject(node, pods, places, add("uplink"));
    return {
      load: (cluster, name) => subject.load(cluster, name),
      judge: (one) => subject.judge(one),
      judgeAll: (packets) => subject.judgeAll(packets),
      open: (packets) => subject.open(packets),
      goesOn: (place, part) => subject.goesOn(place, part),
      rules: () => pods.firewall.rules?.rules ?? [],
      trace: (one) => subject.trace(one),
      marks: () => subject.marks(),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

class ProgramSubject implements PolicySubject {
  readonly #compiled = new CompiledSubject();
  readonly #node: Namespace;
  readonly #pods: Pods;
  readonly #places: readonly Place[];
  readonly #uplink: IfIndex;
  #contents: PodRules["contents"] | undefined;
  #loaded: { readonly cluster: Cluster; readonly node: string } | undefined;
  #ownAddresses: readonly Address[] = [];
  #opened: readonly (readonly [Packet, number])[] = [];
  /** By key: those that have a row. */
  #local = new Map<string, LocalPlace>();
  /** Rules that can decide, in order, and what their slots had counted last. */
  #rules: readonly CountedRule[] = [];
  #counts = new Map<CountedRule, bigint>();
  /** By slot of an interface: the rules that judge there. */
  #rulesAt = new Map<number, readonly CountedRule[]>();

  constructor(node: Namespace, pods: Pods, places: readonly Place[], uplink: IfIndex) {
    this.#node = node;
    this.#pods = pods;
    this.#places = places;
    this.#uplink = uplink;
  }

  async load(cluster: Cluster, node: string): Promise<void> {
    await this.#compiled.load(cluster, node);
    const { rules, contents } = this.#compiled.rules;
    this.#writeRows(cluster, node);
    const slots = this.#compiled.input!.localPods.flatMap((pod) => [pod.slotOut, pod.slotIn]);
    const { firewall } = this.#pods;
    const isNew = await firewall.change({
      rules,
      fieldClasses: compileFieldClasses(rules),
      contents,
      judgedSlots: slots,
      enforcedSlots: slots,
      passUnparsable: false,
      eventsPerSecond: 0,
    });
    /* As the agent does. */
    if (!isNew && contents !== this.#contents) firewall.judgeFlowsAgain();
    this.#contents = contents;
    const inForce = firewall.rules!;
    const bySlot = new Map<number, CountedRule>();
    inForce.rules.forEach((rule, index) => {
      if (rule.audit || rule.action === "Pass") return;
      const slot = inForce.slots[index]!;
      const known = bySlot.get(slot) ?? { slot, rule, interfaces: new Set<number>() };
      for (const at of rule.interfaces) known.interfaces.add(at);
      bySlot.set(slot, known);
    });
    this.#rules = [...bySlot.values()];
    this.#counts = new Map(this.#rules.map((rule) => [rule, this.#count(rule)]));
    this.#rulesAt = new Map(
      slots.map((slot) => [slot, this.#rules.filter(({ interfaces }) => interfaces.has(slot))]),
    );
    this.#loaded = { cluster, node };
    this.#ownAddresses = cluster.nodes
      .filter(({ metadata }) => metadata.name === node)
      .flatMap(nodeAddresses);
  }

  judge(one: Packet): PolicyAnswer {
    return this.judgeAll([one])[0]!;
  }

  /**
   * Every packet is the first of its connection: each has a source port of its own, and what it would be without ports
   * is forgotten before the next like it.
   */
  judgeAll(packets: readonly Packet[]): readonly PolicyAnswer[] {
    const portless = new Set<string>();
    const answers = this.#node.enter(() =>
      withSourcePorts(packets).map(([one, sourcePort]) => {
        if (one.destinationPort === undefined) {
          const key = `${[one.source, one.destination].sort().join(" ")} ${one.protocol}`;
          if (portless.has(key)) this.#pods.forget();
          portless.add(key);
        }
        const { passes, slots } = this.#send(one, sourcePort, "first");
        return this.#answer(passes, slots);
      }),
    );
    this.#pods.forget();
    this.#assertCounts();
    return answers;
  }

  open(packets: readonly Packet[]): readonly boolean[] {
    this.#pods.forget();
    this.#opened = withSourcePorts(packets);
    return this.#node.enter(() =>
      this.#opened.map(([one, sourcePort]) => this.#send(one, sourcePort, "first").passes),
    );
  }

  goesOn(place: number, part: "answer" | "later"): boolean {
    return this.#node.enter(() => this.#send(...this.#opened[place]!, part).passes);
  }

  /** Through the programs of this node that it meets: of the pod that sends it, or else of the one that receives it. */
  #send(
    one: Packet,
    sourcePort: number,
    part: Part,
  ): { readonly passes: boolean; readonly slots: readonly number[] } {
    assert.ok(this.#loaded);
    const ends = endsOf(this.#loaded.cluster, one);
    const [sender, receiver] =
      part === "answer" ? [ends.destination, ends.source] : [ends.source, ends.destination];
    const from = sender.pod && this.#local.get(keyOf(sender.pod));
    const to = receiver.pod && this.#local.get(keyOf(receiver.pod));
    const frame = frameOf(one, ends, from?.mac ?? GATEWAY_MAC, sourcePort, part);
    const isOwnNode = this.#ownAddresses.some((own) => isSameAddress(own, sender.address));
    const action =
      from !== undefined
        ? this.#run("podOut", frame, from.index, 0)
        : this.#run("podIn", frame, to!.index, isOwnNode ? 0 : this.#uplink);
    return {
      passes: action !== TcAction.shot,
      slots: [from?.slotOut, to?.slotIn].filter((slot) => slot !== undefined),
    };
  }

  #run(program: "podOut" | "podIn", frame: Buffer, index: number, ingressIndex: number): number {
    /* Of struct __sk_buff: ingress_ifindex and ifindex. */
    const contextBytes = Buffer.alloc(CONTEXT_BYTES);
    contextBytes.writeUInt32LE(ingressIndex, 36);
    contextBytes.writeUInt32LE(index, 40);
    return testRun(this.#pods.datapath[program], { packet: frame, contextBytes, growth: 0 })
      .verdict;
  }

  trace(one: Packet): readonly PodTraceStep[] {
    assert.ok(this.#loaded);
    const { cluster, node } = this.#loaded;
    const { datapath, firewall, slots } = this.#pods;
    const input = this.#compiled.input!;
    const nodes = new Map(input.nodes.map((record) => [record.name, record]));
    const around = {
      nodeName: node,
      nodes,
      local: localTable(input, this.#local),
      ownAddresses: input.ownAddresses,
    };
    const { rules } = this.#compiled;
    const tracing = { datapath, firewall, slots, rules, around, gatewayMac: GATEWAY_MAC };
    const ends = endsOf(cluster, one);
    const frame = frameOf(one, ends, GATEWAY_MAC, FIRST_SOURCE_PORT);
    const steps: PodTraceStep[] = [];
    for (const [direction, end] of [
      ["egress", ends.source],
      ["ingress", ends.destination],
    ] as const) {
      if (end.pod === undefined || !this.#local.has(keyOf(end.pod))) continue;
      const query = { pod: keyOf(end.pod), direction, frame };
      steps.push(this.#node.enter(() => traceNow(tracing, query)));
    }
    return steps;
  }

  marks(): unknown {
    const { datapath } = this.#pods;
    return {
      rules: this.#rules.map((rule) => this.#count(rule)),
      outcomes: sumCounters(datapath.outcomeCounters),
      flows: [...datapath.flows.entries()],
      fragments: [...datapath.fragments.entries()],
      lost: datapath.eventsLost(),
    };
  }

  /** By the rule that counted the packet, of those at these slots; of an accepted one by the first. */
  #answer(allowed: boolean, slots: readonly number[]): PolicyAnswer {
    const hit = slots.flatMap((slot) =>
      this.#rulesAt.get(slot)!.filter((rule) => {
        const count = this.#count(rule);
        const isHit = count !== this.#counts.get(rule);
        this.#counts.set(rule, count);
        return isHit;
      }),
    );
    const by = hit.find(({ rule }) => (rule.action === "Accept") === allowed);
    if (by === undefined) return { allowed };
    const { fullNames } = this.#compiled.rules;
    return { allowed, ...writtenNames(by.rule, fullNames) };
  }

  /** No rule may have counted a packet of another pod than it judges. */
  #assertCounts(): void {
    const wrong = this.#rules.filter((rule) => this.#count(rule) !== this.#counts.get(rule));
    assert.deepEqual(wrong, [], "rules that have counted packets of other pods");
  }

  #count({ slot }: CountedRule): bigint {
    const { ruleCounters } = this.#pods.datapath;
    return ruleCounters.lookup(slot)!.reduce((sum, { packets }) => sum + packets, 0n);
  }

  #writeRows(cluster: Cluster, node: string): void {
    const { podInterfaces, pods } = this.#pods.datapath;
    podInterfaces.deleteAll([...podInterfaces.keys()]);
    pods.deleteAll([...pods.keys()]);
    this.#local = new Map();
    const slots = new Map(this.#compiled.input!.localPods.map((pod) => [pod.key, pod]));
    localPods(cluster, node).forEach((pod, at) => {
      const place = this.#places[at];
      assert.ok(place, "a node has no more pods than there are interfaces");
      const { slotOut, slotIn } = slots.get(keyOf(pod))!;
      const mac = macBytes(place.mac);
      const [v4, v6] = ([4, 6] as const).map((family) => addressOf(pod, family));
      podInterfaces.update(place.index, {
        ipv4: v4 === undefined ? 0 : words(v4)[0]!,
        ipv6: v6 === undefined ? [0, 0, 0, 0] : words(v6),
        mac,
        slotOut,
        slotIn,
        limits: 0,
      });
      const gatewayMac = macBytes(GATEWAY_MAC);
      const row = { ifindex: place.index, slotOut, slotIn, mac, gatewayMac, limits: 0 };
      if (v4 !== undefined) pods.update({ address: words(v4), family: 4 }, row);
      if (v6 !== undefined) pods.update({ address: words(v6), family: 6 }, row);
      this.#local.set(keyOf(pod), { ...place, slotOut, slotIn });
    });
  }
}

function addressOf(pod: Pod, family: 4 | 6): string | undefined {
  const found = podAddresses(pod).find((address) => address.family === family);
  return found && formatAddress(found);
}
