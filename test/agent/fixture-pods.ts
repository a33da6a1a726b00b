import type { PodNetworkState, PodPolicyState, RuleState } from "../../operator/api/engine.js";

const none = { packets: 0, bytes: 0 };

export const podNetwork: PodNetworkState = {
  inSync: true,
  generation: 12,
  pods: 30,
  closedPods: 1,
  programs: { tcx: 28, clsact: 2 },
  podProblems: [
    {
      type: "Closed",
      namespace: "web",
      name: "server-2",
      uid: "2",
      since: "2026-01-01T00:00:00.000Z",
      message: "its policies are not in the kernel yet",
    },
  ],
  policies: 4,
  rules: 17,
  pools: [
    { cidr: "10.244.1.0/24", used: 30, capacity: 253 },
    { cidr: "fd00:244:1::/64", used: 30, capacity: 2 ** 64 },
  ],
  flows: {
    entries: 61_000,
    capacity: 65_536,
    opened: 200_000,
    refused: 7,
    expired: 130_000,
    evicted: 9000,
    homeless: 1,
    carried: 8,
  },
  reasons: { flow: { packets: 5000, bytes: 400_000 } },
  tables: [{ name: "rules", used: 4090, capacity: 4096 }],
  routing: {
    mode: "vxlan",
    inSync: true,
    mtu: 1450,
    devices: [{ name: "sluice.vxlan", mtu: 1450 }],
    nodes: 2,
    routes: 7,
    masquerade: true,
  },
};

const isolation = (direction: string, packets: number): RuleState => ({
  policy: "isolation",
  rule: `${direction}: web/allow-client, web/deny-all`,
  action: "Drop",
  mode: "Enforce",
  interfaces: ["web/server-1"],
  match: "any packet",
  matched: { packets, bytes: packets * 60 },
  exceeded: none,
  countedSince: "2026-01-01T00:00:00.000Z",
});

export const podRules: readonly RuleState[] = [
  {
    policy: "NetworkPolicy web/allow-client",
    rule: "ingress[0]",
    action: "Accept",
    mode: "Enforce",
    interfaces: ["web/server-1", "web/server-2"],
    match: "from pods web app=client; tcp 80",
    matched: { packets: 12, bytes: 900 },
    exceeded: none,
  },
  isolation("ingress", 7),
  {
    ...isolation("egress", 3),
    policy: "ClusterNetworkPolicy baseline",
    rule: "none",
    mode: "Audit",
  },
];

export const podPolicies: readonly PodPolicyState[] = [
  {
    kind: "ClusterNetworkPolicy",
    name: "baseline",
    generation: 2,
    generationInForce: 1,
    mode: "Audit",
    tier: "Baseline",
    priority: 10,
    state: "Refused",
    pods: ["web/server-1"],
    rules: 1,
    places: 1,
    problems: [
      {
        severity: "error",
        code: "SLUICE_CAPACITY",
        origin: { source: "api" },
        kind: "ClusterNetworkPolicy",
        name: "baseline",
        message: "does not fit: too many rules",
        remedy: "Use fewer or broader rules",
        keptGeneration: 1,
      },
    ],
  },
  {
    kind: "NetworkPolicy",
    namespace: "web",
    name: "allow-client",
    generation: 1,
    generationInForce: 1,
    mode: "Enforce",
    state: "Enforcing",
    pods: ["web/server-1", "web/server-2"],
    rules: 1,
    places: 1,
    problems: [],
  },
  {
    kind: "NetworkPolicy",
    namespace: "web",
    name: "elsewhere",
    generation: 4,
    generationInForce: 4,
    mode: "Enforce",
    state: "Idle",
    pods: [],
    rules: 2,
    places: 0,
    problems: [],
  },
];
