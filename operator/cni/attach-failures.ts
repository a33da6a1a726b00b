import type { PodIdentity } from "./request.js";

/** A pod that the runtime could not attach when it tried last. */
export interface AttachFailure {
  readonly pod: PodIdentity & { readonly namespace: string; readonly name: string };
  /** Of the first failure in a row, in milliseconds since the epoch. */
  readonly sinceMs: number;
  readonly message: string;
}

/** A kubelet tries again within five minutes at most; who does not has given the pod up. */
const GIVEN_UP_MS = 600_000;
/** As many as there can be pods on a node. */
const MOST = 511;

/** Remembers which pods could not be attached, until they are. */
export class AttachFailures {
  readonly #nowMs: () => number;
  readonly #failures = new Map<string, AttachFailure & { readonly lastMs: number }>();

  constructor(nowMs: () => number = Date.now) {
    this.#nowMs = nowMs;
  }

  /** @param error of the attempt; undefined: it succeeded */
  note({ namespace, name, uid }: PodIdentity, error: Error | undefined): void {
    if (namespace === undefined || name === undefined) return;
    const key = `${namespace}/${name} ${uid}`;
    const before = this.#failures.get(key);
    this.#failures.delete(key);
    if (error === undefined) return;
    const lastMs = this.#nowMs();
    const { message } = error;
    const sinceMs = before?.sinceMs ?? lastMs;
    this.#failures.set(key, { pod: { namespace, name, uid }, sinceMs, lastMs, message });
    // The first in a map is the one that failed longest ago.
    for (const oldest of this.#failures.keys()) {
      if (this.#failures.size <= MOST) break;
      this.#failures.delete(oldest);
    }
  }

  /** The pod is gone. */
  forget(namespace: string, name: string): void {
    for (const [key, { pod }] of this.#failures) {
      if (pod.namespace === namespace && pod.name === name) this.#failures.delete(key);
    }
  }

  list(): readonly AttachFailure[] {
    const oldestMs = this.#nowMs() - GIVEN_UP_MS;
    for (const [key, { lastMs }] of this.#failures) {
      if (lastMs < oldestMs) this.#failures.delete(key);
    }
    return [...this.#failures.values()].map(({ pod, sinceMs, message }) => {
      return { pod, sinceMs, message };
    });
  }
}
