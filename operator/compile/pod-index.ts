import type { LabelSelector } from "../model/records.js";
import type { Labels, NamespaceRecord, PodRecord } from "../model/records-pod.js";
import { formatCidr } from "../model/cidr-format.js";
import { type Block, memberOf } from "./member-set.js";
import {
  type Criteria,
  type PeerPod,
  type PodGroup,
  PodSelection,
  type PortSplit,
} from "./pod-selection.js";
import { quoted, selectorText } from "./selector-text.js";

const EVERYTHING: LabelSelector = {};

interface Group extends PodGroup {
  readonly namespace: Namespace;
  /** Of the labels. */
  readonly text: string;
  readonly pods: Set<PeerPod>;
  readonly selections: Set<PodSelection>;
}

interface Namespace {
  readonly name: string;
  labels: Labels;
  isKnown: boolean;
  /** By the text of their labels. */
  readonly groups: Map<string, Group>;
  /** Those that its pods may be in. */
  selections: Set<PodSelection>;
}

interface Entry {
  readonly key: string;
  record: PodRecord;
  /** Undefined while peers do not select it. */
  place: { readonly group: Group; readonly pod: PeerPod } | undefined;
}

/**
 * Pods by namespace and labels, and the selections that peers make of them. A pod that changes is
 * compared with the selections of its namespace at most, and with none when its labels were met
 * before; a namespace that is relabelled with all of them, for each set of labels of its pods.
 */
export class PodIndex {
  readonly #namespaces = new Map<string, Namespace>();
  readonly #pods = new Map<string, Entry>();
  readonly #selections = new Map<string, PodSelection>();
  readonly #labelTexts = new WeakMap<Labels, string>();
  #namespacesVersion = 0;

  /** Changes with the labels of any namespace. */
  get namespacesVersion(): number {
    return this.#namespacesVersion;
  }

  get selectionCount(): number {
    return this.#selections.size;
  }

  /** With `kubernetes.io/metadata.name` (N16), also of a namespace that is not known (yet). */
  labelsOf(namespace: string): Labels {
    return this.#namespaces.get(namespace)?.labels ?? nameLabels(namespace);
  }

  syncNamespaces(records: ReadonlyMap<string, NamespaceRecord>): void {
    for (const { name, labels } of records.values()) {
      const namespace = this.#namespace(name);
      namespace.isKnown = true;
      this.#relabel(namespace, labels);
    }
    for (const namespace of this.#namespaces.values()) {
      if (!namespace.isKnown || records.has(namespace.name)) continue;
      namespace.isKnown = false;
      this.#relabel(namespace, nameLabels(namespace.name));
      this.#forgetEmpty(namespace);
    }
  }

  /** @param changed keys of all pods that may be others than at the last call */
  syncPods(records: ReadonlyMap<string, PodRecord>, changed?: Iterable<string>): void {
    if (changed !== undefined) {
      for (const key of changed) this.#setPod(key, records.get(key));
      return;
    }
    for (const [key, record] of records) this.#setPod(key, record);
    if (this.#pods.size === records.size) return;
    for (const key of this.#pods.keys()) if (!records.has(key)) this.#setPod(key, undefined);
  }

  /** @param namespaces one, or those that a selector matches */
  select(namespaces: string | LabelSelector, pods: LabelSelector): PodSelection {
    return this.#selection(selectionKey(namespaces, pods), { namespaces, pods, block: undefined });
  }

  /** Pods of the whole cluster, with those addresses that are in a block. */
  selectBlock(block: Block): PodSelection {
    const except = block.except.map((one) => ` except ${formatCidr(one)}`).sort();
    const key = `pods at ${formatCidr(block.cidr)}${except.join("")}`;
    return this.#selection(key, { namespaces: EVERYTHING, pods: EVERYTHING, block });
  }

  /** Forgets selections and splits that are not used. */
  retain(used: ReadonlySet<PodSelection | PortSplit>): void {
    for (const [key, selection] of this.#selections) {
      if (selection.retain(used)) continue;
      this.#selections.delete(key);
      for (const { selections, groups } of this.#namespaces.values()) {
        if (!selections.delete(selection)) continue;
        for (const group of groups.values()) group.selections.delete(selection);
      }
    }
  }

  #selection(key: string, criteria: Criteria): PodSelection {
    const known = this.#selections.get(key);
    if (known !== undefined) return known;
    const selection = new PodSelection(key, criteria);
    this.#selections.set(key, selection);
    const { onlyNamespace } = selection;
    const candidates =
      onlyNamespace === undefined
        ? this.#namespaces.values()
        : [this.#namespaces.get(onlyNamespace)].filter((one) => one !== undefined);
    for (const namespace of candidates) {
      if (!selection.matchesNamespace(namespace.name, namespace.labels)) continue;
      namespace.selections.add(selection);
      for (const group of namespace.groups.values()) {
        if (!selection.matchesPod(group.labels)) continue;
        group.selections.add(selection);
        selection.addGroup(group);
      }
    }
    return selection;
  }

  #setPod(key: string, record: PodRecord | undefined): void {
    const known = this.#pods.get(key);
    if (known?.record === record) return;
    if (record === undefined) {
      if (known === undefined) return;
      this.#move(known, undefined);
      this.#pods.delete(key);
      return;
    }
    const entry: Entry = known ?? { key, record, place: undefined };
    if (known === undefined) this.#pods.set(key, entry);
    this.#move(entry, isPeer(record) ? record : undefined);
    entry.record = record;
  }

  /** @param record undefined: peers do not select it any more */
  #move(entry: Entry, record: PodRecord | undefined): void {
    const { place } = entry;
    const group = record && this.#group(record);
    const isSame = place !== undefined && record !== undefined && isAlike(place.pod, record);
    // A pod that only changed its labels stays as it is in all sets that it does not leave.
    const pod =
      isSame || record === undefined
        ? place?.pod
        : { ...memberOf(entry.key, record), namedPorts: record.namedPorts };
    if (place !== undefined && (place.group !== group || place.pod !== pod)) {
      place.group.pods.delete(place.pod);
      for (const selection of place.group.selections) {
        if (isSame && group?.selections.has(selection) === true) continue;
        selection.remove(place.pod);
      }
    }
    if (group !== undefined && pod !== undefined) {
      group.pods.add(pod);
      if (place === undefined || place.group !== group || place.pod !== pod) {
        for (const selection of group.selections) {
          if (isSame && place.group.selections.has(selection)) continue;
          selection.add(pod);
        }
      }
    }
    entry.place = group && pod && { group, pod };
    if (place !== undefined && place.group !== group) this.#forgetEmptyGroup(place.group);
  }

  #group({ namespace: name, labels }: PodRecord): Group {
    const namespace = this.#namespace(name);
    const text = this.#labelsText(labels);
    const known = namespace.groups.get(text);
    if (known !== undefined) return known;
    const selections = [...namespace.selections].filter((one) => one.matchesPod(labels));
    const pods = new Set<PeerPod>();
    const group: Group = { namespace, text, labels, pods, selections: new Set(selections) };
    namespace.groups.set(text, group);
    for (const selection of selections) selection.addGroup(group);
    return group;
  }

  #forgetEmptyGroup(group: Group): void {
    if (group.pods.size > 0) return;
    const { namespace, text } = group;
    namespace.groups.delete(text);
    for (const selection of group.selections) selection.groups.delete(group);
    this.#forgetEmpty(namespace);
  }

  #namespace(name: string): Namespace {
    const known = this.#namespaces.get(name);
    if (known !== undefined) return known;
    const labels = nameLabels(name);
    const groups = new Map<string, Group>();
    const selections = this.#selectionsOf(name, labels);
    const namespace: Namespace = { name, labels, isKnown: false, groups, selections };
    this.#namespaces.set(name, namespace);
    return namespace;
  }

  #forgetEmpty({ name, isKnown, groups }: Namespace): void {
    if (!isKnown && groups.size === 0) this.#namespaces.delete(name);
  }

  #relabel(namespace: Namespace, labels: Labels): void {
    if (namespace.labels === labels) return;
    const isSame = this.#labelsText(namespace.labels) === this.#labelsText(labels);
    namespace.labels = labels;
    if (isSame) return;
    this.#namespacesVersion++;
    const before = namespace.selections;
    namespace.selections = this.#selectionsOf(namespace.name, labels);
    for (const group of namespace.groups.values()) {
      for (const selection of before) {
        if (namespace.selections.has(selection)) continue;
        if (group.selections.delete(selection)) selection.removeGroup(group);
      }
      for (const selection of namespace.selections) {
        if (before.has(selection) || !selection.matchesPod(group.labels)) continue;
        group.selections.add(selection);
        selection.addGroup(group);
      }
    }
  }

  #selectionsOf(name: string, labels: Labels): Set<PodSelection> {
    const all = [...this.#selections.values()];
    return new Set(all.filter((selection) => selection.matchesNamespace(name, labels)));
  }

  #labelsText(labels: Labels): string {
    let text = this.#labelTexts.get(labels);
    if (text === undefined) {
      text = JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));
      this.#labelTexts.set(labels, text);
    }
    return text;
  }
}

function selectionKey(namespaces: string | LabelSelector, pods: LabelSelector): string {
  const text = selectorText(pods);
  const which = text === "" ? "pods" : `pods ${text}`;
  if (typeof namespaces === "string") return `${which} in ${quoted(namespaces)}`;
  const where = selectorText(namespaces);
  return where === "" ? `${which} in all namespaces` : `${which} in namespaces ${where}`;
}

/** N21, N24. */
function isPeer({ isHostNetwork, isCompleted, ipv4, ipv6 }: PodRecord): boolean {
  return !isHostNetwork && !isCompleted && (ipv4 !== undefined || ipv6 !== undefined);
}

/** Whether sets hold the pod in the same way as the record would be. */
function isAlike({ addresses, namedPorts }: PeerPod, record: PodRecord): boolean {
  const { ipv4, ipv6 } = addresses;
  return (
    ipv4 === record.ipv4 &&
    ipv6?.high === record.ipv6?.high &&
    ipv6?.low === record.ipv6?.low &&
    (namedPorts === record.namedPorts ||
      JSON.stringify(namedPorts) === JSON.stringify(record.namedPorts))
  );
}

function nameLabels(name: string): Labels {
  return { "kubernetes.io/metadata.name": name };
}
