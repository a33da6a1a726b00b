import { randomBytes } from "node:crypto";
import type pino from "pino";
import { type KubeClient, patchTypes } from "../kube/client.js";
import { KubeError } from "../kube/errors.js";
import type { Clock } from "./clock.js";
import { toSeconds } from "./condition.js";
import { shorten } from "./shorten.js";
import { TokenBucket } from "./token-bucket.js";

/** What an Event is about. */
export interface EventObject {
  readonly apiVersion: string;
  readonly kind: string;
  /** Missing for what has none. */
  readonly namespace?: string;
  readonly name: string;
  readonly uid: string;
}

export interface Occurrence {
  readonly object: EventObject;
  readonly type: "Normal" | "Warning";
  /** CamelCase. */
  readonly reason: string;
  readonly message: string;
}

export interface EventRecorderOptions {
  readonly client: KubeClient;
  /** `sluice-agent` or `sluice-leader`. */
  readonly component: string;
  /** Node that the reporter runs on. */
  readonly node: string;
  readonly clock: Clock;
  readonly log: pino.Logger;
}

/** Events of cluster-scoped objects live here, as kubectl describe expects; others with their object. */
const DEFAULT_NAMESPACE = "default";
/** The same occurrence within this time is counted on its Event. */
const SAME_WITHIN_MS = 600_000;
/** As client-go's spam filter: per object 25 at once, then one in 5 minutes. */
const PER_OBJECT = { burst: 25, intervalMs: 300_000 } as const;
const IN_TOTAL = { burst: 50, intervalMs: 1000 } as const;
const MOST_WAITING = 200;

interface Known {
  readonly name: string;
  readonly firstAtMs: number;
  readonly lastAtMs: number;
  readonly count: number;
}

/** Writes core/v1 Events. It never throws and never makes its caller wait; what is too much is dropped and counted. */
export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #total: TokenBucket;
  readonly #buckets = new Map<string, TokenBucket>();
  readonly #known = new Map<string, Known>();
  readonly #waiting: Occurrence[] = [];
  #isSending = false;
  #isClosed = false;
  #dropped = 0;
  #isDropLogged = false;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#total = new TokenBucket(IN_TOTAL.burst, IN_TOTAL.intervalMs, options.clock);
  }

  /** Events that were not written, since the start. */
  get dropped(): number {
    return this.#dropped;
  }

  /** To be called on transitions only. */
  emit(occurrence: Occurrence): void {
    if (this.#isClosed) return;
    this.#forget();
    const isWithinRate = this.#bucketOf(occurrence.object).take() && this.#total.take();
    if (!isWithinRate || this.#waiting.length >= MOST_WAITING) {
      this.#drop("too many events");
      return;
    }
    this.#waiting.push({ ...occurrence, message: shorten(occurrence.message) });
    if (!this.#isSending) void this.#send();
  }

  close(): void {
    this.#isClosed = true;
    this.#waiting.length = 0;
  }

  async #send(): Promise<void> {
    this.#isSending = true;
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      try {
        await this.#write(next);
      } catch (error) {
        this.#drop("the API server does not take them", error);
      }
    }
    this.#isSending = false;
  }

  async #write(occurrence: Occurrence): Promise<void> {
    const { clock, client } = this.#options;
    const key = keyOf(occurrence);
    const known = this.#known.get(key);
    const nowMs = clock.wallMs();
    if (known !== undefined) {
      const again = { ...known, count: known.count + 1, lastAtMs: clock.monotonicMs() };
      const isThere = await this.#count(occurrence.object, again, nowMs);
      if (isThere) {
        this.#known.set(key, again);
        return;
      }
    }
    const name = `${occurrence.object.name.slice(0, 230)}.${randomBytes(8).toString("hex")}`;
    const body = this.#body(name, occurrence, nowMs);
    await client.call({ method: "POST", path: pathOf(occurrence.object), body });
    const at = clock.monotonicMs();
    this.#known.set(key, { name, firstAtMs: at, lastAtMs: at, count: 1 });
  }

  /** @returns false when the Event is gone: the server keeps them for an hour */
  async #count(object: EventObject, { name, count }: Known, nowMs: number): Promise<boolean> {
    try {
      await this.#options.client.call({
        method: "PATCH",
        path: `${pathOf(object)}/${name}`,
        contentType: patchTypes.merge,
        body: { count, lastTimestamp: toSeconds(nowMs) },
      });
      return true;
    } catch (error) {
      if (error instanceof KubeError && error.status === 404) return false;
      throw error;
    }
  }

  #body(name: string, { object, type, reason, message }: Occurrence, nowMs: number) {
    const { component, node } = this.#options;
    return {
      apiVersion: "v1",
      kind: "Event",
      metadata: { name, namespace: object.namespace ?? DEFAULT_NAMESPACE },
      involvedObject: object,
      type,
      reason,
      message,
      source: { component, host: node },
      reportingComponent: component,
      reportingInstance: node,
      firstTimestamp: toSeconds(nowMs),
      lastTimestamp: toSeconds(nowMs),
      count: 1,
    };
  }

  #bucketOf({ kind, uid, namespace, name }: EventObject): TokenBucket {
    const key = [kind, namespace, name, uid].join("\0");
    let bucket = this.#buckets.get(key);
    if (bucket === undefined) {
      bucket = new TokenBucket(PER_OBJECT.burst, PER_OBJECT.intervalMs, this.#options.clock);
      this.#buckets.set(key, bucket);
    }
    return bucket;
  }

  /** What no longer makes a difference is not kept. */
  #forget(): void {
    const oldestMs = this.#options.clock.monotonicMs() - SAME_WITHIN_MS;
    for (const [key, { lastAtMs }] of this.#known) {
      if (lastAtMs < oldestMs) this.#known.delete(key);
    }
    for (const [key, bucket] of this.#buckets) if (bucket.isFull) this.#buckets.delete(key);
  }

  #drop(why: string, error?: unknown): void {
    this.#dropped += 1;
    if (this.#isDropLogged) return;
    this.#isDropLogged = true;
    this.#options.log.warn({ err: error }, `events are dropped: ${why}; only counted from now on`);
  }
}

function keyOf({ object, type, reason, message }: Occurrence): string {
  const { kind, namespace, name, uid } = object;
  return [kind, namespace, name, uid, type, reason, message].join("\0");
}

function pathOf({ namespace = DEFAULT_NAMESPACE }: EventObject): string {
  return `/api/v1/namespaces/${namespace}/events`;
}
