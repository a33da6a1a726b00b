import type { LabelSelector } from "../model/records.js";
import type { Labels, NamedPort, PodRecord } from "../model/records-pod.js";
import { selectorMatches } from "./selectors.js";

/** A pod of this node and its two interface slots. */
export interface LocalPod {
  /** `NAMESPACE/NAME` */
  readonly key: string;
  /** Judged when it receives. */
  readonly slotIn: number;
  /** Judged when it sends. */
  readonly slotOut: number;
  readonly record: PodRecord;
}

/** What policies see of a local pod; another object when any of it changed. */
export interface Subject {
  readonly key: string;
  readonly slotIn: number;
  readonly slotOut: number;
  readonly labels: Labels;
  readonly namedPorts: readonly NamedPort[];
}

interface Known {
  readonly record: PodRecord;
  readonly text: string;
  readonly subject: Subject;
}

/**
 * Pods that policies may have as subjects, by namespace. Those of the host network never are (N21);
 * completed ones are until they are gone.
 */
export class LocalPods {
  #known = new Map<string, Known>();
  #byNamespace = new Map<string, readonly Subject[]>();
  /** When a namespace last changed. */
  #versions = new Map<string, number>();
  #version = 0;

  /** Changes with anything that policies see of them. */
  get version(): number {
    return this.#version;
  }

  /** The same for the pods of one namespace. */
  versionIn(namespace: string): number {
    return this.#versions.get(namespace) ?? 0;
  }

  get namespaces(): ReadonlyMap<string, readonly Subject[]> {
    return this.#byNamespace;
  }

  sync(pods: readonly LocalPod[]): void {
    const known = new Map<string, Known>();
    const byNamespace = new Map<string, Subject[]>();
    let isSame = true;
    for (const { key, slotIn, slotOut, record } of pods) {
      if (record.isHostNetwork) continue;
      const { namespace, labels, namedPorts } = record;
      const before = this.#known.get(key);
      let entry = before;
      if (
        before?.record !== record ||
        before.subject.slotIn !== slotIn ||
        before.subject.slotOut !== slotOut
      ) {
        const text = JSON.stringify([namespace, slotIn, slotOut, labels, namedPorts]);
        const subject = { key, slotIn, slotOut, labels, namedPorts };
        entry = { record, text, subject: before?.text === text ? before.subject : subject };
        if (entry.subject === subject) isSame = false;
      }
      known.set(key, entry!);
      const list = byNamespace.get(namespace);
      if (list === undefined) byNamespace.set(namespace, [entry!.subject]);
      else list.push(entry!.subject);
    }
    const wasSize = this.#known.size;
    this.#known = known;
    if (isSame && known.size === wasSize) return;
    this.#version++;
    const versions = new Map<string, number>();
    for (const [namespace, list] of byNamespace) {
      list.sort((a, b) => a.slotIn - b.slotIn);
      const before = this.#byNamespace.get(namespace);
      const isAlike = before?.length === list.length && list.every((one, at) => one === before[at]);
      versions.set(namespace, isAlike ? this.versionIn(namespace) : this.#version);
    }
    this.#byNamespace = byNamespace;
    this.#versions = versions;
  }

  /** Those of one namespace that a selector matches. */
  in(namespace: string, pods: LabelSelector): readonly Subject[] {
    const candidates = this.#byNamespace.get(namespace) ?? [];
    return candidates.filter(({ labels }) => selectorMatches(pods, labels));
  }
}
