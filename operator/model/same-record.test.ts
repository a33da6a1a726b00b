import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Interner } from "./interner.js";
import { type ClusterKind, projectClusterObject } from "./project-cluster.js";
import { isSameRecord } from "./same-record.js";

/** Compares the records of two objects, each projected on its own. */
function isSame(kind: ClusterKind, a: object, b: object): boolean {
  const [first, second] = [a, b].map((object) => {
    const { draft, problems } = projectClusterObject(
      kind,
      object,
      { source: "api" },
      new Interner(),
    );
    assert.ok(draft !== undefined, JSON.stringify(problems));
    return draft;
  });
  return isSameRecord(first!, second!);
}

const metadata = { name: "a", namespace: "x", labels: { app: "web" } };

describe("records of two versions of an object", () => {
  it("mean the same when nothing changed that is read", () => {
    const pod = (status: object) => ({
      metadata,
      spec: { containers: [{ ports: [{ name: "http", containerPort: 80 }] }] },
      status: { podIPs: [{ ip: "10.0.0.1" }, { ip: "fd00::1" }], ...status },
    });
    const conditions = (ready: string) => ({ conditions: [{ type: "Ready", status: ready }] });
    assert.ok(isSame("Pod", pod(conditions("True")), pod(conditions("False"))));
    assert.ok(!isSame("Pod", pod({}), pod({ podIPs: [{ ip: "10.0.0.1" }, { ip: "fd00::2" }] })));
    assert.ok(!isSame("Pod", pod({}), pod({ podIPs: [{ ip: "10.0.0.1" }] })));
    assert.ok(!isSame("Pod", pod({}), pod({ phase: "Failed" })));
    assert.ok(!isSame("Pod", pod({}), { ...pod({}), spec: {} }));
    const relabelled = (labels: object) => ({ ...pod({}), metadata: { ...metadata, labels } });
    assert.ok(!isSame("Pod", pod({}), relabelled({ app: "db" })));
    assert.ok(!isSame("Pod", pod({}), relabelled({ app: "web", more: "" })));
    assert.ok(!isSame("Pod", pod({}), relabelled({})));
    assert.ok(isSame("Pod", pod({}), relabelled({ app: "web" })));
  });

  it("compare the endpoints of slices one by one, short and long", () => {
    const slice = (addresses: readonly string[], time = "2026-01-01T00:00:00Z", ready = true) => ({
      metadata: {
        ...metadata,
        annotations: { "endpoints.kubernetes.io/last-change-trigger-time": time },
      },
      addressType: "IPv4",
      endpoints: addresses.map((address) => ({ addresses: [address], conditions: { ready } })),
    });
    const many = Array.from({ length: 100 }, (_, index) => `10.0.0.${index}`);
    for (const addresses of [many.slice(0, 10), many]) {
      const changed = addresses.with(7, "10.0.1.7");
      assert.ok(isSame("EndpointSlice", slice(addresses), slice(addresses)));
      assert.ok(!isSame("EndpointSlice", slice(addresses), slice(changed)));
      assert.ok(!isSame("EndpointSlice", slice(addresses), slice(addresses.slice(1))));
      const later = "2026-01-01T00:00:01Z";
      assert.ok(isSame("EndpointSlice", slice(addresses), slice(addresses, later)));
      assert.ok(!isSame("EndpointSlice", slice(addresses), slice(addresses, later, false)));
    }
    assert.ok(!isSame("EndpointSlice", slice([]), slice(["10.0.0.1"])));
  });

  it("compare policies to the last port", () => {
    const policy = (port: number, extra: object = {}) => ({
      metadata: { ...metadata, generation: port },
      spec: { ingress: [{ ports: [{ port }] }], ...extra },
    });
    assert.ok(isSame("NetworkPolicy", policy(80), policy(80)));
    assert.ok(!isSame("NetworkPolicy", policy(80), policy(81)));
    assert.ok(!isSame("NetworkPolicy", policy(80), policy(80, { policyTypes: ["Egress"] })));
    // Not isolated differs from nothing allowed.
    const egress = { policyTypes: ["Ingress", "Egress"] };
    assert.ok(!isSame("NetworkPolicy", policy(80), policy(80, egress)));
  });

  it("differ by origin and generation only, and mean the same", () => {
    const { draft } = projectClusterObject(
      "NetworkPolicy",
      { metadata, spec: {} },
      { source: "api" },
      new Interner(),
    );
    const first = { ...draft!, origin: { source: "a.yaml", line: 1 }, generation: 1 };
    const second = { ...draft!, origin: { source: "b.yaml" }, generation: 2 };
    assert.ok(isSameRecord(first, second));
    assert.ok(isSameRecord(draft!, second));
  });
});
