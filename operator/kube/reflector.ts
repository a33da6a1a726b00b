import { setTimeout as sleep } from "node:timers/promises";
import type { KubeClient } from "./client.js";
import { KubeError } from "./errors.js";
import { jsonLines, jsonList } from "./json-stream.js";
import { isKubeObject, type KubeObject, keyOf } from "./object.js";
import { backOffMs, type BackOffState, watchTimeoutSeconds } from "./pace.js";
import type { Message } from "./protobuf.js";
import { protobufEvents, protobufType } from "./protobuf-stream.js";
import { turn } from "./turns.js";

/** What is watched: all objects of a resource, or those that the selectors leave. */
export interface WatchTarget {
  /** `/api/v1/nodes`, `/apis/sluice.dev/v1alpha1/xdppolicies`. */
  readonly path: string;
  readonly fieldSelector?: string;
  readonly labelSelector?: string;
  /**
   * What is read of an object. With it protobuf is asked for, which costs the API server a third of JSON: for kinds of
   * Kubernetes' own of which there are many.
   */
  readonly message?: Message;
}

/** Takes what a {@link Reflector} sees. It must not throw. */
export interface WatchSink {
  /** An object that is there; after an interruption also one that did not change. To be projected at once. */
  upsert(object: KubeObject): void;
  remove(key: string): void;
  /** A whole list has been told: what is not in it is gone. Comes once before anything is in sync, and after each gap. */
  retain(keys: ReadonlySet<string>): void;
  /** Connected, or not any more; {@link Reflector.state} says why. */
  stateChanged(): void;
}

export interface WatchState {
  /** A whole list has been told once. */
  readonly isSynced: boolean;
  /** A stream of changes is open now. */
  readonly isConnected: boolean;
  /** Since when `isConnected` is as it is, milliseconds of `performance.now()`. */
  readonly sinceMs: number;
  /** Why it is not connected. */
  readonly error?: KubeError;
  readonly resourceVersion?: string;
  /** Events of the stream, bookmarks excepted, since the start. */
  readonly events: number;
  /** Streams opened since the start. */
  readonly streams: number;
  /** Whole lists told since the start. */
  readonly lists: number;
}

export interface ReflectorOptions {
  readonly client: KubeClient;
  readonly target: WatchTarget;
  readonly sink: WatchSink;
  /**
   * A stream without a byte for so long is opened anew. Bookmarks would come every minute, but of a kind without changes
   * only where etcd tells its progress. Default 120,000–180,000.
   */
  readonly silenceMs?: number;
}

/** The annotation of the bookmark behind the last object that was there before the watch began. */
const initialEventsEnd = "k8s.io/initial-events-end";
const pageSize = 500;
const json = "application/json";

/**
 * Keeps a sink in step with a resource. It lists by a watch that begins with all objects, or by pages where the server has
 * no such watch; then it follows the changes, from where it was after an interruption. It never gives up: what fails is
 * tried again, later each time.
 */
export class Reflector {
  readonly #options: ReflectorOptions;
  readonly #ending = new AbortController();
  #running: Promise<void> | undefined;
  /** Version to follow changes from; undefined: the list has to be told first. */
  #version: string | undefined;
  #usesPages = false;
  #isConnected = false;
  #sinceMs = performance.now();
  #error: KubeError | undefined;
  #events = 0;
  #streams = 0;
  #lists = 0;

  constructor(options: ReflectorOptions) {
    this.#options = options;
  }

  state(): WatchState {
    return {
      isSynced: this.#lists > 0,
      isConnected: this.#isConnected,
      sinceMs: this.#sinceMs,
      ...(this.#error !== undefined && { error: this.#error }),
      ...(this.#version !== undefined && { resourceVersion: this.#version }),
      events: this.#events,
      streams: this.#streams,
      lists: this.#lists,
    };
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** No call of the sink comes after it resolved. */
  async close(): Promise<void> {
    this.#ending.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#ending;
    let failures: BackOffState = { count: 0 };
    while (!signal.aborted) {
      const begunMs = performance.now();
      let delayMs: number;
      try {
        if (this.#version === undefined && this.#usesPages) await this.#listPages();
        await this.#follow();
        failures = { count: 0 };
        // The server ends each watch at its time-out: that many nodes do not come back all at once.
        delayMs = Math.random() * 500;
      } catch (thrown) {
        if (signal.aborted) return;
        const error = asKubeError(thrown, this.#options.target.path);
        if (this.#adapts(error)) continue;
        ({ delayMs, state: failures } = backOffMs(failures, performance.now() - begunMs, error));
        this.#setConnected(false, error);
      }
      await sleep(delayMs, undefined, { signal }).catch(() => undefined);
    }
  }

  /** Whether another way of asking is tried at once. */
  #adapts(error: KubeError): boolean {
    const isExpired = error.status === 410 || error.reason === "Expired" || error.reason === "Gone";
    if (isExpired && this.#version !== undefined) {
      this.#version = undefined;
      return true;
    }
    // A server before 1.32, or with the feature switched off, refuses the parameters of the streamed list.
    const isRefused = error.status === 400 || error.status === 422;
    if (isRefused && this.#version === undefined && !this.#usesPages) {
      this.#usesPages = true;
      return true;
    }
    return false;
  }

  /** Not the same for all nodes, or those of a quiet kind would ask in step. */
  #silenceMs(): number {
    return this.#options.silenceMs ?? 120_000 + Math.random() * 60_000;
  }

  #setConnected(isConnected: boolean, error?: KubeError): void {
    if (isConnected !== this.#isConnected) this.#sinceMs = performance.now();
    this.#isConnected = isConnected;
    this.#error = error;
    this.#options.sink.stateChanged();
  }

  #listed(keys: ReadonlySet<string>, version: string): void {
    this.#version = version;
    this.#lists++;
    this.#options.sink.retain(keys);
    this.#setConnected(true);
  }

  /** One watch, from the last known version or with all objects first, until the server ends it. */
  async #follow(): Promise<void> {
    const { client, target, sink } = this.#options;
    const version = this.#version;
    /** Keys of the list that is being told; undefined when changes are followed. */
    let listed = version === undefined ? new Set<string>() : undefined;
    const { response } = await client.stream({
      path: target.path,
      query: {
        ...selectors(target),
        watch: 1,
        allowWatchBookmarks: true,
        timeoutSeconds: watchTimeoutSeconds(),
        ...(version === undefined
          ? { sendInitialEvents: true, resourceVersionMatch: "NotOlderThan" }
          : { resourceVersion: version }),
      },
      ...(target.message !== undefined && {
        accept: `${protobufType};stream=watch, ${json};q=0.5`,
      }),
      timeoutMs: Math.min(30_000, this.#silenceMs()),
      signal: this.#ending.signal,
    });
    this.#streams++;
    if (version !== undefined) this.#setConnected(true);
    const isProtobuf = response.headers["content-type"]?.startsWith(protobufType) === true;
    const cut = (onEvent: (value: unknown) => void) =>
      isProtobuf ? protobufEvents(target.message ?? [], onEvent) : jsonLines(onEvent);
    const write = cut((value) => {
      const { type, object } = readEvent(value);
      if (type === "BOOKMARK") {
        const { resourceVersion, annotations } = object.metadata;
        if (listed === undefined) {
          this.#version = resourceVersion;
        } else if (annotations?.[initialEventsEnd] === "true") {
          this.#listed(listed, resourceVersion ?? "0");
          listed = undefined;
        }
        return;
      }
      const key = keyOf(object);
      if (type === "DELETED") {
        listed?.delete(key);
        sink.remove(key);
      } else {
        listed?.add(key);
        sink.upsert(object);
      }
      // While the list is told, objects do not come in the order of their versions.
      if (listed === undefined) this.#version = object.metadata.resourceVersion;
      this.#events++;
    });
    await this.#read(response, write);
  }

  /** The whole list in pages; an interrupted one begins anew. */
  async #listPages(): Promise<void> {
    const { client, target, sink } = this.#options;
    const keys = new Set<string>();
    let more: string | undefined;
    let version: string | undefined;
    do {
      const { response } = await client.stream({
        path: target.path,
        query: {
          ...selectors(target),
          limit: pageSize,
          ...(more !== undefined && { continue: more }),
        },
        signal: this.#ending.signal,
      });
      const list = jsonList((item) => {
        if (!isKubeObject(item)) return;
        keys.add(keyOf(item));
        sink.upsert(item);
      });
      await this.#read(response, (chunk) => list.write(chunk));
      const { metadata } = list.end() as { metadata?: Record<string, unknown> };
      version =
        typeof metadata?.["resourceVersion"] === "string" ? metadata["resourceVersion"] : version;
      const next = metadata?.["continue"];
      more = typeof next === "string" && next !== "" ? next : undefined;
    } while (more !== undefined);
    this.#listed(keys, version ?? "0");
  }

  async #read(
    response: AsyncIterable<unknown> & { destroy(error?: Error): unknown },
    write: (chunk: Buffer) => void,
  ): Promise<void> {
    const { target } = this.#options;
    const silenceMs = this.#silenceMs();
    const { signal } = this.#ending;
    const onEnd = () => void response.destroy();
    signal.addEventListener("abort", onEnd);
    const silence = setTimeout(() => {
      const problem = `the watch of ${target.path} was silent for ${silenceMs / 1000} s`;
      response.destroy(new SilenceError("SLUICE_KUBE_SILENT", problem));
    }, silenceMs);
    try {
      for await (const chunk of response) {
        if (signal.aborted) return;
        silence.refresh();
        write(chunk as Buffer);
        await turn();
      }
    } catch (error) {
      // A quiet server and a dead one look the same: asking anew from where it was tells them apart.
      if (error instanceof SilenceError && this.#version !== undefined) return;
      throw error;
    } finally {
      clearTimeout(silence);
      signal.removeEventListener("abort", onEnd);
      response.destroy();
    }
  }
}

class SilenceError extends KubeError {}

function selectors({ fieldSelector, labelSelector }: WatchTarget): Record<string, string> {
  return {
    ...(fieldSelector !== undefined && { fieldSelector }),
    ...(labelSelector !== undefined && { labelSelector }),
  };
}

interface WatchEvent {
  readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK";
  readonly object: KubeObject;
}

const eventTypes: readonly unknown[] = ["ADDED", "MODIFIED", "DELETED", "BOOKMARK"];

/** @throws KubeError that an event of type ERROR tells of, or on what is no event */
function readEvent(value: unknown): WatchEvent {
  const { type, object } = (value ?? {}) as { type?: unknown; object?: unknown };
  if (type === "ERROR") {
    const { message, reason, code } = (object ?? {}) as Record<string, unknown>;
    throw new KubeError(
      code === 410 ? "SLUICE_KUBE_GONE" : "SLUICE_KUBE_FAILED",
      `the watch was ended: ${typeof message === "string" ? message : "no reason given"}`,
      {
        ...(typeof code === "number" && { status: code }),
        ...(typeof reason === "string" && { reason }),
      },
    );
  }
  if (type === "BOOKMARK" && typeof object === "object" && object !== null) {
    return value as WatchEvent;
  }
  if (!eventTypes.includes(type) || !isKubeObject(object)) {
    throw new KubeError("SLUICE_KUBE_FAILED", "the watch sent what is no event");
  }
  return value as WatchEvent;
}

function asKubeError(thrown: unknown, path: string): KubeError {
  if (thrown instanceof KubeError) return thrown;
  const why = thrown instanceof Error ? thrown.message : String(thrown);
  const problem = `the answer to GET ${path} was cut off: ${why}`;
  return new KubeError("SLUICE_KUBE_UNREACHABLE", problem, { cause: thrown });
}
