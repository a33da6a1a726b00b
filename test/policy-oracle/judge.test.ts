/**
 * The corners of the semantics, by the numbers of the table in docs. Rows without a test here are
 * not about the verdict on one packet: N11 (no status), N31 (bytes of packets), N34 to N38 (address
 * rewriting, established flows, time), N40 and C13 (what the API does not have).
 */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { judge } from "./judge.js";
import type {
  Cluster,
  ClusterNetworkPolicy,
  ClusterPolicyEgressRule,
  ClusterPolicyIngressRule,
  ClusterPolicyPeer,
  Namespace,
  NetworkPolicy,
  NetworkPolicyPeer,
  NetworkPolicyPort,
  Pod,
} from "./manifests.js";
import type { Packet } from "./packet.js";
import type { Judgement } from "./verdict.js";

type Spec = NonNullable<NetworkPolicy["spec"]>;

/** web/a and web/b on node one, db/c on node two, and the address of nobody. */
const OUTSIDE = "198.51.100.7";
const NODE_ONE = "192.168.0.1";
const NODE_TWO = "192.168.0.2";

function pod(key: string, ip: string, more: Partial<Pod["spec"] & Pod["status"]> = {}): Pod {
  const [namespace = "", name = ""] = key.split("/");
  const { nodeName = "one", hostNetwork, containers, initContainers, phase, podIPs } = more;
  return {
    metadata: { namespace, name, labels: { app: name } },
    spec: {
      nodeName,
      containers: containers ?? [
        { name: "main", ports: [{ name: "web", containerPort: name === "a" ? 80 : 8080 }] },
      ],
      ...(hostNetwork === undefined ? {} : { hostNetwork }),
      ...(initContainers === undefined ? {} : { initContainers }),
    },
    status: { phase: phase ?? "Running", podIP: ip, podIPs: podIPs ?? [{ ip }] },
  };
}

function namespace(name: string, labels: Readonly<Record<string, string>> = {}): Namespace {
  return { metadata: { name, labels } };
}

function cluster(...policies: readonly (NetworkPolicy | ClusterNetworkPolicy)[]): Cluster {
  const isOfCluster = (one: NetworkPolicy | ClusterNetworkPolicy): one is ClusterNetworkPolicy =>
    one.spec !== undefined && "tier" in one.spec;
  return {
    namespaces: [namespace("web", { team: "one" }), namespace("db", { team: "two" })],
    nodes: [
      {
        metadata: { name: "one", labels: { zone: "a" } },
        status: {
          addresses: [
            { type: "Hostname", address: "one" },
            { type: "InternalIP", address: NODE_ONE },
            { type: "InternalIP", address: "fd00:1::1" },
            { type: "ExternalIP", address: "203.0.113.1" },
          ],
        },
      },
      {
        metadata: { name: "two" },
        status: { addresses: [{ type: "InternalIP", address: NODE_TWO }] },
      },
    ],
    pods: [
      pod("web/a", "10.0.0.1", { podIPs: [{ ip: "10.0.0.1" }, { ip: "fd00::1" }] }),
      pod("web/b", "10.0.0.2", { podIPs: [{ ip: "10.0.0.2" }, { ip: "fd00::2" }] }),
      pod("db/c", "10.0.1.3", { nodeName: "two" }),
    ],
    networkPolicies: policies.filter((one): one is NetworkPolicy => !isOfCluster(one)),
    clusterNetworkPolicies: policies.filter(isOfCluster),
  };
}

function addPods({ pods, ...rest }: Cluster, ...more: readonly Pod[]): Cluster {
  return { ...rest, pods: [...pods, ...more] };
}

function policy(spec: Spec, name = "one", inNamespace = "web"): NetworkPolicy {
  return { metadata: { name, namespace: inNamespace }, spec };
}

const ON_A = { podSelector: { matchLabels: { app: "a" } } } as const;

function allowTo(
  from: readonly NetworkPolicyPeer[],
  ports: readonly NetworkPolicyPort[] = [],
  name = "one",
): NetworkPolicy {
  return policy({ ...ON_A, policyTypes: ["Ingress"], ingress: [{ from, ports }] }, name);
}

function allowFrom(
  to: readonly NetworkPolicyPeer[],
  ports: readonly NetworkPolicyPort[] = [],
): NetworkPolicy {
  return policy({ ...ON_A, policyTypes: ["Egress"], egress: [{ to, ports }] });
}

interface ClusterPolicyParts {
  readonly tier?: "Admin" | "Baseline";
  readonly name?: string;
  readonly priority?: number;
  readonly ingress?: readonly ClusterPolicyIngressRule[];
  readonly egress?: readonly ClusterPolicyEgressRule[];
  readonly subject?: ClusterNetworkPolicy["spec"]["subject"];
  readonly annotations?: Readonly<Record<string, string>>;
}

function clusterPolicy(parts: ClusterPolicyParts): ClusterNetworkPolicy {
  const { tier = "Admin", name = "cnp", priority = 10, annotations = {}, ...rules } = parts;
  return {
    metadata: { name, annotations },
    spec: { tier, priority, subject: { namespaces: {} }, ...rules },
  };
}

const EVERYONE: ClusterPolicyPeer = { namespaces: {} };
const DENY_IN: ClusterPolicyIngressRule = { action: "Deny", from: [EVERYONE] };
const ACCEPT_IN: ClusterPolicyIngressRule = { action: "Accept", from: [EVERYONE] };
const PASS_IN: ClusterPolicyIngressRule = { action: "Pass", from: [EVERYONE] };
const DENY_ALL = policy({ podSelector: {}, policyTypes: ["Ingress", "Egress"] }, "deny-all");

function ask(
  state: Cluster,
  source: string,
  destination: string,
  packet: Partial<Packet> = {},
): Judgement {
  return judge(state, { source, destination, protocol: "TCP", destinationPort: 80, ...packet });
}

function reaches(
  state: Cluster,
  source: string,
  destination: string,
  packet: Partial<Packet> = {},
): boolean {
  return ask(state, source, destination, packet).allowed;
}

/** Which of these can open TCP 80 to web/a. */
function sources(state: Cluster, packet: Partial<Packet> = {}): readonly string[] {
  const all = ["web/b", "db/c", OUTSIDE, NODE_TWO];
  return all.filter((source) => reaches(state, source, "web/a", packet));
}

describe("NetworkPolicy: selection, isolation, composition", () => {
  it("N1: a pod that nothing selects is open, by default", () => {
    const judgement = ask(cluster(), "web/b", "web/a");
    assert.deepEqual(judgement.ingress, { by: "default", allowed: true });
    assert.deepEqual(judgement.egress, { by: "default", allowed: true });
  });

  it("N2: isolation is for each direction, and of the policy's own namespace", () => {
    const state = cluster(policy({ podSelector: {}, policyTypes: ["Ingress"] }));
    assert.deepEqual(ask(state, "web/b", "web/a").ingress, {
      by: "isolation",
      allowed: false,
      policies: ["web/one"],
    });
    assert.ok(reaches(state, "web/a", "db/c"));
    const other = cluster(policy({ podSelector: {}, policyTypes: ["Ingress"] }, "one", "db"));
    assert.ok(reaches(other, "web/b", "web/a"));
  });

  it("N3: both ends must allow", () => {
    const out = policy({ podSelector: {}, policyTypes: ["Egress"] });
    const { allowed, egress, ingress } = ask(cluster(out), "web/a", "db/c");
    assert.deepEqual([allowed, egress.by, ingress.by], [false, "isolation", "default"]);
    const into = policy({ podSelector: {}, policyTypes: ["Ingress"] }, "one", "db");
    assert.deepEqual(
      [reaches(cluster(into), "web/a", "db/c"), reaches(cluster(into), "db/c", "web/a")],
      [false, true],
    );
  });

  it("N4: allow rules add up, and all that allow are named", () => {
    const state = cluster(
      DENY_ALL,
      allowTo([{ namespaceSelector: {} }], [], "all"),
      allowTo([{ namespaceSelector: { matchLabels: { team: "two" } } }], [], "two"),
    );
    assert.deepEqual(ask(state, "db/c", "web/a").ingress, {
      by: "NetworkPolicy",
      allowed: true,
      rules: [
        { policy: "web/all", rule: "ingress[0]" },
        { policy: "web/two", rule: "ingress[0]" },
      ],
    });
    assert.deepEqual(
      ask(cluster(DENY_ALL, allowTo([{ podSelector: {} }])), "db/c", "web/a").ingress,
      {
        by: "isolation",
        allowed: false,
        policies: ["web/deny-all", "web/one"],
      },
    );
  });

  it("N5: missing or empty policyTypes are Ingress, and Egress when there are egress rules", () => {
    for (const types of [{}, { policyTypes: [] }]) {
      const open = (spec: Spec) => {
        const state = cluster(policy({ ...spec, ...types }));
        return [reaches(state, "web/b", "web/a"), reaches(state, "web/a", "db/c")];
      };
      assert.deepEqual(open({}), [false, true]);
      assert.deepEqual(open({ egress: [] }), [false, true]);
      assert.deepEqual(open({ egress: [{ ports: [{ port: 443 }] }] }), [false, false]);
    }
  });

  it("N6: rules of a direction that policyTypes leaves out do nothing; one named twice is one", () => {
    const only = policy({ policyTypes: ["Egress"], ingress: [{ from: [{ podSelector: {} }] }] });
    assert.deepEqual(sources(cluster(only)), ["db/c", OUTSIDE, NODE_TWO]);
    assert.equal(ask(cluster(only), "db/c", "web/a").ingress.by, "default");
    const twice = policy({ policyTypes: ["Ingress", "Ingress"] });
    assert.deepEqual(sources(cluster(twice)), []);
  });

  it("N7: an empty or missing podSelector selects the namespace", () => {
    for (const spec of [{}, { podSelector: {} }]) {
      const state = cluster(policy({ ...spec, policyTypes: ["Ingress"] }));
      assert.ok(!reaches(state, "db/c", "web/a") && !reaches(state, "db/c", "web/b"));
      assert.ok(reaches(state, "web/a", "db/c"));
    }
  });

  it("N8: no rule allows nothing, an empty rule everything", () => {
    assert.deepEqual(sources(cluster(policy({ ingress: [] }))), []);
    assert.deepEqual(sources(cluster(policy({ ingress: [{}] }))), [
      "web/b",
      "db/c",
      OUTSIDE,
      NODE_TWO,
    ]);
  });

  it("N9: missing and empty peers are anybody, missing and empty ports all protocols", () => {
    for (const rule of [{}, { from: [] }, { ports: [] }, { from: [], ports: [] }]) {
      const state = cluster(policy({ ingress: [rule] }));
      for (const protocol of ["TCP", "UDP", "SCTP", "ICMP", 47] as const) {
        assert.ok(reaches(state, OUTSIDE, "web/a", { protocol }));
      }
    }
  });

  it("N10: ports and peers must both match, one of each is enough", () => {
    const state = cluster(
      allowTo(
        [{ podSelector: { matchLabels: { app: "b" } } }, { ipBlock: { cidr: `${OUTSIDE}/32` } }],
        [{ port: 80 }, { port: 81 }],
      ),
    );
    assert.deepEqual(sources(state), ["web/b", OUTSIDE]);
    assert.deepEqual(sources(state, { destinationPort: 81 }), ["web/b", OUTSIDE]);
    assert.deepEqual(sources(state, { destinationPort: 82 }), []);
  });
});

describe("NetworkPolicy: peers", () => {
  it("N12: a podSelector is for the policy's own namespace", () => {
    assert.deepEqual(sources(cluster(allowTo([{ podSelector: {} }]))), ["web/b"]);
  });

  it("N13: a namespaceSelector is for all pods of the namespaces, not for nodes and outside", () => {
    assert.deepEqual(sources(cluster(allowTo([{ namespaceSelector: {} }]))), ["web/b", "db/c"]);
  });

  it("N14: both in one peer are AND, in two OR", () => {
    const podSelector = { matchLabels: { app: "c" } };
    const namespaceSelector = { matchLabels: { team: "one" } };
    assert.deepEqual(sources(cluster(allowTo([{ podSelector, namespaceSelector }]))), []);
    assert.deepEqual(sources(cluster(allowTo([{ podSelector }, { namespaceSelector }]))), [
      "web/b",
    ]);
  });

  it("N15: an empty peer, which the API refuses, would match nobody", () => {
    assert.deepEqual(sources(cluster(allowTo([{}]))), []);
  });

  it("N16: every operator; NotIn and DoesNotExist match an absent key", () => {
    const by = (
      key: string,
      operator: "In" | "NotIn" | "Exists" | "DoesNotExist",
      values?: string[],
    ) =>
      sources(
        cluster(
          allowTo([
            {
              namespaceSelector: {
                matchExpressions: [{ key, operator, ...(values === undefined ? {} : { values }) }],
              },
            },
          ]),
        ),
      );
    assert.deepEqual(by("team", "In", ["two", "three"]), ["db/c"]);
    assert.deepEqual(by("team", "NotIn", ["two"]), ["web/b"]);
    assert.deepEqual(by("absent", "In", ["two"]), []);
    assert.deepEqual(by("absent", "NotIn", ["two"]), ["web/b", "db/c"]);
    assert.deepEqual(by("team", "Exists"), ["web/b", "db/c"]);
    assert.deepEqual(by("team", "DoesNotExist"), []);
    assert.deepEqual(by("absent", "DoesNotExist"), ["web/b", "db/c"]);
    assert.deepEqual(by("kubernetes.io/metadata.name", "In", ["db"]), ["db/c"]);
    const both = {
      matchLabels: { team: "two" },
      matchExpressions: [{ key: "no", operator: "Exists" }],
    } as const;
    assert.deepEqual(sources(cluster(allowTo([{ namespaceSelector: both }]))), []);
  });

  it("N17: labels count as they are now", () => {
    const state = cluster(allowTo([{ namespaceSelector: { matchLabels: { team: "new" } } }]));
    const relabelled = {
      ...state,
      namespaces: [namespace("web"), namespace("db", { team: "new" })],
    };
    assert.deepEqual([sources(state), sources(relabelled)], [[], ["db/c"]]);
  });

  it("N18: an exception holds for its own block only", () => {
    const block = { cidr: "10.0.0.0/8", except: ["10.0.1.0/24"] };
    assert.deepEqual(sources(cluster(allowTo([{ ipBlock: block }]))), ["web/b"]);
    for (const other of [{ ipBlock: { cidr: "10.0.1.3/32" } }, { namespaceSelector: {} }]) {
      assert.deepEqual(sources(cluster(allowTo([{ ipBlock: block }, other]))), ["web/b", "db/c"]);
    }
    const policies = [
      allowTo([{ ipBlock: block }]),
      allowTo([{ namespaceSelector: {} }], [], "two"),
    ];
    assert.deepEqual(sources(cluster(...policies)), ["web/b", "db/c"]);
  });

  it("N19: host bits and leading zeros of a block do not matter", () => {
    for (const cidr of ["10.0.1.77/24", "010.000.001.0/24"]) {
      assert.deepEqual(sources(cluster(allowTo([{ ipBlock: { cidr } }]))), ["db/c"]);
    }
  });

  it("N20: a block matches pods and nodes like all other addresses", () => {
    const to = (cidr: string, destination: string) =>
      reaches(cluster(allowFrom([{ ipBlock: { cidr } }])), "web/a", destination);
    assert.ok(to("10.0.1.3/32", "db/c") && !to("10.0.1.3/32", "web/b"));
    assert.ok(to("0.0.0.0/0", NODE_TWO) && to("0.0.0.0/0", OUTSIDE) && to("0.0.0.0/0", "web/b"));
  });

  it("N21: pods of the host network are their node: no subject, no pod of selectors, only blocks", () => {
    const host = pod("web/host", NODE_TWO, { nodeName: "two", hostNetwork: true });
    const withHost = (...policies: readonly NetworkPolicy[]) => addPods(cluster(...policies), host);
    assert.deepEqual(ask(withHost(DENY_ALL), "db/c", "web/host").ingress, {
      by: "fixed",
      allowed: true,
      reason: "no-pod",
    });
    const from = (peer: NetworkPolicyPeer) =>
      reaches(withHost(allowTo([peer])), "web/host", "web/a");
    assert.ok(!from({ podSelector: {} }) && !from({ namespaceSelector: {} }));
    assert.ok(from({ ipBlock: { cidr: `${NODE_TWO}/32` } }));
  });

  it("N22: a pod reaches itself", () => {
    const { allowed, egress, ingress } = ask(cluster(DENY_ALL), "web/a", "web/a");
    assert.deepEqual([allowed, egress, ingress], [true, egress, egress]);
    assert.deepEqual(egress, { by: "fixed", allowed: true, reason: "own-pod" });
  });

  it("N23: all addresses of a pod count, each block for its own family", () => {
    const v6 = { family: 6 } as const;
    assert.ok(reaches(cluster(allowTo([{ podSelector: {} }])), "web/b", "web/a", v6));
    const all = cluster(allowTo([{ ipBlock: { cidr: "0.0.0.0/0" } }]));
    assert.deepEqual(
      [reaches(all, "web/b", "web/a"), reaches(all, "web/b", "web/a", v6)],
      [true, false],
    );
    const one = cluster(allowTo([{ ipBlock: { cidr: "fd00::2/128" } }]));
    assert.deepEqual(
      [reaches(one, "web/b", "web/a"), reaches(one, "web/b", "web/a", v6)],
      [false, true],
    );
  });

  it("N24: a pod that starts or terminates is a pod like others", () => {
    const starting = pod("web/new", "10.0.9.9", { phase: "Pending" });
    const leaving = pod("web/old", "10.0.9.8");
    const state = addPods(cluster(allowTo([{ podSelector: {} }])), starting, {
      ...leaving,
      metadata: { ...leaving.metadata, deletionTimestamp: "2026-01-01T00:00:00Z" },
    });
    assert.ok(reaches(state, "web/new", "web/a") && reaches(state, "web/old", "web/a"));
  });

  it("N24: a completed pod has lost its address, to nobody or to another pod", () => {
    for (const phase of ["Succeeded", "Failed"]) {
      const done = pod("db/done", "10.0.9.9", { phase });
      const state = addPods(cluster(allowTo([{ namespaceSelector: {} }])), done);
      assert.ok(!reaches(state, "10.0.9.9", "web/a"));
      const again = addPods(state, pod("web/new", "10.0.9.9"));
      assert.ok(reaches(again, "10.0.9.9", "web/a"));
      const own = addPods(
        cluster(allowTo([{ podSelector: {} }])),
        done,
        pod("web/new", "10.0.9.9"),
      );
      assert.ok(reaches(own, "10.0.9.9", "web/a"));
    }
  });
});

describe("NetworkPolicy: ports and protocols", () => {
  const to = (ports: readonly NetworkPolicyPort[], packet: Partial<Packet>) =>
    reaches(cluster(allowTo([], ports)), "web/b", "web/a", packet);

  it("N25: no protocol is TCP, no port is all ports of the protocol", () => {
    assert.ok(to([{ port: 80 }], {}) && !to([{ port: 80 }], { protocol: "UDP" }));
    assert.ok(to([{}], { destinationPort: 9 }) && !to([{}], { protocol: "SCTP" }));
    assert.ok(to([{ protocol: "UDP" }], { protocol: "UDP", destinationPort: 9 }));
  });

  it("N26: a named port is the destination's, by name and protocol, and may differ", () => {
    const named = [{ port: "web" }];
    // The destination web/a has 80, the source web/b 8080.
    assert.ok(to(named, { destinationPort: 80 }) && !to(named, { destinationPort: 8080 }));
    assert.ok(!to(named, { protocol: "UDP" }));
    const out = cluster(allowFrom([{ namespaceSelector: {} }], named));
    assert.ok(!reaches(out, "web/a", "db/c", { destinationPort: 80 }));
    assert.ok(reaches(out, "web/a", "db/c", { destinationPort: 8080 }));
    assert.ok(!to([{ port: "unknown" }], {}));
    const all = cluster(policy({ ingress: [{ ports: named }] }));
    assert.deepEqual(
      [80, 8080].map((destinationPort) => reaches(all, "db/c", "web/b", { destinationPort })),
      [false, true],
    );
  });

  it("N26: sidecars have named ports, init containers that end have none", () => {
    const ports = [{ name: "metrics", containerPort: 9090 }];
    const withInit = (restartPolicy: object) =>
      addPods(
        cluster(policy({ ingress: [{ ports: [{ port: "metrics" }] }] })),
        pod("web/d", "10.0.0.4", { initContainers: [{ name: "init", ports, ...restartPolicy }] }),
      );
    const open = (state: Cluster) => reaches(state, "db/c", "web/d", { destinationPort: 9090 });
    assert.ok(open(withInit({ restartPolicy: "Always" })) && !open(withInit({})));
  });

  it("N27: an egress port by name to anybody is for pods that have it, not for outside", () => {
    const state = cluster(allowFrom([], [{ port: "web" }]));
    assert.ok(reaches(state, "web/a", "db/c", { destinationPort: 8080 }));
    assert.ok(!reaches(state, "web/a", OUTSIDE) && !reaches(state, "web/a", NODE_TWO));
  });

  it("N28: endPort is included, and may equal the port", () => {
    const open = (endPort: number) =>
      [79, 80, 90, 91].filter((destinationPort) =>
        to([{ port: 80, endPort }], { destinationPort }),
      );
    assert.deepEqual([open(90), open(80)], [[80, 90], [80]]);
  });

  it("N29: SCTP is not TCP, and a policy about it isolates", () => {
    const ports = [{ protocol: "SCTP", port: 80 }] as const;
    assert.ok(to(ports, { protocol: "SCTP" }) && !to(ports, {}));
  });

  it("N30: other protocols are denied by isolation, but for what IPv6 needs", () => {
    const state = cluster(DENY_ALL);
    assert.ok(!reaches(state, "db/c", "web/a", { protocol: 47 }));
    assert.ok(!reaches(state, "db/c", "web/a", { protocol: "ICMP", icmpType: 8 }));
    const open = [128, 132, 133, 134, 135, 136, 137, 138].filter((icmpType) =>
      reaches(state, "2001:db8::1", "fd00::1", { protocol: "ICMPv6", icmpType }),
    );
    assert.deepEqual(open, [133, 134, 135, 136, 137]);
  });
});

describe("NetworkPolicy: nodes and time", () => {
  it("N32: a reply is not judged: only the opening packet's direction counts", () => {
    const state = cluster(policy({ podSelector: {}, policyTypes: ["Ingress"] }));
    assert.ok(reaches(state, "web/a", "db/c") && !reaches(state, "db/c", "web/a"));
  });

  it("N33: a pod and its own node, at each of its addresses; another node is like outside", () => {
    const state = cluster(DENY_ALL, clusterPolicy({ ingress: [DENY_IN] }));
    for (const address of [NODE_ONE, "203.0.113.1", "fd00:1::1"]) {
      assert.deepEqual(ask(state, address, "web/a").ingress, {
        by: "fixed",
        allowed: true,
        reason: "own-node",
      });
      assert.ok(reaches(state, "web/a", address));
    }
    assert.ok(!reaches(state, NODE_TWO, "web/a") && !reaches(state, "web/a", NODE_TWO));
  });

  it("N39: a policy that is deleted restores what was", () => {
    assert.ok(!reaches(cluster(DENY_ALL), "db/c", "web/a") && reaches(cluster(), "db/c", "web/a"));
  });
});

describe("ClusterNetworkPolicy", () => {
  const ingressOf = (...policies: readonly (NetworkPolicy | ClusterNetworkPolicy)[]) =>
    ask(cluster(...policies), "db/c", "web/a").ingress;

  it("C1: Admin before NetworkPolicy before Baseline before the default", () => {
    const admin = clusterPolicy({ ingress: [{ name: "all", ...ACCEPT_IN }] });
    const baseline = clusterPolicy({ tier: "Baseline", name: "base", ingress: [DENY_IN] });
    assert.deepEqual(ingressOf(admin, DENY_ALL, baseline), {
      by: "Admin",
      allowed: true,
      policy: "cnp",
      rule: "all",
    });
    assert.equal(ingressOf(DENY_ALL, baseline).by, "isolation");
    assert.deepEqual(ingressOf(baseline), {
      by: "Baseline",
      allowed: false,
      policy: "base",
      rule: "ingress[0]",
    });
    assert.equal(ingressOf().by, "default");
  });

  it("C2: the lower priority number, then the earlier rule, then the name", () => {
    const late = clusterPolicy({ name: "a", priority: 20, ingress: [DENY_IN] });
    const early = clusterPolicy({ name: "b", priority: 10, ingress: [ACCEPT_IN, DENY_IN] });
    assert.ok(ingressOf(late, early).allowed);
    assert.ok(!ingressOf(late, { ...early, spec: { ...early.spec, priority: 20 } }).allowed);
    assert.ok(!ingressOf(clusterPolicy({ ingress: [DENY_IN, ACCEPT_IN] })).allowed);
  });

  it("C3: an egress Accept still meets the destination's ingress rules", () => {
    const out = clusterPolicy({ egress: [{ action: "Accept", to: [EVERYONE] }] });
    const { allowed, egress, ingress } = ask(cluster(out, DENY_ALL), "db/c", "web/a");
    assert.deepEqual([allowed, egress.by, ingress.by], [false, "Admin", "isolation"]);
  });

  it("C4: Pass leaves the tier", () => {
    const pass = clusterPolicy({ name: "a", ingress: [PASS_IN, DENY_IN] });
    const deny = clusterPolicy({ name: "b", ingress: [DENY_IN] });
    assert.equal(ingressOf(pass, deny).by, "default");
    assert.equal(ingressOf(pass, deny, DENY_ALL).by, "isolation");
    const base = clusterPolicy({ tier: "Baseline", name: "c", ingress: [DENY_IN] });
    assert.equal(ingressOf(pass, deny, base).by, "Baseline");
    assert.equal(
      ingressOf(clusterPolicy({ tier: "Baseline", ingress: [PASS_IN, DENY_IN] })).by,
      "default",
    );
  });

  it("C5: no rule that matches changes nothing, and neither do absent lists", () => {
    const elsewhere: ClusterPolicyIngressRule = {
      action: "Accept",
      from: [{ namespaces: { matchLabels: { team: "three" } } }],
    };
    for (const parts of [{}, { ingress: [] }, { ingress: [elsewhere] }, { egress: [] }]) {
      assert.equal(ingressOf(clusterPolicy(parts)).by, "default");
    }
  });

  it("C6: Baseline is for a direction that no NetworkPolicy isolates", () => {
    const base = clusterPolicy({ tier: "Baseline", ingress: [DENY_IN] });
    assert.equal(ingressOf(policy({ policyTypes: ["Egress"] }), base).by, "Baseline");
    assert.equal(ingressOf(policy({ ingress: [{}] }), base).by, "NetworkPolicy");
  });

  it("C7: a rule without protocols matches every protocol, with them only those", () => {
    const any = cluster(clusterPolicy({ ingress: [DENY_IN] }));
    const tcp = cluster(
      clusterPolicy({
        ingress: [{ ...DENY_IN, protocols: [{ tcp: { destinationPort: { number: 80 } } }] }],
      }),
    );
    for (const protocol of ["TCP", "UDP", "SCTP", "ICMP", 47] as const) {
      assert.ok(!reaches(any, "db/c", "web/a", { protocol }));
      assert.equal(reaches(tcp, "db/c", "web/a", { protocol }), protocol !== "TCP");
    }
    assert.ok(reaches(tcp, "db/c", "web/a", { destinationPort: 81 }));
  });

  it("C7: ranges have both ends, named ports are the destination's, on any protocol", () => {
    const range = { tcp: { destinationPort: { range: { start: 80, end: 90 } } } };
    const open = (protocols: ClusterPolicyIngressRule["protocols"], ports: readonly number[]) =>
      ports.filter((destinationPort) =>
        reaches(
          cluster(clusterPolicy({ ingress: [{ ...DENY_IN, protocols: protocols ?? [] }] })),
          "db/c",
          "web/a",
          { destinationPort },
        ),
      );
    assert.deepEqual(open([range], [79, 80, 90, 91]), [79, 91]);
    assert.deepEqual(open([{ destinationNamedPort: "web" }], [80, 8080]), [8080]);
  });

  it("C8: networks match pods too", () => {
    const networks = ["0.0.0.0/0"];
    const deny = clusterPolicy({ egress: [{ action: "Deny", to: [{ networks }] }] });
    assert.ok(
      !reaches(cluster(deny), "web/a", "db/c") && !reaches(cluster(deny), "web/a", OUTSIDE),
    );
    const first = clusterPolicy({
      egress: [
        { action: "Pass", to: [EVERYONE] },
        { action: "Deny", to: [{ networks }] },
      ],
    });
    assert.ok(
      reaches(cluster(first), "web/a", "db/c") && !reaches(cluster(first), "web/a", OUTSIDE),
    );
    assert.ok(!reaches(cluster(first), "web/a", OUTSIDE, { protocol: "ICMP", icmpType: 8 }));
  });

  it("C9: nodes are all addresses of nodes, the empty selector all nodes", () => {
    const deny = (nodes: object) =>
      cluster(clusterPolicy({ egress: [{ action: "Deny", to: [{ nodes }] }] }));
    // db/c is on node two: node one is another node to it.
    for (const address of [NODE_ONE, "203.0.113.1"]) {
      assert.ok(!reaches(deny({}), "db/c", address));
      assert.ok(!reaches(deny({ matchLabels: { zone: "a" } }), "db/c", address));
    }
    assert.ok(!reaches(deny({}), "web/a", NODE_TWO));
    assert.ok(reaches(deny({ matchLabels: { zone: "a" } }), "web/a", NODE_TWO));
    assert.ok(reaches(deny({}), "db/c", "web/a") && reaches(deny({}), "db/c", OUTSIDE));
  });

  it("C10: with an unknown field Accept matches nothing, Deny and Pass deny everything", () => {
    const unknown = {
      from: [EVERYONE, {}],
      protocols: [{ udp: { destinationPort: { number: 1 } } }],
    };
    const by = (action: "Accept" | "Deny" | "Pass") =>
      ingressOf(clusterPolicy({ ingress: [{ action, ...unknown }] }));
    assert.equal(by("Accept").by, "default");
    for (const action of ["Deny", "Pass"] as const) {
      assert.deepEqual([by(action).by, by(action).allowed], ["Admin", false]);
    }
  });

  it("C11: a pod's own address is never denied to it", () => {
    const networks = ["10.0.0.0/8"];
    const deny = clusterPolicy({
      ingress: [DENY_IN],
      egress: [{ action: "Deny", to: [{ networks }] }],
    });
    assert.ok(
      reaches(cluster(deny), "web/a", "web/a") && !reaches(cluster(deny), "web/a", "web/b"),
    );
  });

  it("C12: domain names, which Sluice does not support, match nothing", () => {
    const state = cluster(
      clusterPolicy({
        egress: [
          { action: "Accept", to: [{ domainNames: ["*.example.com"] }] },
          { action: "Deny", to: [{ networks: ["0.0.0.0/0"] }] },
        ],
      }),
    );
    assert.ok(!reaches(state, "web/a", OUTSIDE));
  });

  it("subjects and peers: namespaces, or pods by both selectors, never of the host network", () => {
    const pods = {
      namespaceSelector: { matchLabels: { team: "one" } },
      podSelector: { matchLabels: { app: "a" } },
    };
    const subject = cluster(clusterPolicy({ subject: { pods }, ingress: [DENY_IN] }));
    assert.ok(!reaches(subject, "db/c", "web/a") && reaches(subject, "db/c", "web/b"));
    const peer = cluster(clusterPolicy({ ingress: [{ action: "Deny", from: [{ pods }] }] }));
    assert.ok(!reaches(peer, "web/a", "db/c") && reaches(peer, "web/b", "db/c"));
    const host = pod("web/a2", NODE_TWO, { nodeName: "two", hostNetwork: true });
    assert.ok(reaches(addPods(peer, host), "web/a2", "web/b"));
  });
});

describe("audit mode", () => {
  const audit = { "sluice.dev/mode": "audit" };

  it("judges a NetworkPolicy without enforcing it, and says what it would do", () => {
    const deny: NetworkPolicy = {
      ...DENY_ALL,
      metadata: { ...DENY_ALL.metadata, annotations: audit },
    };
    const judgement = ask(cluster(deny), "db/c", "web/a");
    assert.deepEqual([judgement.allowed, judgement.ingress.by], [true, "default"]);
    assert.equal(judgement.audit.allowed, false);
    assert.deepEqual(judgement.audit.ingress, {
      by: "isolation",
      allowed: false,
      policies: ["web/deny-all"],
    });
  });

  it("allows nothing that enforced policies do not, but says that it would", () => {
    const { metadata, ...rest } = allowTo([{ namespaceSelector: {} }]);
    const allow = { ...rest, metadata: { ...metadata, annotations: audit } };
    const judgement = ask(cluster(DENY_ALL, allow), "db/c", "web/a");
    assert.deepEqual([judgement.allowed, judgement.audit.allowed], [false, true]);
  });

  it("does the same for a ClusterNetworkPolicy, and only for the value audit", () => {
    const of = (annotations: Readonly<Record<string, string>>) =>
      ask(cluster(clusterPolicy({ annotations, ingress: [DENY_IN] })), "db/c", "web/a");
    assert.deepEqual([of(audit).allowed, of(audit).audit.allowed], [true, false]);
    assert.deepEqual(of({ "sluice.dev/mode": "enforce" }).allowed, false);
  });
});

describe("the oracle", () => {
  it("imports nothing of what it judges", () => {
    const folder = new URL("../../../test/policy-oracle/", import.meta.url);
    const files = readdirSync(folder).filter((name) => name.endsWith(".ts"));
    assert.ok(files.includes("judge.ts"));
    const imports = files.flatMap((name) =>
      [...readFileSync(new URL(name, folder), "utf8").matchAll(/from "([^"]+)"/g)].map(
        ([, specifier]) => `${name} imports ${specifier}`,
      ),
    );
    assert.deepEqual(
      imports.filter((line) => /operator|datapath/.test(line)),
      [],
    );
  });
});

describe("a packet", () => {
  it("needs ends that exist and have a family in common", () => {
    assert.throws(() => ask(cluster(), "web/none", "web/a"), /there is no pod web\/none/);
    assert.throws(() => ask(cluster(), "somewhere", "web/a"), /somewhere is no IP address/);
    assert.throws(() => ask(cluster(), "db/c", "fd00::1"), /no address family in common/);
  });

  it("may have its ends as any text of an address", () => {
    const state = cluster(allowTo([{ ipBlock: { cidr: "2001:db8::/32" } }]));
    const open = (source: string) => reaches(state, source, "fd00:0:0:0:0:0:0:1");
    assert.ok(open("2001:db8::1") && open("2001:DB8:0::198.51.100.7") && !open("2001:db9::1"));
    const mapped = cluster(allowTo([{ ipBlock: { cidr: "198.51.100.0/24" } }]));
    assert.ok(reaches(mapped, "::ffff:198.51.100.7", "10.0.0.1"));
  });
});
