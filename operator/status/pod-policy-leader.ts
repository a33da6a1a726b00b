import type pino from "pino";
import { type KubeClient, patchTypes } from "../kube/client.js";
import { KubeError } from "../kube/errors.js";
import type { Clock } from "./clock.js";
import type { ClusterView } from "./cluster-view.js";
import { type Condition, toConditions } from "./condition.js";
import type { EventRecorder } from "./events.js";
import {
  podPolicyFinding,
  type PodPolicyOccurrence,
  type PodPolicyTally,
  podPolicyTrouble,
  tallyPodPolicy,
} from "./fold-pod-policy.js";
import type { NodeViews } from "./node-view.js";
import { PacedQueue } from "./paced-queue.js";
import { ownCondition, type PodPolicyFacts, type PodPolicyKey } from "./pod-policy-facts.js";

export const CLUSTER_NETWORK_POLICIES = {
  apiVersion: "policy.networking.k8s.io/v1alpha2",
  kind: "ClusterNetworkPolicy",
  path: "/apis/policy.networking.k8s.io/v1alpha2/clusternetworkpolicies",
} as const;

const API_VERSIONS = {
  NetworkPolicy: "networking.k8s.io/v1",
  ClusterNetworkPolicy: CLUSTER_NETWORK_POLICIES.apiVersion,
} as const;

export interface PodPolicyLeaderOptions {
  readonly client: KubeClient;
  readonly cluster: ClusterView;
  readonly views: NodeViews;
  readonly events: Pick<EventRecorder, "emit">;
  readonly fieldManager: string;
  readonly clock: Clock;
  readonly log: pino.Logger;
}

interface Told {
  readonly reason: PodPolicyOccurrence["reason"];
  readonly generation: number;
}

/**
 * The leader's work for policies of pods: a condition of ClusterNetworkPolicies, and Events of both kinds. Pods come and
 * go on nodes all the time, so it writes more slowly than for XdpPolicies.
 */
export class PodPolicyLeader {
  readonly #options: PodPolicyLeaderOptions;
  readonly #queue: PacedQueue;
  /** What is wrong, by what was told last. A leader that is new tells it again. */
  readonly #told = new Map<PodPolicyKey, Told>();

  constructor(options: PodPolicyLeaderOptions) {
    this.#options = options;
    const { clock, log } = options;
    this.#queue = new PacedQueue({
      clock,
      debounceMs: 1000,
      intervalMs: 30_000,
      soonMs: 5000,
      run: (key) => this.#run(key as PodPolicyKey),
      onFailure: (key, error) => log.warn({ err: error }, `${key}: status not written; retrying`),
    });
  }

  /** The policy, or what nodes say of it, has changed. */
  mark(key: PodPolicyKey): void {
    const facts = this.#options.cluster.podPolicies.get(key);
    if (facts === undefined) {
      this.#queue.forget(key);
      this.#told.delete(key);
      return;
    }
    const { kind, condition, generation } = facts;
    const isNew = kind === "ClusterNetworkPolicy" && condition?.observedGeneration !== generation;
    this.#queue.mark(key, isNew);
  }

  markAll(): void {
    for (const key of this.#options.cluster.podPolicies.keys()) this.mark(key);
  }

  close(): void {
    void this.#queue.close();
  }

  async #run(key: PodPolicyKey): Promise<boolean> {
    const facts = this.#options.cluster.podPolicies.get(key);
    if (facts === undefined) return false;
    const tally = tallyPodPolicy(facts, this.#says(key));
    const written = facts.kind === "ClusterNetworkPolicy" && (await this.#write(key, facts, tally));
    this.#tell(key, facts, tally);
    // Events wake nobody, and have a pace of their own.
    return written;
  }

  /** Nodes by name, without those that are gone. */
  *#says(key: PodPolicyKey) {
    const { cluster, views } = this.#options;
    for (const node of [...cluster.nodes.keys()].sort()) {
      const entry = views.get(node)?.podPolicies.get(key);
      if (entry !== undefined) yield [node, entry] as const;
    }
  }

  /** By server-side apply, so that conditions of others stay theirs. */
  async #write(
    key: PodPolicyKey,
    { name, uid, condition: before, ...facts }: PodPolicyFacts,
    tally: PodPolicyTally,
  ): Promise<boolean> {
    const { client, clock, cluster, fieldManager } = this.#options;
    const finding = podPolicyFinding({ name, uid, condition: before, ...facts }, tally);
    const old = before === undefined ? [] : [before];
    const [condition] = toConditions([finding], old, clock.wallMs());
    if (condition === undefined || (before !== undefined && isSame(condition, before)))
      return false;
    const { apiVersion, kind, path } = CLUSTER_NETWORK_POLICIES;
    try {
      const written = await client.call<{ status?: unknown }>({
        method: "PATCH",
        path: `${path}/${encodeURIComponent(name)}/status`,
        query: { fieldManager, force: true },
        contentType: patchTypes.apply,
        // The uid keeps an object of the same name, made meanwhile, from getting the condition of the old one.
        body: { apiVersion, kind, metadata: { name, uid }, status: { conditions: [condition] } },
      });
      cluster.setPodPolicyCondition(key, uid, ownCondition(written.status) ?? condition);
    } catch (error) {
      // Deleted, or deleted and made anew: the watch tells. Or the CRD has no status.
      if (error instanceof KubeError && (error.status === 404 || error.status === 409))
        return false;
      throw error;
    }
    return true;
  }

  #tell(key: PodPolicyKey, facts: PodPolicyFacts, tally: PodPolicyTally): void {
    const before = this.#told.get(key);
    const trouble = podPolicyTrouble(facts, tally);
    const { generation } = facts;
    if (trouble !== undefined) {
      if (before?.reason === trouble.reason && before.generation === generation) return;
      this.#told.set(key, { reason: trouble.reason, generation });
      this.#emit(facts, trouble);
      return;
    }
    // What nodes say of this generation comes soon.
    if (tally.outdated > 0 || !this.#told.delete(key)) return;
    const message = "nothing is in its way any more";
    this.#emit(facts, { type: "Normal", reason: "Enforced", message });
  }

  #emit(facts: PodPolicyFacts, { type, reason, message }: PodPolicyOccurrence): void {
    const { kind, namespace, name, uid, generation } = facts;
    this.#options.events.emit({
      object: {
        apiVersion: API_VERSIONS[kind],
        kind,
        ...(namespace !== undefined && { namespace }),
        ...{ name, uid },
      },
      type,
      reason,
      message: `generation ${generation}: ${message}`,
    });
  }
}

function isSame(a: Condition, b: Condition): boolean {
  return (
    a.status === b.status &&
    a.reason === b.reason &&
    a.message === b.message &&
    a.observedGeneration === b.observedGeneration
  );
}
