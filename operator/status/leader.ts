import { isDeepStrictEqual } from "node:util";
import type pino from "pino";
import { selectorMatches } from "../compile/selectors.js";
import { type KubeClient, patchTypes } from "../kube/client.js";
import { KubeError } from "../kube/errors.js";
import type { KubeObject } from "../kube/object.js";
import type { WatchSink, WatchTarget } from "../kube/reflector.js";
import type { Clock } from "./clock.js";
import { type ClusterListener, type ClusterView, keyOf, type ObjectKey } from "./cluster-view.js";
import type { EventRecorder } from "./events.js";
import { foldPolicy, foldSet } from "./fold.js";
import { changedNames, NodeViews } from "./node-view.js";
import type { ObjectFacts, ObjectStatus } from "./object-facts.js";
import { objectOccurrences } from "./object-transitions.js";
import { OrphanSweep } from "./orphans.js";
import { PacedQueue } from "./paced-queue.js";
import type { PodPolicyKey } from "./pod-policy-facts.js";
import { PodPolicyLeader } from "./pod-policy-leader.js";

export const LEADER_FIELD_MANAGER = "sluice-leader";
export const NODE_DATAPATHS_PATH = "/apis/sluice.dev/v1alpha1/nodedatapaths";

const plurals = { XdpPolicy: "xdppolicies", XdpCidrSet: "xdpcidrsets" } as const;

/** Lists and watches until it is closed, and goes on after any failure by itself: a started `Reflector`. */
export type WatchObjects = (target: WatchTarget, sink: WatchSink) => { close(): unknown };

export interface LeaderOptions {
  readonly client: KubeClient;
  readonly cluster: ClusterView;
  readonly watchObjects: WatchObjects;
  readonly events: EventRecorder;
  readonly clock: Clock;
  readonly log: pino.Logger;
}

/** Writes what nodes say into the status of policies and sets, until the signal is aborted: the leader's work. */
export function leadCluster(options: LeaderOptions, signal: AbortSignal): void {
  const leader = new Leader(options);
  leader.start();
  signal.addEventListener("abort", () => leader.close(), { once: true });
  if (signal.aborted) leader.close();
}

class Leader implements ClusterListener {
  readonly #options: LeaderOptions;
  readonly #views = new NodeViews();
  readonly #queue: PacedQueue;
  readonly #podPolicies: PodPolicyLeader;
  readonly #orphans: OrphanSweep;
  #end: readonly (() => unknown)[] = [];
  #areNodesSynced = false;
  #isClosed = false;

  constructor(options: LeaderOptions) {
    this.#options = options;
    const { clock, client, cluster, log } = options;
    this.#queue = new PacedQueue({
      clock,
      debounceMs: 1000,
      intervalMs: 10_000,
      soonMs: 2000,
      run: (key) => this.#write(key as ObjectKey),
      onFailure: (key, error) => log.warn({ err: error }, `${key}: status not written; retrying`),
    });
    this.#podPolicies = new PodPolicyLeader({
      ...options,
      views: this.#views,
      fieldManager: LEADER_FIELD_MANAGER,
    });
    this.#orphans = new OrphanSweep({ client, clock, log, nodes: cluster.nodes });
  }

  start(): void {
    const { cluster, watchObjects } = this.#options;
    const stopListening = cluster.listen(this);
    const target = { path: NODE_DATAPATHS_PATH };
    const watch = watchObjects(target, {
      upsert: (object) => this.#upsertNodeDatapath(object),
      remove: (name) => this.#removeNodeDatapath(name),
      retain: (names) => this.#retain(names),
      stateChanged: () => {},
    });
    this.#end = [stopListening, () => watch.close(), () => this.#orphans.close()];
  }

  close(): void {
    this.#isClosed = true;
    for (const end of this.#end) end();
    void this.#queue.close();
    this.#podPolicies.close();
  }

  podPolicy(key: PodPolicyKey): void {
    if (this.#isReady) this.#podPolicies.mark(key);
  }

  object(key: ObjectKey): void {
    const facts = this.#options.cluster.objects.get(key);
    if (facts === undefined) this.#queue.forget(key);
    else this.#mark(facts);
  }

  node(name: string, before: Labels | undefined, after: Labels | undefined): void {
    const view = this.#views.get(name);
    for (const facts of this.#options.cluster.objects.values()) {
      if (isConcerned(facts, before, after)) this.#mark(facts);
      else if (facts.kind === "XdpCidrSet" && view?.sets.has(facts.name)) this.#mark(facts);
    }
    // One that comes or goes counts as much as it has to say.
    if ((before === undefined) === (after === undefined)) return;
    for (const key of view?.podPolicies.keys() ?? []) this.podPolicy(key);
  }

  synced(): void {
    this.#markAll();
  }

  /** Half of the picture would be a wrong status. */
  get #isReady(): boolean {
    return this.#areNodesSynced && this.#options.cluster.isSynced && !this.#isClosed;
  }

  #markAll(): void {
    for (const facts of this.#options.cluster.objects.values()) this.#mark(facts);
    if (this.#isReady) this.#podPolicies.markAll();
  }

  #mark(facts: ObjectFacts): void {
    if (!this.#isReady) return;
    // Who has just changed a policy waits for this; later reports of nodes come in their time.
    this.#queue.mark(keyOf(facts), facts.status?.observedGeneration !== facts.generation);
  }

  #upsertNodeDatapath({ metadata: { name }, ...object }: KubeObject): void {
    const status = object["status"] as Parameters<NodeViews["set"]>[1];
    this.#nodeSays(name, () => this.#views.set(name, status));
  }

  #removeNodeDatapath(name: string): void {
    this.#nodeSays(name, () => this.#views.delete(name));
  }

  #retain(names: ReadonlySet<string>): void {
    for (const name of [...this.#views.names()]) {
      if (!names.has(name)) this.#removeNodeDatapath(name);
    }
    if (this.#areNodesSynced) return;
    this.#areNodesSynced = true;
    this.#markAll();
    this.#orphans.start(() => (this.#isReady ? this.#views.names() : []));
  }

  #nodeSays(node: string, change: () => void): void {
    const before = this.#views.get(node);
    change();
    const after = this.#views.get(node);
    const { objects } = this.#options.cluster;
    const mark = (kind: ObjectFacts["kind"], name: string) => {
      const facts = objects.get(keyOf({ kind, name }));
      if (facts !== undefined) this.#mark(facts);
    };
    if ((before === undefined) !== (after === undefined)) {
      // A silent node counts differently from one that waits.
      for (const { kind, name } of objects.values()) if (kind === "XdpPolicy") mark(kind, name);
    }
    for (const name of changedNames(before?.policies, after?.policies)) mark("XdpPolicy", name);
    for (const name of changedNames(before?.sets, after?.sets)) mark("XdpCidrSet", name);
    for (const key of changedNames(before?.podPolicies, after?.podPolicies)) this.podPolicy(key);
  }

  async #write(key: ObjectKey): Promise<boolean> {
    const { cluster, client, clock, events } = this.#options;
    const facts = cluster.objects.get(key);
    if (facts === undefined || this.#isClosed) return false;
    const nodes = { labels: cluster.nodes, view: (node: string) => this.#views.get(node) };
    const status: ObjectStatus =
      facts.kind === "XdpPolicy"
        ? foldPolicy(facts, nodes, clock.wallMs())
        : foldSet(facts, nodes, clock.wallMs());
    if (isDeepStrictEqual(status, facts.status)) return false;
    try {
      const written = await client.call<{ status?: ObjectStatus }>(applyRequest(facts, status));
      cluster.setStatus(key, facts.uid, written.status);
    } catch (error) {
      // Deleted, or deleted and made anew: the watch tells.
      if (error instanceof KubeError && (error.status === 404 || error.status === 409))
        return false;
      throw error;
    }
    for (const occurrence of objectOccurrences(facts, status)) events.emit(occurrence);
    return true;
  }
}

type Labels = Readonly<Record<string, string>>;

/** Whether a policy selects a node before or after a change of its labels, but not in both cases alike. */
function isConcerned(
  facts: ObjectFacts,
  before: Labels | undefined,
  after: Labels | undefined,
): boolean {
  if (facts.kind !== "XdpPolicy" || facts.nodeSelector === undefined) return false;
  const selector = facts.nodeSelector;
  const selects = (labels: Labels | undefined) =>
    labels !== undefined && selectorMatches(selector, labels);
  return selects(before) !== selects(after);
}

function applyRequest({ kind, name, uid }: ObjectFacts, status: ObjectStatus) {
  return {
    method: "PATCH",
    path: `/apis/sluice.dev/v1alpha1/${plurals[kind]}/${encodeURIComponent(name)}/status`,
    query: { fieldManager: LEADER_FIELD_MANAGER, force: true },
    contentType: patchTypes.apply,
    // The uid keeps an object of the same name, made meanwhile, from getting the status of the old one.
    body: { apiVersion: "sluice.dev/v1alpha1", kind, metadata: { name, uid }, status },
  } as const;
}
