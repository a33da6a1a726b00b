import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parse } from "yaml";
import { type Admission, admit } from "./admit.js";
import type { Draft } from "./projection.js";
import type { ObjectRecord, XdpPolicyRecord } from "./records.js";

const NOW_MS = Date.UTC(2026, 5, 1);

function admitYaml(text: string): Admission {
  return admit({ value: parse(text), origin: { source: "test.yaml", line: 1 } }, NOW_MS);
}

/** Admits a policy with one rule, given as the YAML behind its name. */
function admitRule(rule: string): Admission {
  return admitYaml(`
apiVersion: sluice.dev/v1alpha1
kind: XdpPolicy
metadata: {name: edge}
spec: {priority: 1, ingress: [{name: rule, ${rule}}]}
`);
}

/** Errors as `field: message`, without the path to the rule. */
function errors({ problems }: Admission): readonly string[] {
  return problems
    .filter(({ severity }) => severity === "error")
    .map(({ field, message }) => `${field?.replace("spec.ingress[0].", "")}: ${message}`);
}

function admitted(admission: Admission): Draft<ObjectRecord> {
  assert.deepEqual(errors(admission), []);
  assert.ok(admission.admitted);
  return admission.admitted.draft;
}

function policyOf(admission: Admission): Draft<XdpPolicyRecord> {
  const draft = admitted(admission);
  assert.ok(draft.kind === "XdpPolicy");
  return draft;
}

describe("a policy becomes a record", () => {
  it("with the schema's defaults where nothing is written", () => {
    const draft = admitted(
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

describe("a rule is refused", () => {
  const limit = "rateLimit: {packetsPerSecond: 1}";
  const cases: readonly [rule: string, field: string, message: RegExp][] = [
    ["action: drop", "action", /"drop" is none of Accept, Drop/],
    ["from: []", "action", /is missing/],
    ["action: Drop, log: {}", "log.oneIn", /is missing/],
    ["action: Drop, from: {cidr: 10.0.0.0/8}", "from", /an object, but a list belongs/],
    ["action: Drop, from:", "from", /is empty/],
    ["action: Drop, from: [{cidr: 10.0.0.1/8}]", "from[0].cidr", /host bits/],
    ["action: Drop, to: [{cidr: 10.0.0.0/08}]", "to[0].cidr", /leading zeros/],
    ["action: Drop, from: [{cidr: '::ffff:10.0.0.0/104'}]", "from[0].cidr", /IPv6 form/],
    ["action: Drop, from: [{}]", "from[0]", /exactly one of cidr, cidrSet and nodes/],
    ["action: Drop, from: [{cidr: 10.0.0.0/8, cidrSet: a}]", "from[0]", /exactly one of cidr/],
    ["action: Drop, from: [{cidrSet: a, except: [10.0.0.0/8]}]", "from[0].except", /a cidr/],
    [
      "action: Drop, from: [{cidr: 10.0.0.0/8, except: [11.0.0.0/16]}]",
      "from[0].except[0]",
      /11\.0\.0\.0\/16 lies outside its cidr 10\.0\.0\.0\/8/,
    ],
    [
      "action: Drop, from: [{cidr: 10.0.0.0/8, except: [10.0.0.0/8]}]",
      "from[0].except[0]",
      /leaves nothing/,
    ],
    [
      "action: Drop, from: [{cidr: 10.0.0.0/8, except: [0.0.0.0/0]}]",
      "from[0].except[0]",
      /contains its cidr/,
    ],
    [
      "action: Drop, from: [{cidr: 10.0.0.0/8, except: ['2001:db8::/32']}]",
      "from[0].except[0]",
      /is IPv6, but its cidr .* is IPv4/,
    ],
    [
      "action: Drop, from: [{nodes: {matchExpressions: [{key: a, operator: In}]}}]",
      "from[0].nodes.matchExpressions[0].values",
      /In takes at least one value/,
    ],
    [
      "action: Drop, from: [{nodes: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}}]",
      "from[0].nodes.matchExpressions[0].values",
      /Exists takes no values/,
    ],
    ["action: Drop, protocols: [{}]", "protocols[0]", /exactly one of tcp, udp/],
    ["action: Drop, protocols: [{tcp: {}, udp: {}}]", "protocols[0]", /exactly one of tcp, udp/],
    ["action: Drop, protocols: [{protocol: 256}]", "protocols[0].protocol", /above 255/],
    [
      "action: Drop, protocols: [{tcp: {destinationPort: {range: {start: 9, end: 1}}}}]",
      "protocols[0].tcp.destinationPort.range.start",
      /runs backwards/,
    ],
    [
      "action: Drop, protocols: [{udp: {sourcePort: {number: 1, range: {start: 1, end: 2}}}}]",
      "protocols[0].udp.sourcePort",
      /exactly one of number and range/,
    ],
    [
      "action: Drop, protocols: [{udp: {destinationPort: {number: 65536}}}]",
      "protocols[0].udp.destinationPort.number",
      /above 65535/,
    ],
    [
      "action: Drop, protocols: [{tcp: {flags: {set: [SYN, FIN], unset: [FIN]}}}]",
      "protocols[0].tcp.flags.unset[0]",
      /FIN is in set as well/,
    ],
    [
      "action: Drop, protocols: [{tcp: {flags: {set: [SYN, SYN]}}}]",
      "protocols[0].tcp.flags.set[1]",
      /"SYN" is already entry 0/,
    ],
    ["action: Drop, traits: [Bogus]", "traits[0]", /none of Fragment/],
    ["action: Limit", "rateLimit", /needs a rateLimit/],
    [`action: Drop, ${limit}`, "rateLimit", /Limit only/],
    ["action: Limit, rateLimit: {}", "rateLimit", /exactly one of packetsPerSecond/],
    ["action: Limit, rateLimit: {packetsPerSecond: 0}", "rateLimit.packetsPerSecond", /below 1/],
    ["action: Limit, rateLimit: {packetsPerSecond: 1.5}", "rateLimit.packetsPerSecond", /whole/],
    [
      "action: Limit, rateLimit: {packetsPerSecond: 1, ipv4PrefixLength: 33}",
      "rateLimit.ipv4PrefixLength",
      /above 32/,
    ],
    [
      "action: Limit, rateLimit: {packetsPerSecond: 1, ipv6PrefixLength: 0}",
      "rateLimit.ipv6PrefixLength",
      /below 1/,
    ],
    ["action: Redirect", "redirect", /needs a redirect/],
    ["action: Accept, redirect: {cpus: [1]}", "redirect", /Redirect only/],
    ["action: Redirect, redirect: {}", "redirect", /exactly one of cpus/],
    ["action: Redirect, redirect: {cpus: []}", "redirect.cpus", /is empty/],
    ["action: Redirect, redirect: {interface: a/b}", "redirect.interface", /form/],
    ["action: Drop, expiresAt: 2026-13-01T00:00:00Z", "expiresAt", /no(t a)? moment/],
    ["action: Drop, expiresAt: '2026-12-01'", "expiresAt", /no(t a)? moment/],
  ];
  for (const [rule, field, message] of cases) {
    it(`for ${rule}`, () => {
      const admission = admitRule(rule);
      const found = errors(admission);
      assert.equal(found.length, 1, found.join("\n"));
      assert.ok(found[0]?.startsWith(`${field}: `), found[0]);
      assert.match(found[0] ?? "", message);
      assert.equal(admission.admitted, undefined);
    });
  }

  it("for a name that is no label, is taken by the defaultAction, or is there twice", () => {
    const rules = ["Bad_Name", "default", "twice", "twice"]
      .map((name) => `{name: ${name}, action: Drop}`)
      .join(", ");
    const admission = admitYaml(`
apiVersion: sluice.dev/v1alpha1
kind: XdpPolicy
metadata: {name: edge}
spec: {priority: 1, ingress: [${rules}]}
`);
    assert.deepEqual(
      admission.problems.map(({ field }) => field),
      ["spec.ingress[0].name", "spec.ingress[3].name", "spec.ingress[1].name"],
    );
    assert.match(admission.problems[1]?.message ?? "", /"twice" is already entry 2/);
  });
});

describe("a policy is refused", () => {
  const admitSpec = (spec: string) =>
    admitYaml(
      `{apiVersion: sluice.dev/v1alpha1, kind: XdpPolicy, metadata: {name: a}, spec: {${spec}}}`,
    );
  const cases: readonly [spec: string, field: string, message: RegExp][] = [
    ["", "spec.priority", /is missing/],
    ["priority: 1001", "spec.priority", /above 1000/],
    ['priority: "1"', "spec.priority", /"1" is a text, but a whole number belongs here/],
    ["priority: 1, mode: Audi", "spec.mode", /none of Enforce, Audit/],
    ["priority: 1, interfaces: [^eth\\d+$]", "spec.interfaces[0]", /regular expression/],
    ["priority: 1, interfaces: [(eth|ens)0]", "spec.interfaces[0]", /regular expression/],
    ['priority: 1, interfaces: ["eth[0-9]"]', "spec.interfaces[0]", /regular expression/],
    ["priority: 1, interfaces: [eth0+]", "spec.interfaces[0]", /regular expression/],
    ["priority: 1, interfaces: [eth0/1]", "spec.interfaces[0]", /no interface name has/],
    ["priority: 1, interfaces: [averyveryverylong]", "spec.interfaces[0]", /15 characters/],
    ["priority: 1, interfaces: [eth0, eth0]", "spec.interfaces[1]", /already entry 0/],
    ["priority: 1, confirmWithin: 2 minutes", "spec.confirmWithin", /form/],
    ["priority: 1, confirmWithin: 0s", "spec.confirmWithin", /no time/],
    [
      "priority: 1, nodeSelector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}",
      "spec.nodeSelector.matchExpressions[0].values",
      /exactly when/,
    ],
    ["priority: 1, nodeSelector: {matchLabels: {role: yes please}}", "", /form/],
    ["priority: 1, nodeSelector: {matchLabels: {role: 1}}", "", /but a text belongs/],
  ];
  for (const [spec, field, message] of cases) {
    it(`for ${spec === "" ? "an empty spec" : spec}`, () => {
      const admission = admitSpec(spec);
      const found = errors(admission);
      assert.equal(found.length, 1, found.join("\n"));
      assert.ok(found[0]?.startsWith(field), found[0]);
      assert.match(found[0] ?? "", message);
      assert.equal(admission.admitted, undefined);
    });
  }

  it("for 5,000 rules, with one problem that says how many fit", () => {
    const rules = Array.from({ length: 5000 }, (_, i) => ({ name: `r${i}`, action: "Drop" }));
    const admission = admit(
      {
        value: {
          apiVersion: "sluice.dev/v1alpha1",
          kind: "XdpPolicy",
          metadata: { name: "a" },
          spec: { priority: 1, ingress: rules },
        },
        origin: { source: "test.yaml" },
      },
      NOW_MS,
    );
    assert.deepEqual(errors(admission), [
      "spec.ingress: has 5000 entries, more than the 1000 that one list may hold",
    ]);
  });

  it("for the name of the agent's own rules", () => {
    const admission = admitYaml(
      "{apiVersion: sluice.dev/v1alpha1, kind: XdpPolicy, metadata: {name: fail-safe}, spec: {priority: 1}}",
    );
    assert.match(errors(admission).join(), /fail-safe stands for the agent's own rules/);
  });

  it("for an unknown field, and the message offers the name that was meant", () => {
    const admission = admitRule(
      "action: Drop, protocols: [{tcp: {destinationPorts: {number: 443}, banana: 1}}]",
    );
    const [typo, nonsense] = admission.problems;
    assert.equal(typo?.code, "SLUICE_UNKNOWN_FIELD");
    assert.equal(typo.field, "spec.ingress[0].protocols[0].tcp.destinationPorts");
    assert.equal(typo.remedy, "Did you mean destinationPort?");
    assert.equal(nonsense?.remedy, "Use one of destinationPort, sourcePort, flags");
  });
});

describe("all problems of an object are told", () => {
  it("those of the schema, of its rules and of the projection in one go", () => {
    const admission = admitYaml(`
apiVersion: sluice.dev/v1alpha1
kind: XdpPolicy
metadata: {name: edge}
spec:
  priority: 2000
  ingress:
  - {name: a, action: Drop, from: [{cidr: 10.0.0.1/8}, {cidr: 10.0.0.2/8}]}
  - {name: b, action: Limit}
  - {name: c, acton: Drop}
  - {name: d, action: Drop, protocols: [{tcp: {flags: {set: [SYN], unset: [SYN]}}}]}
`);
    assert.deepEqual(
      admission.problems.map(({ field }) => field).toSorted(),
      [
        "spec.ingress[0].from[0].cidr",
        "spec.ingress[0].from[1].cidr",
        "spec.ingress[1].rateLimit",
        "spec.ingress[2].action",
        "spec.ingress[2].acton",
        "spec.ingress[3].protocols[0].tcp.flags.unset[0]",
        "spec.priority",
      ],
    );
  });

  it("counting those beyond fifty", () => {
    const cidrs = Array.from({ length: 80 }, (_, i) => `10.0.0.${i + 1}/8`);
    const admission = admitYaml(
      `{apiVersion: sluice.dev/v1alpha1, kind: XdpCidrSet, metadata: {name: a}, spec: {cidrs: [${cidrs.join(", ")}]}}`,
    );
    assert.equal(admission.problems.length, 51);
    assert.equal(admission.problems.at(-1)?.message, "30 more problems in this object");
    assert.equal(admission.admitted, undefined);
  });

  it("and none of them makes the reader of another field fail", () => {
    for (const spec of [
      "null",
      "[]",
      "text",
      "{priority: 1, ingress: null}",
      "{priority: 1, ingress: {a: 1}}",
      "{priority: 1, ingress: [null, 1, text, []]}",
      "{priority: null, nodeSelector: null, interfaces: null, confirmWithin: 3}",
    ]) {
      for (const kind of ["XdpPolicy", "XdpCidrSet"]) {
        const admission = admitYaml(
          `{apiVersion: sluice.dev/v1alpha1, kind: ${kind}, metadata: {name: a}, spec: ${spec}}`,
        );
        assert.equal(admission.admitted, undefined, `${kind} ${spec}`);
        assert.ok(admission.problems.length > 0);
      }
    }
    for (const spec of ["{cidrs: null}", "{cidrs: text}", "{cidrs: [1], expiring: [{}, 3]}"]) {
      const admission = admitYaml(
        `{apiVersion: sluice.dev/v1alpha1, kind: XdpCidrSet, metadata: {name: a}, spec: ${spec}}`,
      );
      assert.equal(admission.admitted, undefined, spec);
    }
  });
});

describe("a rule that can do nothing is admitted with a warning", () => {
  const warnings = (rule: string) => {
    const admission = admitRule(rule);
    admitted(admission);
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

describe("the digest of an object", () => {
  const policy = (spec: string, metadata = "name: edge") =>
    admitYaml(
      `{apiVersion: sluice.dev/v1alpha1, kind: XdpPolicy, metadata: {${metadata}}, spec: {${spec}}}`,
    ).admitted?.digest;

  it("stays when only the way of writing, the status or the annotations change", () => {
    const digest = policy("priority: 1, mode: Audit");
    assert.equal(policy("mode: Audit, priority: 1"), digest);
    assert.equal(policy("priority: 1, mode: Audit, defaultAction: Pass, ingress: []"), digest);
    assert.equal(policy("priority: 1, mode: Audit", "name: edge, annotations: {a: b}"), digest);
  });

  it("changes with the order of rules and with any value", () => {
    const a = "{name: a, action: Drop}";
    const b = "{name: b, action: Drop}";
    const digest = policy(`priority: 1, ingress: [${a}, ${b}]`);
    assert.notEqual(policy(`priority: 1, ingress: [${b}, ${a}]`), digest);
    assert.notEqual(policy(`priority: 2, ingress: [${a}, ${b}]`), digest);
  });
});
