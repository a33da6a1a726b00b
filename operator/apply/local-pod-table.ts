import type { LocalPod } from "../compile/local-pods.js";
import type { PodRecord } from "../model/records-pod.js";
import { addressPair, type PodLink } from "./pod-link.js";
import { hasUid, keyOf, type PodObjects } from "./pod-objects.js";
import type { PodPlace } from "./pod-tables.js";

/** A pod that is attached to this node. */
export interface LocalEntry {
  readonly link: PodLink;
  readonly place: PodPlace;
  /**
   * With the addresses of the link, whatever its status says. The last one known: what is attached is judged until it is
   * detached. Undefined: the source has not told it yet, and the pod is closed.
   */
  record: PodRecord | undefined;
  /** This agent's programs are on its link. */
  isConnected: boolean;
  /** The rules in force were compiled with it. */
  isInForce: boolean;
  /** Why it could not be connected. */
  error: Error | undefined;
  /** When it came to this agent, in milliseconds since the epoch. */
  readonly sinceMs: number;
}

/** The pods of this node, and all pods of the cluster as policies see them: the local ones with their true addresses. */
export class LocalPodTable {
  readonly #objects: PodObjects;
  /** By the name of the link. */
  readonly #entries = new Map<string, LocalEntry>();
  readonly #pods = new Map<string, PodRecord>();
  #changed = new Set<string>();

  constructor(objects: PodObjects) {
    this.#objects = objects;
  }

  get entries(): ReadonlyMap<string, LocalEntry> {
    return this.#entries;
  }

  /** By `NAMESPACE/NAME`. */
  get pods(): ReadonlyMap<string, PodRecord> {
    return this.#pods;
  }

  /** Keys of the pods that changed since the last call. */
  takeChanged(): ReadonlySet<string> {
    const changed = this.#changed;
    this.#changed = new Set();
    return changed;
  }

  /** What policies have as subjects: pods whose record is known. */
  subjects(): readonly (LocalEntry & { readonly record: PodRecord })[] {
    return [...this.#entries.values()].filter(
      (entry): entry is LocalEntry & { record: PodRecord } => entry.record !== undefined,
    );
  }

  add(link: PodLink, place: PodPlace): LocalEntry {
    const known = this.#entries.get(link.hostName);
    const entry: LocalEntry = {
      link,
      place,
      record: known?.record,
      isConnected: false,
      isInForce: false,
      error: undefined,
      sinceMs: Date.now(),
    };
    this.#entries.set(link.hostName, entry);
    const found = this.#objects.find(link.pod);
    if (found !== undefined) this.podChanged(keyOf(found));
    return entry;
  }

  remove(hostName: string): void {
    const entry = this.#entries.get(hostName);
    this.#entries.delete(hostName);
    if (entry?.record !== undefined) this.podChanged(keyOf(entry.record));
  }

  /** Takes over what the source says of a pod now. */
  podChanged(key: string): void {
    const told = this.#objects.pods.get(key);
    let seen = told;
    if (told !== undefined) {
      for (const entry of this.#entries.values()) {
        if (!isOf(entry.link, told) || this.#isOthers(entry.link, told)) continue;
        entry.record = withAddresses(told, entry);
        seen = entry.record;
      }
    }
    if (seen === undefined) this.#pods.delete(key);
    else this.#pods.set(key, seen);
    this.#changed.add(key);
  }

  /** Of a link that knows its uid alone: whether the pod only names that uid, and another one has it. */
  #isOthers({ pod }: PodLink, told: PodRecord): boolean {
    if (pod.name !== undefined || pod.uid === told.uid) return false;
    return this.#objects.find(pod) !== told;
  }
}

export function localPodOf({
  place: { slotIn, slotOut },
  record,
}: LocalEntry & { readonly record: PodRecord }): LocalPod {
  return { key: keyOf(record), slotIn, slotOut, record };
}

function isOf({ pod: { namespace, name, uid } }: PodLink, record: PodRecord): boolean {
  if (uid !== undefined && !hasUid(record, uid)) return false;
  if (namespace === undefined || name === undefined) return uid !== undefined;
  return namespace === record.namespace && name === record.name;
}

function withAddresses(told: PodRecord, { link }: LocalEntry): PodRecord {
  return { ...told, ...addressPair(link) };
}
