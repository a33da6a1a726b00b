import { randomUUID } from "node:crypto";
import type { Logger } from "pino";
import type { KubeClient } from "../kube/client.js";
import { Reflector } from "../kube/reflector.js";
import { type Clock, systemClock } from "./clock.js";
import type { ClusterView } from "./cluster-view.js";
import type { NodeFacts } from "./describe-node.js";
import { EventRecorder } from "./events.js";
import { leadCluster, type WatchObjects } from "./leader.js";
import { LeaseCandidate } from "./lease.js";
import { NodeReporter, type ReportedEngine } from "./node-reporter.js";
import { NodeWriter } from "./node-writer.js";

export const LEASE_NAME = "sluice-leader";

export interface ReportingOptions {
  readonly client: KubeClient;
  readonly engine: ReportedEngine;
  /** Name of this node. */
  readonly node: string;
  /** Where the Lease of the leader is. */
  readonly leaseNamespace: string;
  readonly facts: () => NodeFacts;
  /** Fed by the agent's own source. */
  readonly cluster: ClusterView;
  readonly log: Logger;
  readonly clock?: Clock;
}

export interface Reporting {
  readonly isLeading: boolean;
  /** Looks at the engine now, after a change that is known; it is looked at every 2 s anyway. */
  look(): void;
  /** Gives the lease back. What was written stays: the kernel goes on as it says. */
  close(): Promise<void>;
}

/** Everything that an agent writes to the API server: its NodeDatapath, Events, and what a leader writes. */
export function startReporting(options: ReportingOptions): Reporting {
  const { client, engine, node, facts, cluster, log, clock = systemClock } = options;
  const nodeCount = () => cluster.nodes.size;
  const recorder = (component: string) =>
    new EventRecorder({ client, component, node, clock, log });
  const events = recorder("sluice-agent");
  const leaderEvents = recorder("sluice-leader");
  const writer = new NodeWriter({ client, node, nodeCount, clock, log });
  const reporter = new NodeReporter({ engine, node, facts, writer, events, clock, log });
  const watchObjects = watchWith(client);
  const lease = new LeaseCandidate({
    client,
    namespace: options.leaseNamespace,
    name: LEASE_NAME,
    // Also two agents on one node, by mistake, are two candidates.
    identity: `${node}_${randomUUID()}`,
    candidateCount: nodeCount,
    lead: (signal) =>
      leadCluster({ client, cluster, watchObjects, events: leaderEvents, clock, log }, signal),
    clock,
    log,
  });
  // Not awaited: an API server that is away must not hold the agent up.
  void reporter.start();
  lease.start();
  return {
    get isLeading() {
      return lease.isLeading;
    },
    look: () => reporter.look(),
    close: async () => {
      reporter.close();
      events.close();
      leaderEvents.close();
      await lease.close();
    },
  };
}

function watchWith(client: KubeClient): WatchObjects {
  return (target, sink) => {
    const reflector = new Reflector({ client, target, sink });
    reflector.start();
    return reflector;
  };
}
