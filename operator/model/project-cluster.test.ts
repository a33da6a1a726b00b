import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { parse } from "yaml";
import { Interner } from "./interner.js";
import { type ClusterKind, projectClusterObject } from "./project-cluster.js";

const ORIGIN = { source: "api" };

/** One of each kind with every field that is read. */
const SAMPLES: Readonly<Record<ClusterKind, string>> = {
  Pod: `
metadata: {name: a, namespace: x, uid: u, labels: {app: web}, annotations: {kubernetes.io/ingress-bandwidth: 10M, sluice.dev/x: y}}
spec:
  nodeName: n
  hostNetwork: false
  initContainers: [{restartPolicy: Always, ports: [{name: a, containerPort: 1, protocol: TCP}]}]
  containers: [{ports: [{name: b, containerPort: 2, protocol: UDP}]}]
status: {phase: Running, podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.1}, {ip: "fd00::1"}]}`,
  Namespace: "{metadata: {name: a, labels: {team: b}}}",
  Service: `
metadata: {name: a, namespace: x, labels: {app: web}, annotations: {sluice.dev/x: y}}
spec:
  type: LoadBalancer
  clusterIP: 10.96.0.1
  clusterIPs: [10.96.0.1, "fd00::1"]
  ports: [{name: http, protocol: TCP, port: 80, targetPort: http, nodePort: 30000}]
  externalIPs: [203.0.113.1]
  loadBalancerSourceRanges: [10.0.0.0/8]
  externalTrafficPolicy: Local
  internalTrafficPolicy: Cluster
  healthCheckNodePort: 31000
  sessionAffinity: ClientIP
  sessionAffinityConfig: {clientIP: {timeoutSeconds: 5}}
  publishNotReadyAddresses: true
  trafficDistribution: PreferSameZone
  loadBalancerClass: a/b
status: {loadBalancer: {ingress: [{ip: 192.0.2.1, ipMode: VIP}]}}`,
  EndpointSlice: `
metadata: {name: a, namespace: x, labels: {kubernetes.io/service-name: web}, annotations: {endpoints.kubernetes.io/last-change-trigger-time: "2026-01-01T00:00:00Z"}}
addressType: IPv4
ports: [{name: http, protocol: TCP, port: 80}]
endpoints:
- {addresses: [10.0.0.1], nodeName: n, conditions: {ready: true, serving: true, terminating: false}, hints: {forZones: [{name: a}], forNodes: [{name: n}]}}`,
  NetworkPolicy: `
metadata: {name: a, namespace: x, annotations: {sluice.dev/mode: audit}}
spec:
  podSelector: {matchLabels: {app: a}, matchExpressions: [{key: b, operator: In, values: [c]}]}
  policyTypes: [Ingress, Egress]
  ingress: [{from: [{podSelector: {}, namespaceSelector: {}}], ports: [{protocol: TCP, port: 80, endPort: 90}]}]
  egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}], ports: [{port: http}]}]`,
  ClusterNetworkPolicy: `
metadata: {name: a, annotations: {sluice.dev/mode: audit}}
spec:
  tier: Admin
  priority: 1
  subject: {pods: {namespaceSelector: {}, podSelector: {matchLabels: {a: b}}}}
  ingress: [{name: i, action: Deny, from: [{namespaces: {}}], protocols: [{destinationNamedPort: http}]}]
  egress: [{action: Accept, to: [{networks: [10.0.0.0/8]}, {nodes: {}}], protocols: [{tcp: {destinationPort: {range: {start: 1, end: 2}}}}]}]`,
};

const KINDS = Object.keys(SAMPLES) as ClusterKind[];

/** Their keys are data, and none is unknown. */
const FREE_MAPS = ["labels", "annotations", "matchLabels"];

type Path = readonly (string | number)[];

function pathsOf(value: unknown, path: Path = []): Path[] {
  if (typeof value !== "object" || value === null) return [path];
  const steps = Array.isArray(value) ? [...value.keys()] : Object.keys(value);
  const inner = steps.flatMap((step) =>
    pathsOf((value as Record<string | number, unknown>)[step], [...path, step]),
  );
  return [path, ...inner];
}

function at(value: unknown, path: Path): unknown {
  return path.reduce((inner, step) => (inner as Record<string | number, unknown>)[step], value);
}

function put(value: unknown, path: Path, inner: unknown): unknown {
  const last = path.at(-1);
  if (last === undefined) return inner;
  (at(value, path.slice(0, -1)) as Record<string | number, unknown>)[last] = inner;
  return value;
}

function project(kind: ClusterKind, object: unknown) {
  return projectClusterObject(kind, object, ORIGIN, new Interner());
}

/** Refused means that there is an error, and an error that somebody can act on. */
function assertTold(kind: ClusterKind, object: unknown): void {
  const { draft, problems } = project(kind, object);
  const hasError = problems.some(({ severity }) => severity === "error");
  assert.equal(draft === undefined, hasError);
  for (const problem of problems) {
    assert.equal(problem.kind, kind);
    assert.notEqual(problem.message, "");
    assert.notEqual(problem.remedy, "");
  }
  assert.ok(problems.length <= 51);
}

const anyKind = fc.constantFrom(...KINDS);
const anyJson = fc
  .jsonValue({ maxDepth: 3 })
  .map((value) => JSON.parse(JSON.stringify(value)) as unknown);

describe("any object of the cluster", () => {
  for (const kind of KINDS) {
    it(`that is a sound ${kind} gives its record and no problem`, () => {
      const { draft, problems } = project(kind, parse(SAMPLES[kind]));
      assert.deepEqual(problems, []);
      assert.equal(draft?.kind, kind);
    });
  }

  it("is refused with a reason or projected, whatever it is", () => {
    fc.assert(fc.property(anyKind, anyJson, assertTold), { numRuns: 500 });
  });

  it("is refused with a reason or projected, whatever stands in one of its fields", () => {
    const paths = new Map(KINDS.map((kind) => [kind, pathsOf(parse(SAMPLES[kind]))]));
    const damage = anyKind.chain((kind) =>
      fc.tuple(fc.constant(kind), fc.constantFrom(...paths.get(kind)!), anyJson),
    );
    fc.assert(
      fc.property(damage, ([kind, path, value]) => {
        assertTold(kind, put(parse(SAMPLES[kind]), path, value));
      }),
      { numRuns: 3000 },
    );
  });

  it("is the same with fields that nobody knows", () => {
    for (const kind of KINDS) {
      const expected = project(kind, parse(SAMPLES[kind])).draft;
      for (const path of pathsOf(parse(SAMPLES[kind]))) {
        const object: unknown = parse(SAMPLES[kind]);
        const inner = at(object, path);
        if (typeof inner !== "object" || inner === null || Array.isArray(inner)) continue;
        if (FREE_MAPS.includes(String(path.at(-1)))) continue;
        Object.assign(inner, { futureField: { deep: [1] }, __typename: "x" });
        const { draft, problems } = project(kind, object);
        assert.deepEqual(problems, [], `${kind} ${path.join(".")}`);
        assert.deepEqual(draft, expected, `${kind} ${path.join(".")}`);
      }
    }
  });

  it("is neither changed nor kept", () => {
    for (const kind of KINDS) {
      const object: unknown = parse(SAMPLES[kind]);
      const { draft } = project(kind, object);
      assert.deepEqual(object, parse(SAMPLES[kind]), kind);
      const before = structuredClone(draft);
      for (const path of pathsOf(object).reverse()) {
        const inner = at(object, path);
        if (typeof inner !== "object" || inner === null) continue;
        for (const key of Object.keys(inner)) delete (inner as Record<string, unknown>)[key];
      }
      assert.deepEqual(draft, before, kind);
    }
  });

  it("tells of fifty problems, and that there are more", () => {
    const ports = Array.from({ length: 100 }, () => ({}));
    const { problems } = project("Service", { metadata: { name: "a" }, spec: { ports } });
    assert.equal(problems.length, 51);
    assert.equal(problems.at(-1)?.code, "SLUICE_MORE_PROBLEMS");
  });
});
