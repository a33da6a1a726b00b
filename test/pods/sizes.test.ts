/** Policies as large as they get: in force whole, or refused whole. Verdicts and names are the oracle's. */

import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import type {
  Cluster,
  ClusterNetworkPolicy,
  ClusterPolicyPeer,
  ClusterPolicyProtocol,
  NetworkPolicy,
  Pod,
} from "../policy-oracle/manifests.js";
import type { Packet } from "../policy-oracle/packet.js";
import { expectedOn, isAnswer } from "../policy-oracle/subject.js";
import { openPolicySubject } from "./policy-subject.js";

const NODE = "one";
const subject = await openPolicySubject({ addressLines: 131_072, flows: 4096 });
after(() => subject.close());

/** The 64-bit words and pages of the tables begin and end here. */
const EDGES = [0, 63, 64, 4091, 4092, 4093, 4094, 4095, 4096, 4999];

describe("5,000 rules on one pod", () => {
  /** From an address of its own to a port of its own each. */
  const address = (rule: number) => `198.18.${rule >> 8}.${rule & 255}`;
  const port = (rule: number) => 1000 + rule;
  const rules = Array.from({ length: 5000 }, (_, rule) => ({
    from: [{ ipBlock: { cidr: `${address(rule)}/32` } }],
    ports: [{ port: port(rule) }],
  }));
  const packet = (from: number, to: number): Packet => {
    return { source: address(from), destination: "10.1.0.1", protocol: "TCP", destinationPort: to };
  };
  const packets = EDGES.flatMap((rule) => [
    packet(rule, port(rule)),
    packet(rule, port((rule + 1) % rules.length)),
  ]);

  test("of one policy are in force", async () => {
    await agreesWithOracle(clusterOf([networkPolicy("large", rules)]), packets);
  });

  test("of fifty policies are in force", async () => {
    const policies = Array.from({ length: 50 }, (_, at) =>
      networkPolicy(`part-${at}`, rules.slice(100 * at, 100 * (at + 1))),
    );
    await agreesWithOracle(clusterOf(policies), packets);
  });

  test("can all be others at the next change", async () => {
    const moved = rules.map(({ from }, rule) => ({ from, ports: [{ port: port(rule + 1) }] }));
    await agreesWithOracle(clusterOf([networkPolicy("moved", moved)]), packets);
  });

  test("leave rules behind them in order: baseline, on the second page", async () => {
    const policy: ClusterNetworkPolicy = {
      metadata: { name: "default" },
      spec: {
        tier: "Baseline",
        priority: 0,
        subject: { namespaces: {} },
        egress: [{ action: "Deny", to: [{ networks: ["192.0.2.0/24"] }] }],
        ingress: [{ action: "Deny", from: [podsNamed("third")] }],
      },
    };
    const cluster = {
      ...clusterOf([networkPolicy("large", rules)]),
      clusterNetworkPolicies: [policy],
    };
    await agreesWithOracle(cluster, [
      ...packets.slice(0, 4),
      { source: "10.1.0.1", destination: "192.0.2.9", protocol: "TCP", destinationPort: 80 },
      { source: "10.1.0.1", destination: "198.51.100.9", protocol: "TCP", destinationPort: 80 },
      { source: "10.1.0.3", destination: "10.1.0.2", protocol: "UDP", destinationPort: 53 },
      { source: "10.1.0.1", destination: "10.1.0.2", protocol: "UDP", destinationPort: 53 },
    ]);
  });

  test("an Admin Pass leads over a page to what is behind", async () => {
    const policy: ClusterNetworkPolicy = {
      metadata: { name: "first" },
      spec: {
        tier: "Admin",
        priority: 0,
        subject: { namespaces: {} },
        ingress: [
          { name: "on", action: "Pass", from: [podsNamed("other")] },
          ...Array.from({ length: 4200 }, (_, rule) => ({
            name: `deny-${rule}`,
            action: "Deny" as const,
            from: [{ namespaces: {} }],
            protocols: [{ tcp: { destinationPort: { number: port(rule % 25) } } }],
          })),
        ],
      },
    };
    const behind = networkPolicy("behind", [
      { from: [{ podSelector: {} }], ports: [{ port: port(3) }, { port: port(30) }] },
    ]);
    const cluster = { ...clusterOf([behind]), clusterNetworkPolicies: [policy] };
    const packets = ["10.1.0.2", "10.1.0.3"].flatMap((source) =>
      [3, 30, 60].map((at): Packet => {
        return { source, destination: "10.1.0.1", protocol: "TCP", destinationPort: port(at) };
      }),
    );
    await agreesWithOracle(cluster, packets);
  });
});

describe("a ClusterNetworkPolicy of 25 rules with 25 peers and 25 protocols", () => {
  const TIMES = Array.from({ length: 25 }, (_, index) => index);
  const protocolsOf = (rule: number): readonly ClusterPolicyProtocol[] =>
    TIMES.map((index) => {
      const start = 1000 + 100 * rule + 2 * index;
      if (index % 5 === 4) return { udp: { destinationPort: { number: start } } };
      if (index % 5 === 3)
        return { tcp: { destinationPort: { range: { start, end: start + 1 } } } };
      return { tcp: { destinationPort: { number: start } } };
    });
  /** Networks of different lengths, which overlap those of other rules. */
  const networksOf = (rule: number, peer: number) =>
    TIMES.map((index) =>
      index % 2 === 0
        ? `172.${16 + (peer % 16)}.${8 * index}.0/${21 + ((rule + index) % 4)}`
        : `100.64.${rule}.${peer * 8 + (index & 7)}/32`,
    ).filter((one, at, all) => all.indexOf(one) === at);
  const selectionOf = (rule: number, peer: number): ClusterPolicyPeer =>
    peer % 2 === 0
      ? { namespaces: { matchLabels: { team: `t${rule}-${peer}` } } }
      : {
          pods: {
            namespaceSelector: {},
            podSelector: { matchLabels: { [`p${peer}`]: `${rule}` } },
          },
        };
  /** Ingress has no networks. */
  const fromOf = (rule: number) => [
    ...TIMES.slice(1).map((peer) => selectionOf(rule, peer)),
    podsNamed(rule % 2 === 0 ? "other" : "third"),
  ];
  const toOf = (rule: number) =>
    TIMES.map((peer) =>
      peer % 5 === 0 ? selectionOf(rule, peer) : { networks: networksOf(rule, peer) },
    );
  const actions = ["Deny", "Accept", "Pass"] as const;
  const policy: ClusterNetworkPolicy = {
    metadata: { name: "widest" },
    spec: {
      tier: "Admin",
      priority: 0,
      subject: { namespaces: {} },
      ingress: TIMES.map((rule) => ({
        name: `in-${rule}`,
        action: actions[rule % 3]!,
        from: fromOf(rule),
        protocols: protocolsOf(rule),
      })),
      egress: TIMES.map((rule) => ({
        name: `out-${rule}`,
        action: actions[rule % 3]!,
        to: toOf(rule),
        protocols: protocolsOf(rule),
      })),
    },
  };
  const cluster = { ...clusterOf([]), clusterNetworkPolicies: [policy] };

  test("is in force with one bit for a rule", async () => {
    const packets = [0, 1, 2, 11, 23, 24].flatMap((rule) => {
      const port = 1000 + 100 * rule;
      const ends = [
        { source: "10.1.0.2", destination: "10.1.0.1" },
        { source: "10.1.0.3", destination: "10.1.0.1" },
        { source: "10.1.0.1", destination: `172.18.${8 * (rule & ~1)}.1` },
        { source: "10.1.0.1", destination: `100.64.${rule}.33` },
        { source: "10.1.0.1", destination: "192.0.2.1" },
      ];
      return ends.flatMap((one): readonly Packet[] => [
        { ...one, protocol: "TCP", destinationPort: port },
        { ...one, protocol: "TCP", destinationPort: port + 7 },
        { ...one, protocol: "UDP", destinationPort: port + 48 },
        { ...one, protocol: "TCP", destinationPort: port + 48 },
      ]);
    });
    await agreesWithOracle(cluster, packets);
    const own = subject.rules().filter(({ policy: name }) => name.endsWith(" widest"));
    assert.equal(own.length, 50);
  });
});

function clusterOf(networkPolicies: readonly NetworkPolicy[]): Cluster {
  return {
    namespaces: [{ metadata: { name: "web", labels: { team: "t3-4" } } }],
    nodes: [
      {
        metadata: { name: NODE },
        status: { addresses: [{ type: "InternalIP", address: "203.0.113.1" }] },
      },
    ],
    pods: [pod("large", "10.1.0.1"), pod("other", "10.1.0.2"), pod("third", "10.1.0.3")],
    networkPolicies,
    clusterNetworkPolicies: [],
  };
}

function podsNamed(name: string): ClusterPolicyPeer {
  return { pods: { namespaceSelector: {}, podSelector: { matchLabels: { name } } } };
}

function pod(name: string, address: string): Pod {
  return {
    metadata: { name, namespace: "web", labels: { p7: "9", name } },
    spec: { nodeName: NODE, containers: [{ name: "main" }] },
    status: { phase: "Running", podIP: address, podIPs: [{ ip: address }] },
  };
}

function networkPolicy(
  name: string,
  ingress: NonNullable<NonNullable<NetworkPolicy["spec"]>["ingress"]>,
): NetworkPolicy {
  return {
    metadata: { name, namespace: "web" },
    spec: { podSelector: { matchLabels: { name: "large" } }, policyTypes: ["Ingress"], ingress },
  };
}

async function agreesWithOracle(cluster: Cluster, packets: readonly Packet[]): Promise<void> {
  await subject.load(cluster, NODE);
  for (const packet of packets) {
    const expected = expectedOn(cluster, NODE, packet);
    const answer = await subject.judge(packet);
    assert.ok(
      isAnswer(expected, answer),
      `${JSON.stringify({ packet, answer })} is not ${JSON.stringify(expected)}`,
    );
  }
}
