import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { admitRule, admitYaml, policyOf } from "../../test/support/admission.js";

describe("a policy becomes a record", () => {
  it("with the schema's defaults where nothing is written", () => {
    const draft = policyOf(
      admitYaml(`
apiVersion: sluice.dev/v1alpha1
kind: XdpPolicy
metadata: {name: edge}
spec: {priority: 0}
`),
    );
    assert.deepEqual(draft, {
      kind: "XdpPolicy",
      name: "edge",
      priority: 0,
      nodeSelector: {},
      interfaces: [],
      mode: "Enforce",
      defaultAction: "Pass",
      rules: [],
    });
  });

  it("with every field of the definition", () => {
    const draft = policyOf(
      admitYaml(`
apiVersion: sluice.dev/v1alpha1
kind: XdpPolicy
metadata: {name: edge}
spec:
  priority: 100
  nodeSelector: {matchExpressions: [{key: role, operator: In, values: [edge]}]}
  interfaces: ["eth*", "ens?"]
  mode: Audit
  confirmWithin: 2m
  defaultAction: Drop
  ingress:
  - name: all
    action: Drop
    from:
    - cidr: 10.0.0.0/8
      except: [10.1.0.0/16]
    - cidrSet: spamhaus
    - nodes: {matchLabels: {role: edge}}
    to:
    - cidr: 2001:db8::/32
    protocols:
    - tcp:
        destinationPort: {number: 443}
        sourcePort: {range: {start: 1024, end: 65535}}
        flags: {set: [SYN], unset: [ACK]}
    - udp: {destinationPort: {number: 53}}
    - sctp: {}
    - icmp: {type: 8, code: 0}
    - icmpv6: {type: 128}
    - protocol: 47
    traits: [Fragment, Bogon]
    log: {oneIn: 100}
    expiresAt: 2026-12-31T00:00:00Z
`),
    );
    assert.deepEqual(draft, {
      kind: "XdpPolicy",
      name: "edge",
      priority: 100,
      nodeSelector: { matchExpressions: [{ key: "role", operator: "In", values: ["edge"] }] },
      interfaces: ["eth*", "ens?"],
      mode: "Audit",
      confirmWithinMs: 120_000,
      defaultAction: "Drop",
      rules: [
        {
          name: "all",
          action: { kind: "Drop" },
          from: [
            {
              kind: "cidr",
              cidr: { family: 4, address: 0x0a000000, length: 8 },
              except: [{ family: 4, address: 0x0a010000, length: 16 }],
            },
            { kind: "cidrSet", setName: "spamhaus" },
            { kind: "nodes", selector: { matchLabels: { role: "edge" } } },
          ],
          to: [
            {
              kind: "cidr",
              cidr: { family: 6, high: 0x20010db8_00000000n, low: 0n, length: 32 },
              except: [],
            },
          ],
          protocols: [
            {
              kind: "tcp",
              destinationPort: { start: 443, end: 443 },
              sourcePort: { start: 1024, end: 65535 },
              flags: { set: ["SYN"], unset: ["ACK"] },
            },
            { kind: "udp", destinationPort: { start: 53, end: 53 } },
            { kind: "sctp" },
            { kind: "icmp", type: 8, code: 0 },
            { kind: "icmpv6", type: 128 },
            { kind: "protocol", number: 47 },
          ],
          traits: ["Fragment", "Bogon"],
          logOneIn: 100,
          expiresAtMs: Date.UTC(2026, 11, 31),
        },
      ],
    });
  });

  it("with one second's worth as the burst of a limit that names none", () => {
    const [rule] = policyOf(
      admitRule("action: Limit, rateLimit: {packetsPerSecond: 500, per: SourcePrefix}"),
    ).rules;
    assert.deepEqual(rule?.action, {
      kind: "Limit",
      rateLimit: {
        unit: "packets",
        rate: 500,
        burst: 500,
        per: "SourcePrefix",
        ipv4PrefixLength: 24,
        ipv6PrefixLength: 64,
      },
    });
  });

  it("with each target of a redirect", () => {
    const target = (redirect: string) =>
      policyOf(admitRule(`action: Redirect, redirect: {${redirect}}`)).rules[0]?.action;
    assert.deepEqual(target("cpus: [2, 3]"), {
      kind: "Redirect",
      target: { kind: "cpus", cpus: [2, 3] },
    });
    assert.deepEqual(target("interface: eth1"), {
      kind: "Redirect",
      target: { kind: "interface", name: "eth1" },
    });
    assert.deepEqual(target("socketMap: capture"), {
      kind: "Redirect",
      target: { kind: "socketMap", name: "capture" },
    });
  });
});

describe("a rule that can do nothing is admitted with a warning", () => {
  const warnings = (rule: string) => {
    const admission = admitRule(rule);
    policyOf(admission);
    return admission.problems.map(({ field, message }) => `${field}: ${message}`);
  };

  it("when it has expired", () => {
    const [warning, ...more] = warnings("action: Drop, expiresAt: 2026-05-31T23:59:59Z");
    assert.match(warning ?? "", /expiresAt: the rule rule expired at 2026-05-31/);
    assert.deepEqual(more, []);
    assert.deepEqual(warnings("action: Drop, expiresAt: 2026-06-01T00:00:01Z"), []);
  });

  it("when its fields leave no IP family", () => {
    const mixed = /no packet can match/;
    const v4 = "cidr: 10.0.0.0/8";
    const v6 = "cidr: '2001:db8::/32'";
    assert.match(warnings(`action: Drop, from: [{${v4}}], to: [{${v6}}]`).join(), mixed);
    assert.match(warnings(`action: Drop, from: [{${v6}}], protocols: [{icmp: {}}]`).join(), mixed);
    assert.match(warnings(`action: Drop, to: [{${v4}}], protocols: [{icmpv6: {}}]`).join(), mixed);
    assert.deepEqual(warnings(`action: Drop, from: [{${v4}}, {${v6}}], to: [{${v6}}]`), []);
    assert.deepEqual(warnings(`action: Drop, from: [{cidrSet: a}], to: [{${v6}}]`), []);
    assert.deepEqual(warnings(`action: Drop, from: [{${v6}}], protocols: [{protocol: 1}]`), []);
  });

  it("when a limit in bytes has less room than one frame", () => {
    const limit = (rate: string) => warnings(`action: Limit, rateLimit: {${rate}}`).join();
    assert.match(limit("bytesPerSecond: 100000, burst: 1000"), /rateLimit\.burst: .*1514/);
    assert.match(limit("bytesPerSecond: 1000"), /rateLimit\.bytesPerSecond: .*1514/);
    assert.equal(limit("bytesPerSecond: 1514"), "");
    assert.equal(limit("packetsPerSecond: 1"), "");
  });
});
