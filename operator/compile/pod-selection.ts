import type { LabelSelector } from "../model/records.js";
import type { Labels, NamedPort, Transport } from "../model/records-pod.js";
import { type Block, isPodInBlock, type Member, MemberSet } from "./member-set.js";
import { selectorMatches } from "./selectors.js";

/** A pod that peers may select: on the pod network, with an address, not completed. */
export interface PeerPod extends Member {
  readonly namedPorts: readonly NamedPort[];
}

/** Pods of one namespace with the same labels: selectors cannot tell them apart. */
export interface PodGroup {
  readonly labels: Labels;
  readonly pods: ReadonlySet<PeerPod>;
}

/** What a selection asks of pods, and of their namespaces. */
export interface Criteria {
  /** The one namespace (N12), or those that a selector matches. */
  readonly namespaces: string | LabelSelector;
  readonly pods: LabelSelector;
  /** Addresses that count; undefined: all of them. */
  readonly block: Block | undefined;
}

/** The pods of the cluster that one peer selects, kept up to date by the index. */
export class PodSelection {
  readonly key: string;
  readonly groups = new Set<PodGroup>();
  readonly #criteria: Criteria;
  #whole: MemberSet | undefined;
  readonly #splits = new Map<string, PortSplit>();

  constructor(key: string, criteria: Criteria) {
    this.key = key;
    this.#criteria = criteria;
  }

  /** Undefined when it may be any. */
  get onlyNamespace(): string | undefined {
    const { namespaces } = this.#criteria;
    return typeof namespaces === "string" ? namespaces : undefined;
  }

  matchesNamespace(name: string, labels: Labels): boolean {
    const { namespaces } = this.#criteria;
    return typeof namespaces === "string"
      ? namespaces === name
      : selectorMatches(namespaces, labels);
  }

  matchesPod(labels: Labels): boolean {
    return selectorMatches(this.#criteria.pods, labels);
  }

  addGroup(group: PodGroup): void {
    this.groups.add(group);
    for (const pod of group.pods) this.add(pod);
  }

  removeGroup(group: PodGroup): void {
    this.groups.delete(group);
    for (const pod of group.pods) this.remove(pod);
  }

  add(pod: PeerPod): void {
    this.#whole?.add(pod);
    for (const split of this.#splits.values()) split.add(pod);
  }

  /** To be called while the pod still has the ports that it was added with. */
  remove(pod: PeerPod): void {
    this.#whole?.remove(pod);
    for (const split of this.#splits.values()) split.remove(pod);
  }

  /** All its addresses. */
  whole(): MemberSet {
    if (this.#whole === undefined) {
      this.#whole = new MemberSet(this.#criteria.block);
      for (const { pods } of this.groups) for (const pod of pods) this.#whole.add(pod);
    }
    return this.#whole;
  }

  /** Its addresses by the number that a port name has on each pod. */
  split(portName: string): PortSplit {
    const known = this.#splits.get(portName);
    if (known !== undefined) return known;
    const split = new PortSplit(this.key, portName, this.#criteria.block);
    this.#splits.set(portName, split);
    for (const { pods } of this.groups) for (const pod of pods) split.add(pod);
    return split;
  }

  /** Forgets what is not used. Returns whether anything is left. */
  retain(used: ReadonlySet<PodSelection | PortSplit>): boolean {
    if (!used.has(this)) this.#whole = undefined;
    for (const [name, split] of this.#splits) if (!used.has(split)) this.#splits.delete(name);
    return this.#whole !== undefined || this.#splits.size > 0;
  }
}

/** Pods on which a port name stands for this number. */
export interface PortMembers {
  readonly key: string;
  readonly protocol: Transport;
  readonly port: number;
  readonly members: MemberSet;
}

/** A selection by the numbers of one port name (N26). */
export class PortSplit {
  readonly name: string;
  readonly #key: string;
  readonly #block: Block | undefined;
  readonly #byPort = new Map<string, PortMembers>();
  #ports: readonly PortMembers[] | undefined;

  constructor(selectionKey: string, name: string, block: Block | undefined) {
    this.#key = selectionKey;
    this.name = name;
    this.#block = block;
  }

  /** In a fixed order; another list when a number came or went, otherwise the same. */
  get ports(): readonly PortMembers[] {
    this.#ports ??= [...this.#byPort.values()].sort((a, b) =>
      a.protocol === b.protocol ? a.port - b.port : a.protocol < b.protocol ? -1 : 1,
    );
    return this.#ports;
  }

  add(pod: PeerPod): void {
    if (this.#block !== undefined && !isPodInBlock(this.#block, pod.addresses)) return;
    for (const { name, protocol, port } of pod.namedPorts) {
      if (name !== this.name) continue;
      const at = `${protocol}/${port}`;
      let entry = this.#byPort.get(at);
      if (entry === undefined) {
        const key = `${this.#key} with ${this.name}=${at}`;
        entry = { key, protocol, port, members: new MemberSet(this.#block) };
        this.#byPort.set(at, entry);
        this.#ports = undefined;
      }
      entry.members.add(pod);
    }
  }

  remove(pod: PeerPod): void {
    for (const { name, protocol, port } of pod.namedPorts) {
      if (name !== this.name) continue;
      const at = `${protocol}/${port}`;
      const entry = this.#byPort.get(at);
      entry?.members.remove(pod);
      if (entry?.members.size !== 0) continue;
      this.#byPort.delete(at);
      this.#ports = undefined;
    }
  }
}
