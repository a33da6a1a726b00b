import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Finding } from "./finding.js";
import { identify } from "./identify.js";

function identified(apiVersion: unknown, kind: unknown, metadata: unknown = { name: "a" }) {
  const findings: Finding[] = [];
  const identity = identify({ apiVersion, kind, metadata }, findings);
  return { type: identity.type, codes: findings.map(({ code }) => code), findings };
}

describe("what an object says it is", () => {
  it("is one of the known kinds in its version", () => {
    for (const [apiVersion, kind] of [
      ["sluice.dev/v1alpha1", "XdpPolicy"],
      ["sluice.dev/v1alpha1", "XdpCidrSet"],
      ["v1", "Node"],
    ]) {
      assert.deepEqual(identified(apiVersion, kind), { type: "known", codes: [], findings: [] });
    }
  });

  it("is refused in another version, but still known by its name", () => {
    for (const [apiVersion, kind] of [
      ["sluice.dev/v1beta1", "XdpPolicy"],
      ["sluice.io/v1alpha1", "XdpPolicy"],
      ["v1", "XdpCidrSet"],
      ["v2", "Node"],
    ]) {
      const { type, codes, findings } = identified(apiVersion, kind);
      assert.equal(type, "known");
      assert.deepEqual(codes, ["SLUICE_UNKNOWN_VERSION"]);
      assert.match(findings[0]?.remedy ?? "", /^Write apiVersion: /);
    }
  });

  it("is refused when the kind is a mistyped one, and the list of kinds is offered", () => {
    const { type, codes, findings } = identified("sluice.dev/v1alpha1", "XdpPolcy");
    assert.equal(type, "unknown");
    assert.deepEqual(codes, ["SLUICE_UNKNOWN_KIND"]);
    assert.match(findings[0]?.remedy ?? "", /^Did you mean XdpPolicy\? Known kinds: .*XdpCidrSet/);
    assert.deepEqual(identified("sluice.dev/v1alpha1", "Firewall").codes, ["SLUICE_UNKNOWN_KIND"]);
    assert.deepEqual(identified("example.com/v1", "xdppolicy").codes, ["SLUICE_UNKNOWN_KIND"]);
  });

  it("is left alone with a warning when it is some other kind of Kubernetes", () => {
    for (const [apiVersion, kind] of [
      ["v1", "Service"],
      ["apps/v1", "Deployment"],
      ["longhorn.io/v1beta2", "Node"],
      ["sluice.dev/v1alpha1", "NodeDatapath"],
    ]) {
      const { type, codes, findings } = identified(apiVersion, kind);
      assert.equal(type, "foreign", kind);
      assert.deepEqual(codes, ["SLUICE_FOREIGN_KIND"]);
      assert.equal(findings[0]?.severity, "warning");
    }
  });

  it("cannot be told without kind, version or a valid name", () => {
    const known = ["sluice.dev/v1alpha1", "XdpPolicy"] as const;
    assert.deepEqual(identified(undefined, "XdpPolicy").codes, ["SLUICE_NOT_AN_OBJECT"]);
    assert.deepEqual(identified("v1", undefined).codes, ["SLUICE_NOT_AN_OBJECT"]);
    assert.deepEqual(identified("v1", 3).codes, ["SLUICE_NOT_AN_OBJECT"]);
    for (const metadata of [
      null,
      {},
      { name: 3 },
      { name: "" },
      { name: "Edge" },
      { name: "a/b" },
      { name: "a".repeat(254) },
    ]) {
      const { type, codes } = identified(...known, metadata);
      assert.equal(type, "unknown");
      assert.deepEqual(codes, ["SLUICE_NAME"]);
    }
    for (const value of [null, 3, "text", [], undefined]) {
      const findings: Finding[] = [];
      assert.equal(identify(value, findings).type, "unknown");
      assert.equal(findings[0]?.code, "SLUICE_NOT_AN_OBJECT");
    }
  });
});
