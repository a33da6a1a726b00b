import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Limits } from "../../datapath/generated/layout.js";
import {
  clusterPolicy,
  inputOf,
  networkPolicy,
  PolicyWorld,
  podRecord,
  type TestCluster,
  type TestPod,
} from "../../test/support/policy-cluster.js";
import type { NamedPort } from "../model/records-pod.js";
import { CapacityError } from "./capacity-error.js";
import { compilePodRules } from "./pod-rules.js";
import { PodRulesCache } from "./pod-rules-cache.js";

/** Namespaces x, y, z with pods a, b, c; the pods c are on another node. */
const PODS: Record<string, TestPod> = Object.fromEntries(
  ["x", "y", "z"].flatMap((namespace, n) =>
    ["a", "b", "c"].map((name, p): [string, TestPod] => [
      `${namespace}/${name}`,
      {
        labels: { pod: name },
        ips: [`10.0.${n}.${p + 1}/32`, `fd00::${n}:${p + 1}/128`],
        isRemote: name === "c",
      },
    ]),
  ),
);
const NAMESPACES = { x: { team: "one" }, y: { team: "two" }, z: {} };
const ALL = Object.keys(PODS);

function world(
  parts: Partial<TestCluster> & { readonly policies: readonly object[] },
): PolicyWorld {
  return new PolicyWorld({ pods: PODS, namespaces: NAMESPACES, ...parts });
}

/** Pods that reach a pod. */
function sources(of: PolicyWorld, to: string, protocol = "tcp 80", family?: 4 | 6): string {
  const reaching = ALL.filter((from) => from !== to && of.allows(from, to, protocol, family));
  return reaching.map((key) => key.replace("/", "")).join(" ");
}

/** Pods that a pod reaches. */
function destinations(of: PolicyWorld, from: string, protocol = "tcp 80"): string {
  const reached = ALL.filter((to) => to !== from && of.allows(from, to, protocol));
  return reached.map((key) => key.replace("/", "")).join(" ");
}

const port = (name: string, number: number, protocol: NamedPort["protocol"] = "tcp") => ({
  name,
  protocol,
  port: number,
});
const pods = (name: string) => ({ podSelector: { matchLabels: { pod: name } } });
const OTHERS_OF_XA = "xb xc ya yb yc za zb zc";

describe("isolation", () => {
  it("N1: without a policy nothing is judged", () => {
    const { rules, judgedSlots, contents } = world({ policies: [] }).rules;
    assert.deepEqual([rules, judgedSlots, contents.size], [[], [], 0]);
  });

  it("N2: is of the policy's own namespace and of its directions", () => {
    const one = world({
      policies: [networkPolicy("x/deny", { podSelector: {}, policyTypes: ["Ingress"] })],
    });
    assert.equal(sources(one, "x/a"), "");
    assert.equal(destinations(one, "x/a"), "xc ya yb yc za zb zc");
    assert.equal(
      sources(one, "y/a"),
      ALL.filter((key) => key !== "y/a")
        .map(short)
        .join(" "),
    );
  });

  it("N3: a connection needs egress and ingress", () => {
    const one = world({
      policies: [
        networkPolicy("x/out", {
          podSelector: {},
          policyTypes: ["Egress"],
          egress: [{ to: [{ namespaceSelector: { matchLabels: { team: "two" } } }] }],
        }),
        networkPolicy("y/in", { ...pods("a"), policyTypes: ["Ingress"] }),
      ],
    });
    assert.equal(destinations(one, "x/a"), "yb yc");
    assert.match(
      one.judge("x/a", "y/a", "tcp 80").egress,
      /^pass by NetworkPolicy x\/out, egress\[0\]/,
    );
    assert.equal(one.judge("x/a", "y/a", "tcp 80").ingress, "drop by isolation, ingress: y/in");
  });

  it("N4: policies of one pod are united, whatever their order", () => {
    const allow = (name: string, from: string) =>
      networkPolicy(`x/${name}`, { ...pods("a"), ingress: [{ from: [pods(from)] }] });
    const policies = [allow("two", "b"), allow("one", "c"), networkPolicy("x/none", {})];
    for (const list of [policies, [...policies].reverse()]) {
      const one = world({ policies: list });
      assert.equal(sources(one, "x/a"), "xb xc");
      assert.equal(
        one.judge("y/a", "x/a", "tcp 80").ingress,
        "drop by isolation, ingress: x/none, x/one, x/two",
      );
      assert.equal(one.judge("y/a", "x/b", "tcp 80").ingress, "drop by isolation, ingress: x/none");
    }
  });

  it("N5: without types it is ingress, and egress when there are egress rules", () => {
    const both = world({ policies: [networkPolicy("x/p", { egress: [{ to: [pods("b")] }] })] });
    assert.deepEqual([sources(both, "x/a"), destinations(both, "x/a")], ["", ""]);
    assert.equal(both.judge("x/a", "x/b", "tcp 80").egress, "pass by NetworkPolicy x/p, egress[0]");
    const one = world({ policies: [networkPolicy("x/p", { egress: [] })] });
    assert.equal(one.judge("x/a", "y/a", "tcp 80").egress, "pass");
    assert.equal(sources(one, "x/a"), "");
  });

  it("N6: rules of a direction that is not in the types have no effect", () => {
    const one = world({
      policies: [
        networkPolicy("x/p", { policyTypes: ["Egress"], ingress: [{ from: [pods("b")] }] }),
      ],
    });
    assert.deepEqual([sources(one, "x/a"), destinations(one, "x/a")], ["xc ya yb yc za zb zc", ""]);
  });

  it("N7: a selector that is empty or absent selects all pods of the namespace", () => {
    for (const spec of [{}, { podSelector: {} }]) {
      const one = world({ policies: [networkPolicy("x/p", spec)] });
      assert.deepEqual([...one.rules.policyPods], [["NetworkPolicy x/p", ["x/a", "x/b"]]]);
    }
  });

  it("N8, N9: no rule allows nothing, a rule without peers and ports everything", () => {
    const none = world({ policies: [networkPolicy("x/p", { ...pods("a"), ingress: [] })] });
    assert.equal(sources(none, "x/a"), "");
    for (const rule of [{}, { from: [], ports: [] }]) {
      const all = world({ policies: [networkPolicy("x/p", { ...pods("a"), ingress: [rule] })] });
      assert.equal(sources(all, "x/a"), OTHERS_OF_XA);
      assert.ok(all.allows("192.0.2.1", "x/a", "udp 53"));
      assert.ok(all.allows("2001:db8::1", "x/a", "protocol 47"));
    }
  });

  it("N10: peers and ports must both match, each by one of its entries", () => {
    const rule = {
      from: [pods("b"), pods("c")],
      ports: [{ port: 80 }, { port: 53, protocol: "UDP" }],
    };
    const one = world({ policies: [networkPolicy("x/p", { ...pods("a"), ingress: [rule] })] });
    assert.equal(sources(one, "x/a", "tcp 80"), "xb xc");
    assert.equal(sources(one, "x/a", "udp 53"), "xb xc");
    assert.equal(sources(one, "x/a", "tcp 53"), "");
  });

  it("one Drop for each set of policies that isolate, however many pods have it", () => {
    const one = world({
      policies: [
        networkPolicy("x/all", {}),
        networkPolicy("x/some", { ...pods("a"), policyTypes: ["Ingress", "Egress"] }),
        networkPolicy("y/all", {}),
      ],
    });
    const isolation = one.rules.rules.filter(({ policy }) => policy === "isolation");
    assert.deepEqual(
      isolation.map(({ rule, interfaces }) => [rule, interfaces]),
      [
        ["ingress: x/all", [3]],
        ["ingress: x/all, x/some", [1]],
        ["ingress: y/all", [5, 7]],
        ["egress: x/some", [2]],
      ],
    );
    assert.ok(isolation.every(({ isDefault, audit }) => !isDefault && !audit));
  });
});

function short(key: string): string {
  return key.replace("/", "");
}

describe("peers", () => {
  const from = (...peers: readonly object[]) =>
    world({ policies: [networkPolicy("x/p", { ...pods("a"), ingress: [{ from: peers }] })] });

  it("N12: a podSelector alone is of the policy's namespace", () => {
    assert.equal(sources(from({ podSelector: {} }), "x/a"), "xb xc");
    assert.equal(sources(from(pods("c")), "x/a"), "xc");
  });

  it("N13: a namespaceSelector alone is all pods of its namespaces, and nothing but pods", () => {
    assert.equal(sources(from({ namespaceSelector: {} }), "x/a"), OTHERS_OF_XA);
    assert.equal(
      sources(from({ namespaceSelector: { matchLabels: { team: "two" } } }), "x/a"),
      "ya yb yc",
    );
    assert.ok(!from({ namespaceSelector: {} }).allows("192.0.2.1", "x/a"));
  });

  it("N14: both in one entry are AND, in two entries OR", () => {
    const two = { namespaceSelector: { matchLabels: { team: "two" } } };
    assert.equal(sources(from({ ...two, ...pods("b") }), "x/a"), "yb");
    assert.equal(sources(from(two, pods("b")), "x/a"), "xb ya yb yc");
  });

  it("N16: every operator, and the name of a namespace as its label", () => {
    const expression = (key: string, operator: string, ...values: readonly string[]) => ({
      namespaceSelector: {
        matchExpressions: [{ key, operator, ...(values.length > 0 && { values }) }],
      },
    });
    assert.equal(sources(from(expression("team", "In", "one", "two")), "x/a"), "xb xc ya yb yc");
    assert.equal(sources(from(expression("team", "NotIn", "one")), "x/a"), "ya yb yc za zb zc");
    assert.equal(sources(from(expression("team", "Exists")), "x/a"), "xb xc ya yb yc");
    assert.equal(sources(from(expression("team", "DoesNotExist")), "x/a"), "za zb zc");
    const byName = expression("kubernetes.io/metadata.name", "In", "z");
    assert.equal(sources(from(byName), "x/a"), "za zb zc");
    const unknown = new PolicyWorld({
      pods: PODS,
      policies: [networkPolicy("x/p", { ...pods("a"), ingress: [{ from: [byName] }] })],
    });
    assert.equal(sources(unknown, "x/a"), "za zb zc");
  });

  it("N18: except carves its own block only", () => {
    const block = { ipBlock: { cidr: "10.0.0.0/16", except: ["10.0.1.0/24"] } };
    assert.equal(sources(from(block), "x/a", "tcp 80", 4), "xb xc za zb zc");
    const again = { ipBlock: { cidr: "10.0.1.2/32" } };
    assert.equal(sources(from(block, again), "x/a", "tcp 80", 4), "xb xc yb za zb zc");
    const everything = { ipBlock: { cidr: "0.0.0.0/0", except: ["10.0.0.0/8"] } };
    assert.equal(sources(from(everything), "x/a", "tcp 80", 4), "");
    assert.ok(from(everything).allows("192.0.2.1", "x/a"));
  });

  it("N19: a block with host bits is the block", () => {
    assert.equal(
      sources(from({ ipBlock: { cidr: "10.0.1.77/24" } }), "x/a", "tcp 80", 4),
      "ya yb yc",
    );
  });

  it("N20: a block holds pods and outside addresses alike", () => {
    const to = {
      egress: [{ to: [{ ipBlock: { cidr: "10.0.2.0/24" } }] }],
      policyTypes: ["Egress"],
    };
    const one = world({ policies: [networkPolicy("x/p", to)] });
    assert.equal(destinations(one, "x/a"), "za zb zc");
    assert.ok(one.allows("x/a", "10.0.2.200"));
  });

  it("N21: pods of the host network are no subjects and no peers, but blocks and nodes hold them", () => {
    const host = { labels: { pod: "host" }, ips: ["192.168.0.2/32"], isHostNetwork: true };
    const policy = (peer: object) =>
      world({
        pods: { ...PODS, "x/host": host },
        policies: [networkPolicy("x/p", { ingress: [{ from: [peer] }] })],
      });
    const bySelector = policy({ namespaceSelector: {} });
    assert.deepEqual(bySelector.rules.policyPods.get("NetworkPolicy x/p"), ["x/a", "x/b"]);
    assert.ok(!bySelector.allows("x/host", "x/a"));
    assert.ok(policy({ ipBlock: { cidr: "192.168.0.0/24" } }).allows("x/host", "x/a"));
  });

  it("N23: both addresses of a pod, and blocks of their own family only", () => {
    for (const family of [4, 6] as const) {
      assert.equal(sources(from(pods("b")), "x/a", "tcp 80", family), "xb");
      const v4 = from({ ipBlock: { cidr: "0.0.0.0/0" } });
      assert.equal(sources(v4, "x/a", "tcp 80", family), family === 4 ? OTHERS_OF_XA : "");
    }
  });

  it("N24: a completed pod is in no set, a pod that terminates is; two pods may share an address", () => {
    const gone = {
      labels: { pod: "gone" },
      ips: ["10.0.1.1/32"],
      isCompleted: true,
      isRemote: true,
    };
    const late = { labels: { pod: "late" }, ips: ["10.0.1.1/32"], isRemote: true };
    const policies = [
      networkPolicy("x/p", { ...pods("a"), ingress: [{ from: [pods("gone"), pods("late")] }] }),
    ];
    const cache = new PodRulesCache();
    const at = (extra: Record<string, TestPod>) =>
      new PolicyWorld(
        inputOf({ pods: { ...PODS, ...extra }, namespaces: NAMESPACES, policies }),
        cache,
      );
    assert.ok(!at({ "x/gone": gone }).allows("y/a", "x/a", "tcp 80", 4));
    assert.ok(at({ "x/gone": gone, "x/late": late }).allows("y/a", "x/a", "tcp 80", 4));
    const running = { ...gone, isCompleted: false };
    assert.ok(at({ "x/gone": running, "x/late": late }).allows("y/a", "x/a", "tcp 80", 4));
    assert.ok(at({ "x/gone": running }).allows("y/a", "x/a", "tcp 80", 4));
    assert.ok(!at({ "x/gone": gone }).allows("y/a", "x/a", "tcp 80", 4));
  });
});

describe("ports", () => {
  const ingress = (ports: readonly object[], extra: Record<string, TestPod> = {}) =>
    world({
      pods: { ...PODS, ...extra },
      policies: [networkPolicy("x/p", { ingress: [{ ports }] })],
    });

  it("N25, N29, N30: a protocol without a port is all its ports, and no other protocol", () => {
    const accepted = (one: PolicyWorld) =>
      ["tcp 1", "udp 1", "sctp 1", "icmp 8", "protocol 47"].filter((protocol) =>
        one.allows("y/a", "x/a", protocol),
      );
    assert.deepEqual(accepted(ingress([{}])), ["tcp 1"]);
    assert.deepEqual(accepted(ingress([{ protocol: "UDP" }])), ["udp 1"]);
    assert.deepEqual(accepted(ingress([{ protocol: "SCTP" }])), ["sctp 1"]);
    assert.deepEqual(accepted(ingress([])), ["tcp 1", "udp 1", "sctp 1", "icmp 8", "protocol 47"]);
    const sctp = ingress([{ protocol: "SCTP", port: 80 }]);
    assert.ok(sctp.allows("y/a", "x/a", "sctp 80"));
    assert.ok(!sctp.allows("y/a", "x/a", "tcp 80"));
  });

  it("N26: a name is what it is on each pod that receives, by name and protocol", () => {
    const extra = {
      "x/p80": { ips: ["10.0.0.80/32"], ports: [port("web", 80), port("dns", 53, "udp")] },
      "x/p81": { ips: ["10.0.0.81/32"], ports: [port("web", 81), port("web", 82, "udp")] },
      "x/same": { ips: ["10.0.0.82/32"], ports: [port("web", 80)] },
    };
    const one = ingress([{ port: "web" }, { port: 443 }], extra);
    const open = (pod: string) =>
      ["tcp 80", "tcp 81", "udp 82", "udp 53", "tcp 443"].filter((protocol) =>
        one.allows("y/a", pod, protocol, 4),
      );
    assert.deepEqual(open("x/p80"), ["tcp 80", "tcp 443"]);
    assert.deepEqual(open("x/p81"), ["tcp 81", "tcp 443"]);
    assert.deepEqual(open("x/a"), ["tcp 443"]);
    const bits = one.rules.rules.filter(({ policy }) => policy === "NetworkPolicy x/p");
    assert.deepEqual(
      bits.map(({ rule, next }) => [rule, next]),
      [4, 4, 4].map((next) => ["ingress[0]", next]),
    );
  });

  const egress = (rule: object) =>
    world({
      pods: {
        ...PODS,
        "y/p80": {
          ips: ["10.0.1.80/32"],
          ports: [port("web", 80)],
          labels: { app: "web" },
          isRemote: true,
        },
        "y/p81": { ips: ["10.0.1.81/32"], ports: [port("web", 81)], isRemote: true },
        "z/udp": { ips: ["10.0.2.80/32"], ports: [port("web", 80, "udp")], isRemote: true },
      },
      policies: [networkPolicy("x/p", { policyTypes: ["Egress"], egress: [rule] })],
    });
  const reached = (one: PolicyWorld) =>
    ["y/p80", "y/p81", "z/udp", "y/c", "192.0.2.1"].flatMap((to) =>
      ["tcp 80", "tcp 81", "udp 80"]
        .filter((protocol) => one.allows("x/a", to, protocol, 4))
        .map((protocol) => `${to} ${protocol}`),
    );

  it("N26: of an egress rule a name is what it is on each peer", () => {
    const named = { ports: [{ port: "web" }] };
    const all = { namespaceSelector: {} };
    assert.deepEqual(reached(egress({ ...named, to: [all] })), ["y/p80 tcp 80", "y/p81 tcp 81"]);
    const some = { ...all, podSelector: { matchLabels: { app: "web" } } };
    assert.deepEqual(reached(egress({ ...named, to: [some] })), ["y/p80 tcp 80"]);
    const block = { ipBlock: { cidr: "10.0.1.0/24", except: ["10.0.1.80/32"] } };
    assert.deepEqual(reached(egress({ ...named, to: [block] })), ["y/p81 tcp 81"]);
    assert.deepEqual(reached(egress({ ports: [{ port: "nobody" }], to: [all] })), []);
  });

  it("N27: a name without peers is any pod that has it, and nothing outside", () => {
    assert.deepEqual(reached(egress({ ports: [{ port: "web" }] })), [
      "y/p80 tcp 80",
      "y/p81 tcp 81",
    ]);
    assert.deepEqual(reached(egress({ ports: [{ port: "web", protocol: "UDP" }] })), [
      "z/udp udp 80",
    ]);
    const mixed = reached(egress({ ports: [{ port: "web" }, { port: 80, protocol: "UDP" }] }));
    assert.deepEqual(mixed, [
      "y/p80 tcp 80",
      "y/p80 udp 80",
      "y/p81 tcp 81",
      "y/p81 udp 80",
      "z/udp udp 80",
      "y/c udp 80",
      "192.0.2.1 udp 80",
    ]);
  });

  it("N28: endPort is included, and may be the port itself", () => {
    const one = ingress([
      { port: 80, endPort: 90 },
      { port: 95, endPort: 95, protocol: "UDP" },
    ]);
    const open = ["tcp 79", "tcp 80", "tcp 90", "tcp 91", "udp 94", "udp 95", "udp 96"];
    assert.deepEqual(
      open.filter((protocol) => one.allows("y/a", "x/a", protocol)),
      ["tcp 80", "tcp 90", "udp 95"],
    );
  });
});

describe("what no policy changes", () => {
  const deny = [
    networkPolicy("x/deny", { policyTypes: ["Ingress", "Egress"] }),
    clusterPolicy("deny", {
      egress: [{ action: "Deny", to: [{ networks: ["0.0.0.0/0", "::/0"] }] }],
    }),
  ];

  it("N33: a pod reaches every address of its own node, and of no other", () => {
    const nodes = { here: [{}, "192.168.0.1/32"], there: [{}, "192.168.0.2/32"] } as const;
    const own = ["192.168.0.1/32", "10.0.0.254/32", "fd00::fe/128"];
    const one = world({ policies: deny, nodes, own });
    for (const address of ["192.168.0.1", "10.0.0.254", "fd00::fe"]) {
      assert.equal(one.judge("x/a", address, "tcp 80").egress, "pass by node, own-node");
    }
    assert.match(
      one.judge("x/a", "192.168.0.2", "tcp 80").egress,
      /^drop by ClusterNetworkPolicy deny/,
    );
  });

  it("N30: ICMPv6 133 to 137 passes, the rest of ICMPv6 is judged", () => {
    const one = world({ policies: deny });
    const passing = [128, 132, 133, 134, 135, 136, 137, 138].filter((type) =>
      one.allows("x/a", "y/a", `icmpv6 ${type}`, 6),
    );
    assert.deepEqual(passing, [133, 134, 135, 136, 137]);
    assert.equal(
      one.judge("y/a", "x/a", "icmpv6 136", 6).ingress,
      "pass by node, neighbour-discovery",
    );
  });
});

describe("tiers", () => {
  const from = [{ namespaces: {} }];
  const tier = (name: string, action: string, parts: object = {}) =>
    clusterPolicy(name, { ingress: [{ action, from, ...parts }] });
  const baseline = (name: string, action: string) =>
    clusterPolicy(name, { tier: "Baseline", ingress: [{ action, from }] });
  const ingressOf = (policies: readonly object[]) =>
    world({ policies }).judge("y/a", "x/a", "tcp 80").ingress;

  it("C1, C3, C4: Admin before NetworkPolicy before Baseline; Pass leaves its tier", () => {
    const isolate = networkPolicy("x/none", {});
    const allow = networkPolicy("x/all", { ingress: [{}] });
    const by = (name: string, rule: string) => `by ${name}, ${rule}`;
    const admin = by("ClusterNetworkPolicy admin", "ingress[0]");
    assert.equal(ingressOf([tier("admin", "Accept"), isolate]), `pass ${admin}`);
    assert.equal(ingressOf([tier("admin", "Deny"), allow]), `drop ${admin}`);
    assert.equal(
      ingressOf([tier("admin", "Pass"), tier("b", "Deny"), allow, baseline("base", "Deny")]),
      `pass ${by("NetworkPolicy x/all", "ingress[0]")}`,
    );
    assert.equal(
      ingressOf([tier("admin", "Pass"), isolate, baseline("base", "Accept")]),
      `drop ${by("isolation", "ingress: x/none")}`,
    );
    assert.equal(
      ingressOf([tier("admin", "Pass"), baseline("base", "Deny")]),
      `drop ${by("ClusterNetworkPolicy base", "ingress[0]")}`,
    );
    assert.equal(ingressOf([baseline("a", "Pass"), baseline("b", "Deny")]), "pass");
    assert.equal(ingressOf([tier("admin", "Pass")]), "pass");
  });

  it("C2: by priority, then name in byte order, then position", () => {
    const at = (name: string, priority: number, action: string) =>
      clusterPolicy(name, { priority, ingress: [{ action, from }] });
    const first = (policies: readonly object[]) =>
      /ClusterNetworkPolicy (\S+),/.exec(ingressOf(policies))?.[1];
    assert.equal(first([at("a", 100, "Deny"), at("b", 9, "Accept")]), "b");
    assert.equal(first([at("b", 9, "Deny"), at("a-b", 9, "Accept"), at("a0", 9, "Deny")]), "a-b");
    const rules = ["Accept", "Deny"].map((action, index) => ({ name: `r${index}`, action, from }));
    assert.match(ingressOf([clusterPolicy("p", { ingress: rules })]), /^pass by .*, r0$/);
    assert.match(
      ingressOf([clusterPolicy("p", { ingress: [...rules].reverse() })]),
      /^drop by .*, r1$/,
    );
  });

  it("C5: a policy without a rule that matches changes nothing", () => {
    const one = world({
      policies: [
        clusterPolicy("p", { ingress: [{ action: "Accept", from: [{ pods: pods("c") }] }] }),
      ],
    });
    assert.equal(sources(one, "x/a"), OTHERS_OF_XA);
    assert.equal(one.judge("x/a", "y/a", "tcp 80").egress, "pass");
    assert.deepEqual(one.rules.judgedSlots, [1, 3, 5, 7, 9, 11]);
  });

  it("C6: Baseline is asked for the direction that no NetworkPolicy isolates", () => {
    const base = clusterPolicy("base", {
      tier: "Baseline",
      ingress: [{ action: "Deny", from }],
      egress: [{ action: "Deny", to: from }],
    });
    const one = world({
      policies: [networkPolicy("x/out", { policyTypes: ["Egress"], egress: [{}] }), base],
    });
    const { egress } = one.judge("x/a", "y/a", "tcp 80");
    assert.equal(egress, "pass by NetworkPolicy x/out, egress[0]");
    assert.equal(
      one.judge("y/a", "x/a", "tcp 80").ingress,
      "drop by ClusterNetworkPolicy base, ingress[0]",
    );
  });

  it("C7: without protocols every protocol matches, of networks too", () => {
    const to = [{ networks: ["192.0.2.0/24"] }];
    const one = world({ policies: [clusterPolicy("p", { egress: [{ action: "Deny", to }] })] });
    for (const protocol of ["tcp 80", "icmp 8", "protocol 47", "sctp 1"]) {
      assert.match(one.judge("x/a", "192.0.2.7", protocol).egress, /^drop/);
    }
  });

  it("C8: networks hold pods too", () => {
    const to = [{ networks: ["10.0.1.0/24"] }];
    const one = world({ policies: [clusterPolicy("p", { egress: [{ action: "Deny", to }] })] });
    assert.equal(destinations(one, "x/a"), "xb xc za zb zc");
  });

  it("C9: nodes are all their addresses, of both families", () => {
    const nodes = {
      one: [{ zone: "a" }, "192.168.0.1/32", "203.0.113.1/32", "fd00:1::1/128"],
      two: [{ zone: "b" }, "192.168.0.2/32"],
    } as const;
    const deny = (selector: object) =>
      world({
        nodes,
        policies: [clusterPolicy("p", { egress: [{ action: "Deny", to: [{ nodes: selector }] }] })],
      });
    const denied = (one: PolicyWorld) =>
      ["192.168.0.1", "203.0.113.1", "fd00:1::1", "192.168.0.2", "192.168.0.3"].filter(
        (address) => !one.allows("x/a", address),
      );
    assert.equal(denied(deny({})).length, 4);
    assert.deepEqual(denied(deny({ matchLabels: { zone: "b" } })), ["192.168.0.2"]);
  });

  it("C10: a rule with an unknown peer or protocol: Accept is nothing, Deny and Pass deny everything", () => {
    const isolate = networkPolicy("x/none", {});
    for (const part of [{ from: [{ planets: {} }] }, { protocols: [{ quic: {} }] }]) {
      assert.equal(
        ingressOf([tier("p", "Accept", part), isolate]),
        "drop by isolation, ingress: x/none",
      );
      for (const action of ["Deny", "Pass"]) {
        const denies = world({ policies: [tier("p", action, part)] });
        assert.equal(sources(denies, "x/a", "udp 5"), "");
        assert.match(
          denies.judge("192.0.2.1", "x/a", "protocol 9").ingress,
          /^drop by ClusterNetworkPolicy p, ingress\[0\]/,
        );
      }
    }
  });

  it("C12: domain names match nothing, and leave other peers of their rule alone", () => {
    const rule = (...to: readonly object[]) => [{ action: "Accept", to }];
    const isolate = networkPolicy("x/none", { policyTypes: ["Egress"] });
    const names = { domainNames: ["example.com"] };
    const only = world({ policies: [clusterPolicy("p", { egress: rule(names) }), isolate] });
    assert.equal(destinations(only, "x/a"), "");
    assert.ok(!only.allows("x/a", "192.0.2.1"));
    assert.ok(only.rules.rules.every(({ policy }) => policy !== "ClusterNetworkPolicy p"));
    const mixed = world({
      policies: [
        clusterPolicy("p", { egress: rule(names, { networks: ["192.0.2.0/24"] }) }),
        isolate,
      ],
    });
    assert.ok(mixed.allows("x/a", "192.0.2.1"));
    assert.ok(!mixed.allows("x/a", "192.0.3.1"));
  });

  it("C13: subjects are pods by namespace and by label, never the host's", () => {
    const subjects = (subject: object) =>
      world({
        pods: { ...PODS, "x/host": { labels: { pod: "a" }, isHostNetwork: true } },
        policies: [clusterPolicy("p", { subject, ingress: [{ action: "Deny", from }] })],
      }).rules.policyPods.get("ClusterNetworkPolicy p");
    const team = { matchLabels: { team: "one" } };
    assert.deepEqual(subjects({ namespaces: team }), ["x/a", "x/b"]);
    assert.deepEqual(subjects({ pods: { namespaceSelector: team, ...pods("a") } }), ["x/a"]);
    assert.deepEqual(subjects({ pods: { namespaceSelector: {}, ...pods("b") } }), [
      "x/b",
      "y/b",
      "z/b",
    ]);
    assert.equal(subjects({ pods: { namespaceSelector: team, ...pods("c") } }), undefined);
  });

  it("named ports of any protocol that has the name", () => {
    const protocols = [{ destinationNamedPort: "web" }];
    const ports = [port("web", 80), port("web", 81, "udp")];
    const one = world({
      pods: { ...PODS, "x/a": { ...PODS["x/a"], ports }, "y/c": { ...PODS["y/c"], ports } },
      policies: [
        clusterPolicy("p", {
          ingress: [{ action: "Deny", from, protocols }],
          egress: [{ action: "Deny", to: from, protocols }],
        }),
      ],
    });
    for (const [pair, protocol, verdict] of [
      ["y/a x/a", "tcp 80", false],
      ["y/a x/a", "udp 81", false],
      ["y/a x/a", "udp 80", true],
      ["x/b y/c", "tcp 80", false],
      ["x/b y/c", "udp 81", false],
      ["x/b y/c", "tcp 81", true],
      ["x/b y/b", "tcp 80", true],
    ] as const) {
      const [source = "", destination = ""] = pair.split(" ");
      assert.equal(one.allows(source, destination, protocol), verdict, `${pair} ${protocol}`);
    }
  });
});

describe("audit mode", () => {
  it("a NetworkPolicy isolates nobody and says what it would drop and allow", () => {
    const one = world({
      policies: [
        networkPolicy("x/p", { ...pods("a"), ingress: [{ from: [pods("b")] }] }, "audit"),
        clusterPolicy("base", {
          tier: "Baseline",
          ingress: [{ action: "Deny", from: [{ pods: pods("c") }] }],
        }),
      ],
    });
    assert.deepEqual(one.judge("x/b", "x/a", "tcp 80"), {
      egress: "pass",
      ingress: "pass",
      audit: ["accept by NetworkPolicy x/p, ingress[0]"],
    });
    assert.deepEqual(one.judge("y/a", "x/a", "tcp 80").audit, ["drop by isolation, ingress: x/p"]);
    assert.ok(one.allows("y/a", "x/a"));
    // It is asked as if the policy were not there.
    assert.equal(
      one.judge("y/c", "x/a", "tcp 80").ingress,
      "drop by ClusterNetworkPolicy base, ingress[0]",
    );
    assert.deepEqual(one.rules.enforcedSlots, [1, 3, 5, 7, 9, 11]);
  });

  it("beside enforced policies it tells what it would allow more, and no drops that are drops anyway", () => {
    const one = world({
      policies: [
        networkPolicy("x/audit", { ingress: [{ from: [pods("b")] }] }, "audit"),
        networkPolicy("x/enforce", { ingress: [{ from: [pods("c")] }] }),
      ],
    });
    const judged = (from: string) => one.judge(from, "x/a", "tcp 80");
    assert.deepEqual(
      [judged("x/c").ingress, judged("x/c").audit],
      ["pass by NetworkPolicy x/enforce, ingress[0]", []],
    );
    assert.equal(judged("x/b").ingress, "drop by isolation, ingress: x/enforce");
    assert.deepEqual(judged("x/b").audit, ["accept by NetworkPolicy x/audit, ingress[0]"]);
    assert.deepEqual(judged("y/a").audit, []);
  });

  it("a ClusterNetworkPolicy tells its first match, and the tier goes on behind it", () => {
    const from = [{ namespaces: {} }];
    const rules = ["Pass", "Deny"].map((action) => ({ action, from }));
    const one = world({
      policies: [
        clusterPolicy("a", { ingress: rules }, "audit"),
        clusterPolicy("b", { ingress: [{ name: "no", action: "Deny", from }] }),
      ],
    });
    assert.deepEqual(one.judge("y/a", "x/a", "tcp 80"), {
      egress: "pass",
      ingress: "drop by ClusterNetworkPolicy b, no",
      audit: ["pass by ClusterNetworkPolicy a, ingress[0]"],
    });
  });
});

describe("changes", () => {
  const policies = [
    networkPolicy("x/p", {
      ...pods("a"),
      ingress: [{ from: [{ namespaceSelector: { matchLabels: { team: "two" } }, ...pods("b") }] }],
    }),
  ];
  const base = { pods: PODS, namespaces: NAMESPACES, policies };

  it("N17: labels of pods and namespaces act without touching rules, N39: policies go with their rules", () => {
    const cache = new PodRulesCache();
    const before = new PolicyWorld(base, cache);
    const policyRecords = before.input.networkPolicies;
    const next = (parts: Partial<TestCluster>) =>
      new PolicyWorld({ ...inputOf({ ...base, ...parts }), networkPolicies: policyRecords }, cache);
    assert.equal(sources(before, "x/a"), "yb");
    const relabelled = next({ pods: { ...PODS, "y/c": { ...PODS["y/c"], labels: { pod: "b" } } } });
    assert.equal(sources(relabelled, "x/a"), "yb yc");
    assert.equal(relabelled.rules.rules, before.rules.rules);
    const moved = next({ namespaces: { ...NAMESPACES, z: { team: "two" }, y: {} } });
    assert.equal(sources(moved, "x/a"), "zb");
    assert.equal(moved.rules.rules, before.rules.rules);
    const deleted = new PolicyWorld({ ...before.input, networkPolicies: [] }, cache);
    assert.equal(sources(deleted, "x/a"), OTHERS_OF_XA);
    assert.equal(deleted.rules.contents.size, 0);
  });

  it("a call that changes nothing gives the same object, one pod the other sets' same objects", () => {
    const cache = new PodRulesCache();
    const two = [...policies, networkPolicy("x/q", { ingress: [{ from: [pods("c")] }] })];
    const input = inputOf({ ...base, policies: two });
    const first = compilePodRules(input, cache);
    assert.equal(compilePodRules({ ...input }, cache), first);
    const key = "y/b";
    const changed = new Map(input.pods).set(
      key,
      podRecord(key, { ...PODS[key], ips: ["10.9.9.9/32"] }),
    );
    for (const changedPods of [[key], undefined]) {
      const hint = changedPods === undefined ? {} : { changedPods };
      const after = compilePodRules({ ...input, pods: changed, ...hint }, cache);
      const kept = [...after.contents].filter(([name, set]) => first.contents.get(name) === set);
      assert.deepEqual([after.contents.size, kept.map(([name]) => name)], [2, ["pods pod=c in x"]]);
      assert.equal(after.rules, first.rules);
    }
  });

  it("what no policy uses any more is forgotten, also what only other nodes' policies did", () => {
    const cache = new PodRulesCache();
    const elsewhere = networkPolicy("q/p", { ingress: [{ from: [pods("b")] }] });
    const nodes = clusterPolicy("n", { egress: [{ action: "Deny", to: [{ nodes: {} }] }] });
    const input = inputOf({ ...base, policies: [...policies, elsewhere, nodes] });
    const sizes = () => [cache.blockCount, cache.index.selectionCount];
    compilePodRules(input, cache);
    assert.deepEqual(sizes(), [3, 1]);
    const { networkPolicies, clusterNetworkPolicies } = input;
    const without = { ...input, networkPolicies: networkPolicies.slice(0, 1) };
    compilePodRules(without, cache);
    assert.deepEqual(sizes(), [2, 1]);
    compilePodRules({ ...without, networkPolicies: [] }, cache);
    assert.deepEqual(sizes(), [clusterNetworkPolicies.length, 0]);
  });

  it("a number of a named port that comes and goes brings its rule and takes it away", () => {
    const cache = new PodRulesCache();
    const egress = [{ to: [{ namespaceSelector: {} }], ports: [{ port: "web" }] }];
    const list = [networkPolicy("x/p", { policyTypes: ["Egress"], egress })];
    const { networkPolicies } = inputOf({ ...base, policies: list });
    const at = (number: number | undefined) => {
      const ports = number === undefined ? [] : [port("web", number)];
      const cluster = { ...base, pods: { ...PODS, "y/c": { ...PODS["y/c"], ports } } };
      return new PolicyWorld({ ...inputOf(cluster), networkPolicies }, cache);
    };
    for (const number of [80, 81, undefined, 80]) {
      const open = [80, 81].filter((one) => at(number).allows("x/a", "y/c", `tcp ${one}`));
      assert.deepEqual(open, number === undefined ? [] : [number]);
    }
  });

  it("a set of many pods is kept in parts, and a pod that comes changes one", () => {
    const cache = new PodRulesCache();
    const many = Object.fromEntries(
      Array.from({ length: 3000 }, (_, index): [string, TestPod] => [
        `y/m${index}`,
        { labels: { pod: "b" }, ips: [`10.1.${index >> 8}.${index & 255}/32`], isRemote: true },
      ]),
    );
    const input = inputOf({ ...base, pods: { ...PODS, ...many } });
    const set = (pods = input.pods) => {
      const { contents } = compilePodRules({ ...input, pods }, cache);
      return [...contents.values()][0]!.parts;
    };
    const before = set();
    const sizes = [...before.values()].map(({ v4 }) => v4.length);
    assert.equal(sizes.length, 4);
    assert.equal(
      sizes.reduce((sum, size) => sum + size),
      3001,
    );
    assert.ok(Math.min(...sizes) > 600, String(sizes));
    const key = "y/late";
    const record = podRecord(key, { labels: { pod: "b" }, ips: ["10.2.0.1/32"], isRemote: true });
    const after = set(new Map(input.pods).set(key, record));
    const changed = [...after].filter(([name, part]) => before.get(name) !== part);
    assert.equal(changed.length, 1);
  });
});

describe("limits", () => {
  it("C: peers and ports are no product: 25 rules of 25 peers, 25 networks and 25 ports are 25 bits", () => {
    const networks = (peer: number) => Array.from({ length: 25 }, (_, n) => `10.${peer}.${n}.0/24`);
    const to = Array.from({ length: 25 }, (_, peer) => ({ networks: networks(peer) }));
    const protocols = Array.from({ length: 25 }, (_, n) => ({
      tcp: { destinationPort: { number: 2 * n + 1 } },
    }));
    const egress = Array.from({ length: 25 }, () => ({ action: "Deny", to, protocols }));
    const { rules, contents } = world({ policies: [clusterPolicy("p", { egress })] }).rules;
    assert.equal(rules.filter(({ policy }) => policy === "ClusterNetworkPolicy p").length, 25);
    assert.equal(contents.size, 1);
  });

  it("more rules than the pages have are refused, the policy with the most is named, and the cache stays good", () => {
    const cache = new PodRulesCache();
    const small = networkPolicy("x/small", { ingress: [{ from: [pods("b")] }] });
    const rules = (count: number) =>
      Array.from({ length: count }, () => ({ ports: [{ port: 80 }] }));
    const large = networkPolicy("x/large", { ingress: rules(Limits.MAX_POD_RULES - 3) });
    const input = inputOf({ pods: PODS, policies: [small, large] });
    const fits = { ...input, networkPolicies: input.networkPolicies.slice(0, 1) };
    const before = compilePodRules(fits, cache);
    assert.throws(
      () =>
        compilePodRules(
          {
            ...input,
            networkPolicies: [
              ...input.networkPolicies,
              ...inputOf({ pods: {}, policies: [networkPolicy("x/more", { ingress: rules(1) })] })
                .networkPolicies,
            ],
          },
          cache,
        ),
      (error) =>
        error instanceof CapacityError &&
        error.table === "rules" &&
        error.policy === "NetworkPolicy x/large",
    );
    assert.deepEqual(compilePodRules(fits, cache).rules, before.rules);
    assert.equal(sources(new PolicyWorld(fits, cache), "x/a"), "xb");
  });
});

describe("names", () => {
  it("two rules of a policy with one name are told apart by their places", () => {
    const rule = (action: string) => ({ name: "same", action });
    const policy = clusterPolicy("admin", {
      ingress: [
        { ...rule("Accept"), from: [{ namespaces: {} }] },
        { ...rule("Deny"), from: [{ networks: ["0.0.0.0/0"] }] },
      ],
      egress: [{ ...rule("Deny"), to: [{ networks: ["192.0.2.0/24"] }] }],
    });
    const { rules } = world({ policies: [policy] }).rules;
    const own = rules.filter(({ policy: by }) => by === "ClusterNetworkPolicy admin");
    assert.deepEqual(
      own.map(({ rule: name, action }) => `${name}: ${action}`),
      ["same: Accept", "same (ingress[1]): Drop", "same (egress[0]): Drop"],
    );
  });

  it("those that the kernel's table cannot hold are cut, stay apart, and are known in full", () => {
    const isolating = (last: string) =>
      Array.from({ length: 9 }, (_, index) =>
        networkPolicy(`x/isolates-the-pods-${index}${last}`, {}),
      );
    const one = world({
      policies: [...isolating("a"), networkPolicy("x/isolates-the-pods-9", pods("a"))],
    });
    const cut = one.rules.rules
      .filter(({ policy }) => policy === "isolation")
      .map(({ rule }) => rule);
    assert.equal(new Set(cut).size, 2);
    for (const rule of cut) {
      assert.equal(Buffer.byteLength(rule), 63);
      assert.match(one.rules.fullNames.get(rule) ?? "", /^ingress: x\/isolates-the-pods-0a, .*8a/);
    }
    const long = { name: "ö".repeat(60), action: "Deny", from: [{ namespaces: {} }] };
    const wide = world({ policies: [clusterPolicy("n".repeat(253), { ingress: [long] })] }).rules;
    const { policy, rule } = wide.rules.at(-1)!;
    assert.ok(Buffer.byteLength(policy) <= 255 && Buffer.byteLength(rule) <= 63);
    assert.equal(wide.fullNames.get(policy), `ClusterNetworkPolicy ${"n".repeat(253)}`);
    assert.equal(wide.fullNames.get(rule), "ö".repeat(60));
  });
});
