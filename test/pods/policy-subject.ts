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
import { LocalPodTable } from "../../operator/apply/local-pod-table.js";
import { PodObjects } from "../../operator/apply/pod-objects.js";
import { traceNow } from "../../operator/apply/pod-tracer.js";
import { compileFieldClasses } from "../../operator/compile/field-classes.js";
import type { CompiledRule } from "../../operator/compile/rule-list.js";
import { podFacts } from "../../operator/model/pod-facts.js";
import { CompiledSubject, writtenNames } from "../pod-rules/compiled-subject.js";
import { formatAddress, isSameAddress } from "../policy-oracle/address.js";
import { type Cluster, keyOf, type Pod } from "../policy-oracle/manifests.js";
import {
  type Ends,
  endsOf,
  localPods,
  nodeAddresses,
  type Packet,
  podAddresses,
} from "../policy-oracle/packet.js";
import type { PolicyAnswer, PolicySubject } from "../policy-oracle/subject.js";
import { createNamespace, type Namespace } from "../support/netns.js";
import { eth, ipv4, ipv6, type Layer, macBytes, packet } from "../support/packets.js";
import { icmp, icmpv6, sctp, tcp, udp } from "../support/transports.js";
import { GATEWAY_MAC, openPods, type PodSizes, type Pods, words } from "./harness.js";

/** Pods that a generated node has at most. */
const MOST_PODS = 16;
const CONTEXT_BYTES = 192;

interface Place {
  readonly index: IfIndex;
  readonly mac: string;
}

export interface KernelPolicySubject extends PolicySubject {
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
  #loaded: { readonly cluster: Cluster; readonly node: string } | undefined;
  /** By key: those that have a row. */
  #local = new Map<string, Place>();
  /** Rules that can decide, in order, and what their slots had counted last. */
  #rules: readonly { readonly slot: number; readonly rule: CompiledRule }[] = [];
  #counts: readonly bigint[] = [];

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
    await firewall.change({
      rules,
      fieldClasses: compileFieldClasses(rules),
      contents,
      judgedSlots: slots,
      enforcedSlots: slots,
      passUnparsable: false,
      eventsPerSecond: 0,
    });
    const inForce = firewall.rules!;
    const seen = new Set<number>();
    this.#rules = inForce.rules.flatMap((rule, index) => {
      const slot = inForce.slots[index]!;
      if (rule.audit || rule.action === "Pass" || seen.has(slot)) return [];
      seen.add(slot);
      return { slot, rule };
    });
    this.#counts = this.#readCounts();
    this.#loaded = { cluster, node };
  }

  judge(one: Packet): PolicyAnswer {
    assert.ok(this.#loaded);
    const { cluster, node } = this.#loaded;
    const ends = endsOf(cluster, one);
    const from = ends.source.pod && this.#local.get(keyOf(ends.source.pod));
    const to = ends.destination.pod && this.#local.get(keyOf(ends.destination.pod));
    const frame = frameOf(one, ends, from?.mac ?? GATEWAY_MAC);
    const isOwnNode = cluster.nodes
      .filter(({ metadata }) => metadata.name === node)
      .flatMap(nodeAddresses)
      .some((address) => isSameAddress(address, ends.source.address));
    const action =
      from !== undefined
        ? this.#run("podOut", frame, from.index, 0)
        : this.#run("podIn", frame, to!.index, isOwnNode ? 0 : this.#uplink);
    this.#pods.forget();
    return this.#answer(action !== TcAction.shot);
  }

  #run(program: "podOut" | "podIn", frame: Buffer, index: number, ingressIndex: number): number {
    /* Of struct __sk_buff: ingress_ifindex and ifindex. */
    const contextBytes = Buffer.alloc(CONTEXT_BYTES);
    contextBytes.writeUInt32LE(ingressIndex, 36);
    contextBytes.writeUInt32LE(index, 40);
    return this.#node.enter(
      () => testRun(this.#pods.datapath[program], { packet: frame, contextBytes }).verdict,
    );
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
      local: this.#table(),
      ownAddresses: input.ownAddresses,
    };
    const { rules } = this.#compiled;
    const tracing = { datapath, firewall, slots, rules, around, gatewayMac: GATEWAY_MAC };
    const ends = endsOf(cluster, one);
    const frame = frameOf(one, ends, GATEWAY_MAC);
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
      rules: this.#readCounts(),
      outcomes: sumCounters(datapath.outcomeCounters),
      flows: [...datapath.flows.entries()],
      fragments: [...datapath.fragments.entries()],
      lost: datapath.eventsLost(),
    };
  }

  /** As an agent has them. */
  #table(): LocalPodTable {
    const objects = new PodObjects();
    for (const record of this.#compiled.input!.pods.values()) {
      objects.submit({ type: "upsert", record });
    }
    const table = new LocalPodTable(objects);
    for (const { key, slotIn, slotOut, record } of this.#compiled.input!.localPods) {
      const place = this.#local.get(key);
      if (place === undefined) continue;
      const [ipv4, ipv6] = ([4, 6] as const).map((family) => {
        return podFacts(record).addresses.find((text) => text.includes(":") === (family === 6));
      });
      const { namespace, name } = record;
      const link = {
        hostName: key,
        mac: place.mac,
        addresses: { ipv4, ipv6 },
        pod: { namespace, name, uid: undefined },
      };
      table.add(link, { index: place.index, slotIn, slotOut });
    }
    return table;
  }

  /** By the rule that counted the packet; of an accepted one by the first. */
  #answer(allowed: boolean): PolicyAnswer {
    const before = this.#counts;
    this.#counts = this.#readCounts();
    const hit = this.#rules.filter((_, at) => this.#counts[at] !== before[at]);
    const by = hit.find(({ rule }) => (rule.action === "Accept") === allowed);
    if (by === undefined) return { allowed };
    const { fullNames } = this.#compiled.rules;
    return { allowed, ...writtenNames(by.rule, fullNames) };
  }

  #readCounts(): readonly bigint[] {
    const { ruleCounters } = this.#pods.datapath;
    return this.#rules.map(({ slot }) =>
      ruleCounters.lookup(slot)!.reduce((sum, { packets }) => sum + packets, 0n),
    );
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
      this.#local.set(keyOf(pod), place);
    });
  }
}

function addressOf(pod: Pod, family: 4 | 6): string | undefined {
  const found = podAddresses(pod).find((address) => address.family === family);
  return found && formatAddress(found);
}

function frameOf(one: Packet, { source, destination }: Ends, mac: string): Buffer {
  const addresses = {
    source: formatAddress(source.address),
    destination: formatAddress(destination.address),
  };
  const header = source.address.family === 4 ? ipv4(addresses) : ipv6(addresses);
  return packet(eth({ source: mac, destination: GATEWAY_MAC }), header, transportOf(one));
}

function transportOf({ protocol, destinationPort = 0, icmpType = 0 }: Packet): Layer {
  switch (protocol) {
    case "TCP":
      return tcp({ destinationPort });
    case "UDP":
      return udp({ destinationPort });
    case "SCTP":
      return sctp({ destinationPort });
    case "ICMP":
      return icmp({ type: icmpType });
    case "ICMPv6":
      return icmpv6({ type: icmpType });
    default:
      return { protocol, encode: () => Buffer.alloc(20) };
  }
}
