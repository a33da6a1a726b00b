import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  clusterPolicy,
  inputOf,
  networkPolicy,
  type TestPod,
} from "../../test/support/policy-cluster.js";
import { compilePodRules } from "./pod-rules.js";
import { PodRulesCache } from "./pod-rules-cache.js";
import { unresolvedPorts } from "./unresolved-ports.js";

const web: TestPod = {
  labels: { app: "web" },
  ips: ["10.0.0.1/32"],
  ports: [{ name: "http", protocol: "tcp", port: 80 }],
};
const remote: TestPod = {
  labels: { app: "db" },
  ips: ["10.0.0.2/32"],
  ports: [{ name: "sql", protocol: "tcp", port: 5432 }],
  isRemote: true,
};

function unresolved(policy: object): readonly string[] {
  const cache = new PodRulesCache();
  compilePodRules(
    inputOf({ pods: { "x/web": web, "x/db": remote }, namespaces: { x: {} }, policies: [policy] }),
    cache,
  );
  return (cache.last?.blocks ?? []).flatMap(unresolvedPorts).map(({ name, on }) => `${name} ${on}`);
}

describe("port names that no pod has", () => {
  it("are looked for on the pods here that the policy selects, where they receive", () => {
    const ports = [{ port: "http" }, { port: "http", protocol: "UDP" }, { port: 80 }];
    const ingress = (names: readonly object[]) =>
      networkPolicy("x/p", { ingress: [{ ports: names }] });
    assert.deepEqual(unresolved(ingress([{ port: "http" }])), []);
    assert.deepEqual(unresolved(ingress(ports)), ["http subjects"]);
    assert.deepEqual(unresolved(ingress([{ port: "sql" }, { port: "sql" }])), ["sql subjects"]);
  });

  it("are looked for on the peers, on any node, where the pods send", () => {
    const egress = (name: string) =>
      networkPolicy("x/p", {
        policyTypes: ["Egress"],
        egress: [
          { to: [{ podSelector: { matchLabels: { app: "db" } } }], ports: [{ port: name }] },
        ],
      });
    assert.deepEqual(unresolved(egress("sql")), []);
    assert.deepEqual(unresolved(egress("http")), ["http peers"]);
  });

  it("are told of ClusterNetworkPolicies, too, and of no policy without pods here", () => {
    const rule = {
      action: "Accept",
      from: [{ namespaces: {} }],
      protocols: [{ destinationNamedPort: "none" }],
    };
    assert.deepEqual(unresolved(clusterPolicy("c", { ingress: [rule] })), ["none subjects"]);
    const elsewhere = { subject: { namespaces: { matchLabels: { a: "b" } } }, ingress: [rule] };
    assert.deepEqual(unresolved(clusterPolicy("c", elsewhere)), []);
  });
});
