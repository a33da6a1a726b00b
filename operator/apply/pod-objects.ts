import type { NodeRecord, ObjectRecord } from "../model/records.js";
import type { ClusterRecord } from "../model/records-cluster.js";
import type {
  ClusterNetworkPolicyRecord,
  NetworkPolicyRecord,
} from "../model/records-network-policy.js";
import type { NamespaceRecord, PodRecord } from "../model/records-pod.js";

/** Of the objects of a source those that pods are judged by; others are let by. */
export type PodObjectEvent =
  | { readonly type: "upsert"; readonly record: ClusterRecord | ObjectRecord }
  | {
      readonly type: "delete";
      readonly kind: string;
      readonly namespace?: string;
      readonly name: string;
    };

/** Who a runtime says that a pod is; a link that was found again knows its uid alone. */
export interface PodIdentity {
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly uid: string | undefined;
}

/** A policy of either kind. */
export type PodPolicy = NetworkPolicyRecord | ClusterNetworkPolicyRecord;

export function keyOf({ namespace, name }: { readonly namespace: string; readonly name: string }) {
  return `${namespace}/${name}`;
}

/** Whether a runtime may mean a pod of this name by that uid. A manifest in a folder may have none. */
export function hasUid({ uid, staticUid }: PodRecord, wanted: string): boolean {
  return uid === wanted || staticUid === wanted || uid === "";
}

/** The newest records that pods are judged by. */
export class PodObjects {
  /** By `NAMESPACE/NAME`, as the source told them. */
  readonly pods = new Map<string, PodRecord>();
  readonly namespaces = new Map<string, NamespaceRecord>();
  readonly nodes = new Map<string, NodeRecord>();
  /** By kind and key. */
  readonly policies = new Map<string, PodPolicy>();
  readonly #waiting = new Set<() => void>();

  /** @returns key of the pod that it was about, and whether it was about anything that matters */
  submit(event: PodObjectEvent): { readonly matters: boolean; readonly pod?: string } {
    const { kind } = event.type === "upsert" ? event.record : event;
    switch (kind) {
      case "Pod": {
        const key = keyOfEvent(event);
        put(this.pods, key, event);
        this.#tellWaiting();
        return { matters: true, pod: key };
      }
      case "Namespace":
        put(this.namespaces, keyOfEvent(event), event);
        this.#tellWaiting();
        return { matters: true };
      case "Node":
        put(this.nodes, keyOfEvent(event), event);
        return { matters: true };
      case "NetworkPolicy":
      case "ClusterNetworkPolicy":
        put(this.policies, `${kind} ${keyOfEvent(event)}`, event);
        return { matters: true };
      default:
        return { matters: false };
    }
  }

  /** Undefined: not told yet, or another pod of the same name was. */
  find({ namespace, name, uid }: PodIdentity): PodRecord | undefined {
    if (namespace === undefined || name === undefined) {
      if (uid === undefined) return undefined;
      const records = [...this.pods.values()];
      // A uid of its own first: whose annotation names it is not to be taken for the pod that has it.
      return (
        records.find((record) => record.uid === uid) ??
        records.find((record) => record.staticUid === uid)
      );
    }
    const record = this.pods.get(keyOf({ namespace, name }));
    if (record === undefined || uid === undefined) return record;
    return hasUid(record, uid) ? record : undefined;
  }

  /**
   * The record of a pod when it and its namespace are known; the source may be behind the runtime.
   *
   * @returns undefined when the time is up, or the signal came
   */
  async wait(
    pod: PodIdentity,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<PodRecord | undefined> {
    const look = () => {
      const record = this.find(pod);
      return record !== undefined && this.namespaces.has(record.namespace) ? record : undefined;
    };
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const found = look();
      const leftMs = deadline - performance.now();
      if (found !== undefined || leftMs <= 0 || signal.aborted) return found;
      await this.#change(leftMs, signal);
    }
  }

  /** Resolves at the next change of a pod or namespace, or when the time is up. */
  #change(timeoutMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", end);
        this.#waiting.delete(end);
        resolve();
      };
      const timer = setTimeout(end, timeoutMs);
      signal.addEventListener("abort", end);
      this.#waiting.add(end);
    });
  }

  #tellWaiting(): void {
    for (const tell of this.#waiting) tell();
  }
}

function keyOfEvent(event: PodObjectEvent): string {
  const of = event.type === "upsert" ? event.record : event;
  return "namespace" in of && of.namespace !== undefined
    ? keyOf({ namespace: of.namespace, name: of.name })
    : of.name;
}

function put<T>(map: Map<string, T>, key: string, event: PodObjectEvent): void {
  if (event.type === "delete") map.delete(key);
  else map.set(key, event.record as T);
}
