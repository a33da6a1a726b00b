import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parse } from "yaml";
import { formatCidr } from "./cidr-format.js";
import { Interner } from "./interner.js";
import { projectClusterObject } from "./project-cluster.js";

const ORIGIN = { source: "api" };

function project(yaml: string) {
  return projectClusterObject("Service", parse(yaml), ORIGIN, new Interner());
}

/** The texts are flow mappings of YAML without braces. */
function service(spec: string, metadata = "", status = "") {
  const { draft, problems } = project(
    `{metadata: {name: a, ${metadata}}, spec: {${spec}}, status: {${status}}}`,
  );
  assert.ok(draft !== undefined, JSON.stringify(problems));
  return { ...draft, problems };
}

const fieldsOf = (yaml: string) => {
  const { draft, problems } = project(yaml);
  assert.equal(draft, undefined);
  return problems.map(({ field }) => String(field)).toSorted();
};

describe("a Service", () => {
  it("gives all that decides how it is served", () => {
    const { draft, problems } = project(`
metadata: {name: web, namespace: shop, creationTimestamp: "2026-01-01T00:00:00Z", labels: {app: web}, annotations: {sluice.dev/forward: tunnel, service.kubernetes.io/topology-mode: Auto, a: b}}
spec:
  type: LoadBalancer
  clusterIP: 10.96.0.10
  clusterIPs: [10.96.0.10, "fd00:96::a"]
  ipFamilies: [IPv4, IPv6]
  selector: {app: web}
  ports:
  - {name: http, port: 80, targetPort: web, nodePort: 30080, appProtocol: http}
  - {name: dns, port: 53, protocol: UDP, targetPort: 5353}
  externalIPs: [203.0.113.7]
  loadBalancerSourceRanges: [" 198.51.100.0/24", "198.51.100.7/24", "2001:db8::/32 "]
  externalTrafficPolicy: Local
  internalTrafficPolicy: Cluster
  healthCheckNodePort: 31000
  sessionAffinity: ClientIP
  sessionAffinityConfig: {clientIP: {timeoutSeconds: 60}}
  publishNotReadyAddresses: true
  trafficDistribution: PreferSameZone
  loadBalancerClass: example.com/lb
status: {loadBalancer: {ingress: [{ip: 192.0.2.1}, {ip: 192.0.2.2, ipMode: VIP}, {ip: 192.0.2.3, ipMode: Proxy}, {hostname: lb.example.com}]}}`);
    assert.deepEqual(problems, []);
    const { externalIPs, loadBalancerIPs, sourceRanges, ...rest } = draft!;
    assert.deepEqual(externalIPs.map(formatCidr), ["203.0.113.7/32"]);
    assert.deepEqual(loadBalancerIPs.map(formatCidr), ["192.0.2.1/32", "192.0.2.2/32"]);
    assert.deepEqual(sourceRanges.map(formatCidr), ["198.51.100.0/24", "2001:db8::/32"]);
    assert.deepEqual(rest, {
      kind: "Service",
      namespace: "shop",
      name: "web",
      createdAtMs: Date.UTC(2026, 0, 1),
      type: "LoadBalancer",
      isExcluded: false,
      isHeadless: false,
      ipv4: 0x0a60000a,
      ipv6: { high: 0xfd00_0096_0000_0000n, low: 10n },
      ports: [
        { name: "http", protocol: "tcp", port: 80, targetPort: "web", nodePort: 30080 },
        { name: "dns", protocol: "udp", port: 53, targetPort: 5353, nodePort: 0 },
      ],
      externalTrafficPolicy: "Local",
      internalTrafficPolicy: "Cluster",
      healthCheckNodePort: 31000,
      affinitySeconds: 60,
      publishNotReadyAddresses: true,
      trafficDistribution: "PreferSameZone",
      loadBalancerClass: "example.com/lb",
      annotations: {
        "service.kubernetes.io/topology-mode": "Auto",
        "sluice.dev/forward": "tunnel",
      },
    });
  });

  it("has the API server's defaults where a manifest leaves them out", () => {
    const { problems, ...draft } = service("ports: [{port: 80}]");
    assert.deepEqual(problems, []);
    assert.deepEqual(draft, {
      kind: "Service",
      namespace: "default",
      name: "a",
      createdAtMs: 0,
      type: "ClusterIP",
      isExcluded: false,
      isHeadless: false,
      ipv4: undefined,
      ipv6: undefined,
      ports: [{ name: "", protocol: "tcp", port: 80, targetPort: 80, nodePort: 0 }],
      externalIPs: [],
      loadBalancerIPs: [],
      sourceRanges: [],
      externalTrafficPolicy: "Cluster",
      internalTrafficPolicy: "Cluster",
      healthCheckNodePort: 0,
      affinitySeconds: 0,
      publishNotReadyAddresses: false,
      trafficDistribution: undefined,
      loadBalancerClass: undefined,
      annotations: {},
    });
  });

  it("has cluster IPs of the families that it has (services.md §1.1)", () => {
    const v6 = { high: 0xfd00_0000_0000_0000n, low: 1n };
    const rows: readonly (readonly [
      spec: string,
      ipv4: unknown,
      ipv6: unknown,
      headless: boolean,
    ])[] = [
      ["clusterIP: 10.0.0.1", 0x0a000001, undefined, false],
      ["clusterIP: 'fd00::1', clusterIPs: ['fd00::1', 10.0.0.1]", 0x0a000001, v6, false],
      ["clusterIP: 172.30.0.041", 0xac1e0029, undefined, false],
      ["clusterIP: None, clusterIPs: [None]", undefined, undefined, true],
      ["clusterIP: None", undefined, undefined, true],
      ["clusterIP: ''", undefined, undefined, false],
      ["type: ExternalName, externalName: a.b, clusterIP: 10.0.0.1", undefined, undefined, false],
    ];
    for (const [spec, ipv4, ipv6, isHeadless] of rows) {
      const read = service(spec);
      assert.deepEqual([read.ipv4, read.ipv6, read.isHeadless], [ipv4, ipv6, isHeadless], spec);
    }
  });

  it("is not to be served when a label gives it to others, whatever the value", () => {
    const isExcluded = (labels: string) => service("", `labels: {${labels}}`).isExcluded;
    assert.equal(isExcluded("service.kubernetes.io/service-proxy-name: other"), true);
    assert.equal(isExcluded("service.kubernetes.io/headless: ''"), true);
    assert.equal(isExcluded("service.kubernetes.io/other: ''"), false);
  });

  it("has affinity only when it asks for it, for three hours unless it says so", () => {
    const config = "sessionAffinityConfig: {clientIP: {timeoutSeconds: 5}}";
    assert.equal(service("sessionAffinity: ClientIP").affinitySeconds, 10_800);
    assert.equal(service(`sessionAffinity: ClientIP, ${config}`).affinitySeconds, 5);
    assert.equal(service(`sessionAffinity: None, ${config}`).affinitySeconds, 0);
  });

  it("leaves out an external address that is none, and says so", () => {
    const read = service(
      "externalIPs: [203.0.113.1, bad]",
      "",
      "loadBalancer: {ingress: [{ip: x}]}",
    );
    assert.deepEqual(read.externalIPs.map(formatCidr), ["203.0.113.1/32"]);
    assert.deepEqual(read.loadBalancerIPs, []);
    assert.deepEqual(
      read.problems.map(({ severity, field }) => `${severity} ${field}`),
      ["warning spec.externalIPs[1]", "warning status.loadBalancer.ingress[0].ip"],
    );
  });

  it("is refused for a bad source range: without it any source would be let in", () => {
    assert.deepEqual(
      fieldsOf("{metadata: {name: a}, spec: {loadBalancerSourceRanges: [10.0.0.0/8, 10.0.0.0]}}"),
      ["spec.loadBalancerSourceRanges[1]"],
    );
  });

  it("is refused with each field that is wrong", () => {
    assert.deepEqual(
      fieldsOf(`{metadata: {name: a}, spec: {type: Other, clusterIPs: [10.0.0.1, 10.0.0.2],
        ports: [{name: x}, {port: 0}, {port: 1, protocol: tcp}, {port: 2, nodePort: "3"}],
        externalTrafficPolicy: local, sessionAffinity: Cookie, publishNotReadyAddresses: 1}}`),
      [
        "spec.clusterIPs[1]",
        "spec.externalTrafficPolicy",
        "spec.ports[0].port",
        "spec.ports[1].port",
        "spec.ports[2].protocol",
        "spec.ports[3].nodePort",
        "spec.publishNotReadyAddresses",
        "spec.sessionAffinity",
        "spec.type",
      ],
    );
  });

  it("has its name and namespace in its problems, and what to do", () => {
    const { problems } = project("{metadata: {name: web, namespace: shop}, spec: {type: Other}}");
    assert.deepEqual(problems, [
      {
        severity: "error",
        code: "SLUICE_SCHEMA",
        origin: ORIGIN,
        kind: "Service",
        name: "shop/web",
        field: "spec.type",
        message: '"Other" is none of ClusterIP, NodePort, LoadBalancer, ExternalName',
        remedy: "Write one of ClusterIP, NodePort, LoadBalancer, ExternalName",
      },
    ]);
  });
});
