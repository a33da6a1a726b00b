/** The NetworkPolicy tier. Rows (N…) are those of the table of semantics in docs. */

import {
  isAudit,
  keyOf,
  type NetworkPolicy,
  type NetworkPolicyPeer,
  type NetworkPolicyPort,
} from "./manifests.js";
import { labelsOf, selects } from "./selector.js";
import { isInBlock, isNamedPort, namespaceLabels, type Traffic } from "./traffic.js";
import type { RuleName, Verdict } from "./verdict.js";

/** Nothing when no policy isolates the pod in this direction. */
export function judgeNetworkPolicies(traffic: Traffic, withAudit: boolean): Verdict | undefined {
  const isolating = traffic.cluster.networkPolicies
    .filter((policy) => withAudit || !isAudit(policy))
    .filter((policy) => isolates(policy, traffic));
  if (isolating.length === 0) {
    return undefined;
  }
  const rules = isolating.flatMap((policy) => allowingRules(policy, traffic));
  return rules.length > 0
    ? { by: "NetworkPolicy", allowed: true, rules }
    : { by: "isolation", allowed: false, policies: isolating.map(keyOf).sort() };
}

/** N2, N7. */
function isolates(policy: NetworkPolicy, { direction, subject }: Traffic): boolean {
  return (
    policyTypes(policy).includes(direction === "ingress" ? "Ingress" : "Egress") &&
    (policy.metadata.namespace ?? "default") === (subject.metadata.namespace ?? "default") &&
    selects(policy.spec?.podSelector ?? {}, labelsOf(subject.metadata))
  );
}

/** N5: the API server fills the list in; files have it missing or empty. */
function policyTypes({ spec }: NetworkPolicy): readonly ("Ingress" | "Egress")[] {
  const { policyTypes = [], egress = [] } = spec ?? {};
  if (policyTypes.length > 0) {
    return policyTypes;
  }
  return egress.length > 0 ? ["Ingress", "Egress"] : ["Ingress"];
}

function allowingRules(policy: NetworkPolicy, traffic: Traffic): readonly RuleName[] {
  const { direction } = traffic;
  const rules =
    direction === "ingress"
      ? (policy.spec?.ingress ?? []).map(({ from, ports }) => ({ peers: from, ports }))
      : (policy.spec?.egress ?? []).map(({ to, ports }) => ({ peers: to, ports }));
  return rules.flatMap(({ peers = [], ports = [] }, index) => {
    // N9: a list that is missing or empty does not restrict. N10: both lists must match.
    const matches =
      (peers.length === 0 || peers.some((peer) => isPeer(policy, peer, traffic))) &&
      (ports.length === 0 || ports.some((port) => isPort(port, traffic)));
    return matches ? [{ policy: keyOf(policy), rule: `${direction}[${index}]` }] : [];
  });
}

function isPeer(policy: NetworkPolicy, peer: NetworkPolicyPeer, traffic: Traffic): boolean {
  const { podSelector, namespaceSelector, ipBlock } = peer;
  if (ipBlock !== undefined) {
    // N18, N20: also pods, and the exceptions hold for this block only.
    return (
      isInBlock(traffic.peer, ipBlock.cidr) &&
      !(ipBlock.except ?? []).some((cidr) => isInBlock(traffic.peer, cidr))
    );
  }
  const { pod } = traffic.peer;
  if (pod === undefined || (podSelector === undefined && namespaceSelector === undefined)) {
    return false;
  }
  // N12, N13, N14.
  const isInNamespace =
    namespaceSelector === undefined
      ? (pod.metadata.namespace ?? "default") === (policy.metadata.namespace ?? "default")
      : selects(namespaceSelector, namespaceLabels(traffic.cluster, pod));
  return isInNamespace && selects(podSelector ?? {}, labelsOf(pod.metadata));
}

function isPort({ protocol = "TCP", port, endPort }: NetworkPolicyPort, traffic: Traffic): boolean {
  const { packet } = traffic;
  if (packet.protocol !== protocol) {
    return false;
  }
  if (port === undefined) {
    return true;
  }
  if (typeof port === "string") {
    return isNamedPort(traffic, port);
  }
  const { destinationPort } = packet;
  return (
    destinationPort !== undefined && destinationPort >= port && destinationPort <= (endPort ?? port)
  );
}
