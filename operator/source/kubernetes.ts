import type { KubeClient } from "../kube/client.js";
import { KubeError } from "../kube/errors.js";
import { type KubeObject, keyOf } from "../kube/object.js";
import { Reflector, type WatchState } from "../kube/reflector.js";
import { Interner } from "../model/interner.js";
import { API_SOURCE, type Problem } from "../model/records.js";
import type { SourceState } from "../model/source-state.js";
import type { HeldObjects } from "./held-objects.js";
import { apiServerEndpoints, type KubernetesKind, policyKinds } from "./kubernetes-kinds.js";
import type { ObjectEvent, Sink, Source } from "./source.js";

export interface KubernetesSourceOptions {
  /** The node whose agent this is. */
  readonly nodeName: string;
  /** Default: what policies are made of, and the API server's endpoints. */
  readonly kinds?: readonly KubernetesKind[];
  readonly observer?: ObjectObserver;
}

/** Sees objects as the API server gave them, also refused ones and those that mean nothing new. It must not throw. */
export interface ObjectObserver {
  /** @param problems what is wrong with the object, when it was admitted last */
  upsert(kind: KubernetesKind["kind"], object: KubeObject, problems: readonly Problem[]): void;
  remove(kind: KubernetesKind["kind"], key: string): void;
  /** What is not among these is gone. */
  retain(kind: KubernetesKind["kind"], keys: ReadonlySet<string>): void;
  /** All kinds have been told once. */
  synced(): void;
}

interface Watched {
  readonly kind: KubernetesKind;
  readonly objects: HeldObjects;
  readonly reflector: Reflector;
}

/**
 * The API server as a source. When it is gone, all that was told stays, and what changed meanwhile is told when it is back:
 * what was deleted, too.
 */
export class KubernetesSource implements Source {
  readonly #client: KubeClient;
  readonly #nodeName: string;
  readonly #observer: ObjectObserver | undefined;
  readonly #watched: readonly Watched[];
  #sink: Sink = () => {};
  #isSynced = false;
  #isConnected = false;
  #sinceMs = Date.now();
  #hasOwnNode = false;
  #problems: readonly Problem[] = [];
  /** By reason: when the server is gone, it is gone for every kind. */
  #connectionTold: ReadonlyMap<string, Problem> = new Map();
  #isTelling = false;

  constructor(client: KubeClient, options: KubernetesSourceOptions) {
    this.#client = client;
    this.#nodeName = options.nodeName;
    this.#observer = options.observer;
    const { kinds = [...policyKinds, apiServerEndpoints] } = options;
    const interner = new Interner();
    this.#watched = kinds.map((kind) => this.#watch(kind, kind.hold(interner)));
  }

  async start(sink: Sink): Promise<void> {
    this.#sink = sink;
    for (const { reflector } of this.#watched) reflector.start();
    await Promise.resolve();
  }

  async close(): Promise<void> {
    await Promise.all(this.#watched.map(({ reflector }) => reflector.close()));
    this.#sink = () => {};
  }

  state(): SourceState {
    const kinds = this.#watched.map((watched) => {
      const { kind, objects } = watched;
      const { isSynced, isConnected, events, streams, lists } = stateOf(watched);
      return {
        kind: kind.kind,
        objects: objects.size,
        isSynced,
        isConnected,
        events,
        streams,
        lists,
      };
    });
    return {
      type: "kubernetes",
      from: this.#client.server(),
      isSynced: this.#isSynced,
      isConnected: this.#isConnected,
      since: new Date(this.#sinceMs).toISOString(),
      errors: this.#errors(),
      kinds,
    };
  }

  #watch(kind: KubernetesKind, objects: HeldObjects): Watched {
    const reflector = new Reflector({
      client: this.#client,
      target: kind.target,
      sink: {
        upsert: (object) => {
          this.#tell(objects.upsert(object, Date.now()));
          this.#observer?.upsert(kind.kind, object, objects.problemsOf(keyOf(object)));
        },
        remove: (key) => {
          this.#observer?.remove(kind.kind, key);
          if (!this.#isOwnNode(kind, key)) this.#tell(objects.remove(key));
          else this.#setOwnNode(false);
        },
        retain: (keys) => {
          this.#observer?.retain(kind.kind, keys);
          if (kind.kind === "Node") this.#setOwnNode(keys.has(this.#nodeName));
          const kept = kind.kind === "Node" ? new Set([...keys, this.#nodeName]) : keys;
          for (const event of objects.retain(kept)) this.#tell(event);
        },
        stateChanged: () => this.#stateChanged(),
      },
    });
    return { kind, objects, reflector };
  }

  /** A node that is deleted while its agent runs keeps its labels: policies must not go for a slip of the hand. */
  #isOwnNode(kind: KubernetesKind, key: string): boolean {
    return kind.kind === "Node" && key === this.#nodeName;
  }

  #setOwnNode(isThere: boolean): void {
    this.#hasOwnNode = isThere;
    this.#tellProblemsSoon();
  }

  #tell(event: ObjectEvent | undefined): void {
    if (event?.type === "upsert" && event.record.kind === "Node") {
      if (event.record.name === this.#nodeName) this.#hasOwnNode = true;
    }
    if (event !== undefined) this.#sink(event);
    this.#tellProblemsSoon();
  }

  #stateChanged(): void {
    const states = this.#watched.map(stateOf);
    const isConnected = states.every((state) => state.isConnected);
    if (isConnected !== this.#isConnected) {
      this.#isConnected = isConnected;
      this.#sinceMs = Date.now();
    }
    if (!this.#isSynced && states.every(({ isSynced }) => isSynced)) {
      this.#isSynced = true;
      this.#tellProblems();
      this.#sink({ type: "synced" });
      this.#observer?.synced();
    }
    this.#tellProblemsSoon();
  }

  /** Once for all that one piece of an answer changed. */
  #tellProblemsSoon(): void {
    if (this.#isTelling) return;
    this.#isTelling = true;
    queueMicrotask(() => {
      this.#isTelling = false;
      this.#tellProblems();
    });
  }

  #tellProblems(): void {
    const problems = [
      ...this.#connectionProblems(),
      ...this.#watched.flatMap(({ objects }) => objects.problems()),
    ];
    const isSame =
      problems.length === this.#problems.length &&
      problems.every((problem, index) => problem === this.#problems[index]);
    if (isSame) return;
    this.#problems = problems;
    this.#sink({ type: "problems", problems });
  }

  #connectionProblems(): readonly Problem[] {
    const now = new Map<string, Problem>();
    for (const { kind, objects, reflector } of this.#watched) {
      const { error, isSynced } = reflector.state();
      if (error === undefined) continue;
      if (isMissing(kind, error)) {
        const known = this.#connectionTold.get(kind.kind);
        now.set(kind.kind, known ?? missingKind(kind, objects.size));
        continue;
      }
      const key = error.status === 404 ? kind.kind : error.code;
      if (now.has(key)) continue;
      now.set(key, this.#connectionTold.get(key) ?? connectionProblem(kind, error, isSynced));
    }
    const nodes = this.#watched.find(({ kind }) => kind.kind === "Node");
    if (nodes?.reflector.state().isSynced === true && !this.#hasOwnNode) {
      now.set("own node", this.#connectionTold.get("own node") ?? noNode(this.#nodeName));
    }
    this.#connectionTold = now;
    return [...now.values()];
  }

  #errors(): readonly string[] {
    const errors = this.#watched.flatMap((watched) => stateOf(watched).error?.problem ?? []);
    return [...new Set(errors)];
  }
}

/** A kind that need not be there is in sync without an object while the server does not know it. */
function stateOf({ kind, reflector }: Watched): WatchState {
  const { error, ...state } = reflector.state();
  if (error === undefined) return state;
  if (!isMissing(kind, error)) return { ...state, error };
  return { ...state, isSynced: true, isConnected: true };
}

function isMissing({ isOptional }: KubernetesKind, error: KubeError): boolean {
  return isOptional === true && error.status === 404;
}

function missingKind({ kind, target }: KubernetesKind, held: number): Problem {
  const stays = held === 0 ? "there are none" : "those last read stay in force";
  return {
    severity: "warning",
    code: "SLUICE_KUBE_NOT_FOUND",
    origin: { source: API_SOURCE },
    message: `the API server does not know the kind ${kind} (${target.path}); ${stays}`,
    remedy: "Install its CRD to use it; it is looked for every half minute",
  };
}

function connectionProblem(
  { kind, target }: KubernetesKind,
  error: NonNullable<WatchState["error"]>,
  isSynced: boolean,
): Problem {
  const stays = isSynced ? "what was last read stays in force" : "nothing changes until it is read";
  const isMissing = error instanceof KubeError && error.status === 404;
  const message = isMissing
    ? `the API server does not know the kind ${kind} (${target.path}); ${stays}`
    : `${error.problem}; ${stays}`;
  return {
    severity: "error",
    code: error.code,
    origin: { source: API_SOURCE },
    message,
    remedy: (isMissing ? "Install the CRDs of this version" : error.remedy) ?? "It is tried again",
  };
}

function noNode(name: string): Problem {
  return {
    severity: "error",
    code: "SLUICE_NO_NODE",
    origin: { source: API_SOURCE },
    kind: "Node",
    name,
    message: "is not there: policies with a nodeSelector act by the labels it last had",
    remedy: "Check --node-name against kubectl get nodes",
  };
}
