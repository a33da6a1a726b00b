/** The Admin and Baseline tiers. Rows (C…) are those of the table of semantics in docs. */

import { isSameAddress } from "./address.js";
import {
  type Action,
  type ClusterNetworkPolicy,
  type ClusterPolicyPeer,
  type ClusterPolicyProtocol,
  type ClusterPolicyTransport,
  isAudit,
  type LabelSelector,
  type NamespacedPods,
  type Pod,
  type Protocol,
  type Tier,
} from "./manifests.js";
import { nodeAddresses } from "./packet.js";
import { labelsOf, selects, selectsPod } from "./selector.js";
import { isInBlock, isNamedPort, namespaceLabels, type Traffic } from "./traffic.js";
import type { RuleName } from "./verdict.js";

export type Decision = RuleName & { readonly action: Action };

/** The first rule that matches, if any (C2, C5). */
export function decideTier(traffic: Traffic, tier: Tier, withAudit: boolean): Decision | undefined {
  const policies = traffic.cluster.clusterNetworkPolicies
    .filter((policy) => policy.spec.tier === tier && (withAudit || !isAudit(policy)))
    .filter(({ spec }) => isAmong(spec.subject, traffic.subject, traffic))
    .sort(byPrecedence);
  for (const policy of policies) {
    for (const [index, rule] of rulesOf(policy, traffic).entries()) {
      const action = effectOf(rule, traffic);
      if (action !== undefined) {
        const name = rule.name ?? "";
        return {
          action,
          policy: policy.metadata.name,
          rule: name === "" ? `${traffic.direction}[${index}]` : name,
        };
      }
    }
  }
  return undefined;
}

/** C2 leaves the order of equal priorities open: the name decides. */
function byPrecedence(one: ClusterNetworkPolicy, other: ClusterNetworkPolicy): number {
  const byPriority = one.spec.priority - other.spec.priority;
  return byPriority !== 0 ? byPriority : one.metadata.name < other.metadata.name ? -1 : 1;
}

interface Rule {
  readonly name?: string;
  readonly action: Action;
  readonly peers: readonly ClusterPolicyPeer[];
  readonly protocols?: readonly ClusterPolicyProtocol[];
}

function rulesOf({ spec }: ClusterNetworkPolicy, { direction }: Traffic): readonly Rule[] {
  return direction === "ingress"
    ? (spec.ingress ?? []).map(({ from, ...rule }) => ({ ...rule, peers: from }))
    : (spec.egress ?? []).map(({ to, ...rule }) => ({ ...rule, peers: to }));
}

/** Nothing when the rule does not match. */
function effectOf({ action, peers, protocols = [] }: Rule, traffic: Traffic): Action | undefined {
  if ([...peers, ...protocols].some((part) => !hasKnownField(part))) {
    // C10: fail closed.
    return action === "Accept" ? undefined : "Deny";
  }
  const matches =
    peers.some((peer) => isPeer(peer, traffic)) &&
    (protocols.length === 0 || protocols.some((protocol) => isProtocol(protocol, traffic)));
  return matches ? action : undefined;
}

const KNOWN_FIELDS = [
  ...["namespaces", "pods", "nodes", "networks", "domainNames"],
  ...["tcp", "udp", "sctp", "destinationNamedPort"],
];

function hasKnownField(part: ClusterPolicyPeer | ClusterPolicyProtocol): boolean {
  return Object.keys(part).some((key) => KNOWN_FIELDS.includes(key));
}

/** Domain names are not supported (C12): such a peer matches nothing. */
function isPeer(peer: ClusterPolicyPeer, traffic: Traffic): boolean {
  const { nodes, networks = [] } = peer;
  const { pod, address } = traffic.peer;
  if (pod !== undefined && isAmong(peer, pod, traffic)) {
    return true;
  }
  // C8: pods too.
  if (networks.some((cidr) => isInBlock(traffic.peer, cidr))) {
    return true;
  }
  return (
    nodes !== undefined &&
    traffic.cluster.nodes
      .filter(({ metadata }) => selects(nodes, labelsOf(metadata)))
      .some((node) => nodeAddresses(node).some((own) => isSameAddress(own, address)))
  );
}

/** Of `namespaces` and `pods` one is set, in subjects and in peers. */
function isAmong(
  { namespaces, pods }: { readonly namespaces?: LabelSelector; readonly pods?: NamespacedPods },
  pod: Pod,
  { cluster }: Traffic,
): boolean {
  const labels = namespaceLabels(cluster, pod);
  return (
    (namespaces !== undefined && selects(namespaces, labels)) ||
    (pods !== undefined && selectsPod(pods, labels, labelsOf(pod.metadata)))
  );
}

function isProtocol(protocol: ClusterPolicyProtocol, traffic: Traffic): boolean {
  const { tcp, udp, sctp, destinationNamedPort } = protocol;
  return (
    isTransport("TCP", tcp, traffic) ||
    isTransport("UDP", udp, traffic) ||
    isTransport("SCTP", sctp, traffic) ||
    (destinationNamedPort !== undefined && isNamedPort(traffic, destinationNamedPort))
  );
}

function isTransport(
  name: Protocol,
  transport: ClusterPolicyTransport | undefined,
  { packet: { protocol, destinationPort: port } }: Traffic,
): boolean {
  if (transport === undefined || protocol !== name) {
    return false;
  }
  const { number, range } = transport.destinationPort ?? {};
  if (number === undefined && range === undefined) {
    return true;
  }
  return (
    port !== undefined &&
    (port === number || (range !== undefined && port >= range.start && port <= range.end))
  );
}
