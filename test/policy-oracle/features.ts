/** What policies and clusters can say, each as a change that takes it away: whoever does not know it sees such a cluster. */

import type { ClusterPolicyIngressRule, Cluster } from "./manifests.js";

type Change = (cluster: Cluster) => Cluster;

/** The objects with every key of this name left out, wherever it is in them. */
export function without(cluster: Cluster, name: string): Cluster {
  return replaced(cluster, (key, value) => (key === name ? undefined : value));
}

function replaced(
  cluster: Cluster,
  replace: (key: string, value: unknown) => unknown,
  kinds: readonly (keyof Cluster)[] = Object.keys(cluster) as (keyof Cluster)[],
): Cluster {
  const changed = kinds.map((kind) => [
    kind,
    JSON.parse(JSON.stringify(cluster[kind], replace)) as unknown,
  ]);
  return { ...cluster, ...Object.fromEntries(changed) } as Cluster;
}

const lacking =
  (name: string): Change =>
  (cluster) =>
    without(cluster, name);

const ofPolicies =
  (replace: (key: string, value: unknown) => unknown): Change =>
  (cluster) =>
    replaced(cluster, replace, ["networkPolicies", "clusterNetworkPolicies"]);

const withoutTier =
  (tier: "Admin" | "Baseline"): Change =>
  (cluster) => ({
    ...cluster,
    clusterNetworkPolicies: cluster.clusterNetworkPolicies.filter(({ spec }) => spec.tier !== tier),
  });

/** By name. */
export const FEATURES: Readonly<Record<string, Change>> = {
  ...Object.fromEntries(
    [
      ...["except", "endPort", "ipBlock", "podSelector", "namespaceSelector", "matchLabels"],
      ...["matchExpressions", "policyTypes", "ports", "protocols", "range", "nodes", "networks"],
      ...["hostNetwork", "phase", "initContainers", "domainNames"],
    ].map((name) => [name, lacking(name)]),
  ),
  NetworkPolicies: (cluster) => ({ ...cluster, networkPolicies: [] }),
  "tier Admin": withoutTier("Admin"),
  "tier Baseline": withoutTier("Baseline"),
  "audit mode": lacking("annotations"),
  priority: ofPolicies((key, value) => (key === "priority" ? 0 : value)),
  Pass: ofPolicies((key, value) =>
    (key === "ingress" || key === "egress") && Array.isArray(value)
      ? (value as readonly ClusterPolicyIngressRule[]).filter(({ action }) => action !== "Pass")
      : value,
  ),
  "named ports of NetworkPolicies": ofPolicies((key, value) =>
    key === "port" && typeof value === "string" ? "none" : value,
  ),
  "named ports of ClusterNetworkPolicies": ofPolicies((key, value) =>
    key === "destinationNamedPort" ? "none" : value,
  ),
  /* Taken for a peer that matches nothing instead. */
  "fields of newer versions": ofPolicies((_, value) =>
    JSON.stringify(value) === '{"services":{}}' ? { domainNames: ["a.example"] } : value,
  ),
};
