/** What is compared with the oracle. */

import { judge } from "./judge.js";
import type { Cluster, Direction } from "./manifests.js";
import { namesOf } from "./names.js";
import { endsOf, localPods, type Packet } from "./packet.js";
import type { Verdict } from "./verdict.js";

export interface PolicyAnswer {
  readonly allowed: boolean;
  /**
   * Who decided: `NetworkPolicy NAMESPACE/NAME`, `ClusterNetworkPolicy NAME` or `isolation`.
   * Missing, or any other name, when no policy did.
   */
  readonly policy?: string;
  /** The rule's name or `ingress[0]`; of `isolation`: `ingress: web/deny-all, web/allow-dns`. */
  readonly rule?: string;
}

export interface PolicySubject {
  /**
   * Judges as this node of this cluster from now on: by the egress policies of a packet's source
   * if it is one of the node's pods, and by the ingress policies of its destination if that is.
   * Throws when it cannot, which counts as a failure: all clusters are valid.
   */
  load(cluster: Cluster, node: string): Promise<void>;
  /** The first packet of a connection that nothing is known of; ends are addresses. */
  judge(packet: Packet): PolicyAnswer | Promise<PolicyAnswer>;
  /** As `judge`, for many at once, where that is cheaper. */
  judgeAll?(packets: readonly Packet[]): readonly PolicyAnswer[];
}

/** What a node must answer: the directions that it judges, egress first. */
export interface Expected {
  readonly allowed: boolean;
  readonly directions: readonly (readonly [Direction, Verdict])[];
}

/** A node judges the directions of its own pods; the rest is for other nodes, or for none. */
export function expectedOn(cluster: Cluster, node: string, packet: Packet): Expected {
  const { source, destination } = endsOf(cluster, packet);
  const { egress, ingress } = judge(cluster, packet);
  const local = localPods(cluster, node);
  const directions = [
    [source.pod, "egress", egress] as const,
    [destination.pod, "ingress", ingress] as const,
  ].flatMap(([pod, direction, verdict]) =>
    pod !== undefined && local.includes(pod) ? [[direction, verdict] as const] : [],
  );
  return { allowed: directions.every(([, { allowed }]) => allowed), directions };
}

/** A denial has the name of what denies first; an acceptance that of any direction. */
export function isAnswer({ allowed, directions }: Expected, answer: PolicyAnswer): boolean {
  if (answer.allowed !== allowed) {
    return false;
  }
  const deciding = allowed ? directions : directions.filter(([, verdict]) => !verdict.allowed);
  const names = (allowed ? deciding : deciding.slice(0, 1)).map((one) => namesOf(...one));
  return names.some((list) =>
    list.length === 0
      ? answer.policy === undefined || !/^(isolation$|(Cluster)?NetworkPolicy )/.test(answer.policy)
      : list.some(
          ({ policy, rule }) =>
            policy === answer.policy && (answer.rule === undefined || rule === answer.rule),
        ),
  );
}

/**
 * The oracle as a subject. With `distort` it judges by another cluster than the one it was given:
 * a wrong implementation, which shows that a comparison finds one.
 */
export function oracleSubject(
  distort: (cluster: Cluster) => Cluster = (same) => same,
): PolicySubject {
  let loaded: readonly [Cluster, string] | undefined;
  return {
    load(cluster, node) {
      loaded = [distort(cluster), node];
      return Promise.resolve();
    },
    judge(packet) {
      if (loaded === undefined) {
        throw new Error("judge was called before load");
      }
      return answerOf(expectedOn(...loaded, packet));
    },
  };
}

/** The answer with the first name that decides. */
export function answerOf({ allowed, directions }: Expected): PolicyAnswer {
  const deciding = directions.filter(([, verdict]) => verdict.allowed === allowed);
  const [name] = deciding.flatMap((one) => namesOf(...one));
  return { allowed, ...name };
}
