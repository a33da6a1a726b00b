/** What the packets of a run have shown: how often each feature decided, and packets of each kind. */

import { isSameAddress } from "./address.js";
import { FEATURES } from "./features.js";
import type { PolicyCase } from "./generate.js";
import type { Cluster, Pod } from "./manifests.js";
import { endsOf, nodeAddresses, type Packet, podAddresses } from "./packet.js";
import { type Expected, expectedOn } from "./subject.js";

export interface Coverage {
  /** Takes a packet on which subject and oracle agreed. */
  note(policyCase: PolicyCase, packet: Packet, expected: Expected): void;
  /**
   * By feature: packets among those of the sample that would have another verdict without it. By kind, as
   * `SCTP denied`: all packets.
   */
  readonly counts: ReadonlyMap<string, number>;
}

/** Asking the oracle once for each feature is slow: one case of so many is asked about. */
const SAMPLED_CASES = 10;

export function createCoverage(): Coverage {
  const counts = new Map<string, number>(
    [...Object.keys(FEATURES), ...KINDS].map((name) => [name, 0]),
  );
  const count = (name: string) => void counts.set(name, (counts.get(name) ?? 0) + 1);
  let current: PolicyCase | undefined;
  let cases = 0;
  let changed: readonly (readonly [string, Cluster])[] = [];

  return {
    counts,
    note(policyCase, packet, expected) {
      const { cluster, node } = policyCase;
      if (policyCase !== current) {
        current = policyCase;
        const isSampled = cases++ % SAMPLED_CASES === 0;
        changed = isSampled ? changesOf(cluster) : [];
      }
      for (const kind of kindsOf(cluster, packet, expected)) count(kind);
      for (const [name, other] of changed) {
        if (expectedOn(other, node, packet).allowed !== expected.allowed) count(name);
      }
    },
  };
}

/** The cluster without each of the features that it has. */
function changesOf(cluster: Cluster): readonly (readonly [string, Cluster])[] {
  const text = JSON.stringify(cluster);
  return Object.entries(FEATURES)
    .map(([name, change]) => [name, change(cluster)] as const)
    .filter(([, other]) => JSON.stringify(other) !== text);
}

const OUTCOMES = ["allowed", "denied"] as const;
const PROTOCOLS = ["TCP", "UDP", "SCTP", "ICMP", "ICMPv6", "other protocols"] as const;
const FIXED = ["own-pod", "own-node", "neighbour-discovery"] as const;

const KINDS: readonly string[] = [
  ...[...PROTOCOLS, "IPv4", "IPv6"].flatMap((name) => OUTCOMES.map((one) => `${name} ${one}`)),
  ...["from outside", "to outside", "to a node", "to a pod of the host network"],
  ...["to an ended pod", "between two pods of the node", ...FIXED],
];

function kindsOf(cluster: Cluster, packet: Packet, expected: Expected): readonly string[] {
  const { source, destination } = endsOf(cluster, packet);
  const outcome = expected.allowed ? "allowed" : "denied";
  const protocol =
    typeof packet.protocol === "number" ? ("other protocols" as const) : packet.protocol;
  const has = (pod: Pod) =>
    podAddresses(pod).some((address) => isSameAddress(address, destination.address));
  const isNodes = cluster.nodes
    .flatMap(nodeAddresses)
    .some((address) => isSameAddress(address, destination.address));
  const noPod = destination.pod === undefined;
  const marks: readonly (readonly [string, boolean])[] = [
    ["from outside", source.pod === undefined],
    ["to outside", noPod && !isNodes],
    ["to a node", isNodes],
    [
      "to a pod of the host network",
      isNodes && cluster.pods.some((pod) => pod.spec.hostNetwork === true && has(pod)),
    ],
    [
      "to an ended pod",
      cluster.pods.some(
        (pod) =>
          /Succeeded|Failed/.test(pod.status?.phase ?? "") && !pod.spec.hostNetwork && has(pod),
      ),
    ],
    ["between two pods of the node", expected.directions.length === 2],
    ...FIXED.map((reason) => {
      const isIt = expected.directions.some(
        ([, verdict]) => verdict.by === "fixed" && verdict.reason === reason,
      );
      return [reason, isIt] as const;
    }),
  ];
  return [
    `${protocol} ${outcome}`,
    `IPv${source.address.family} ${outcome}`,
    ...marks.filter(([, holds]) => holds).map(([name]) => name),
  ];
}
