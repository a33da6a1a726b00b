import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { admitPolicy, admitRule, admitYaml, errorsOf } from "../../test/support/admission.js";
import { admit } from "./admit.js";

const NOW_MS = Date.UTC(2026, 5, 1);

function compare(a: string, b: string): number {
  return a < b ? -1 : 1;
}

describe("a policy is refused", () => {
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
      const admission = admitPolicy(spec);
      const found = errorsOf(admission);
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
    assert.deepEqual(errorsOf(admission), [
      "spec.ingress: has 5000 entries, more than the 1000 that one list may hold",
    ]);
  });

  it("for the name of the agent's own rules", () => {
    const admission = admitPolicy("priority: 1", "name: fail-safe");
    assert.match(
      errorsOf(admission).join(),
      /fail-safe and node-local stand for the agent's own rules/,
    );
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

describe("an object of the API server that the schema here refuses is of a newer CRD:", () => {
  const spec = { priority: 1, mode: "Learn", ttl: 3 };
  const admitFrom = (source: string) =>
    admit(
      {
        value: {
          apiVersion: "sluice.dev/v1alpha1",
          kind: "XdpPolicy",
          metadata: { name: "edge", labels: { a: "b" }, managedFields: [] },
          spec,
        },
        origin: { source },
      },
      NOW_MS,
    );

  it("the remedy is a newer agent, for a field that would be ignored would widen its rule", () => {
    const { admitted, problems } = admitFrom("api");
    assert.equal(admitted, undefined);
    const remedies = new Map(problems.map(({ field, remedy }) => [field, remedy]));
    assert.match(remedies.get("spec.ttl") ?? "", /^Upgrade this agent: the CRD .* is newer/);
    assert.match(remedies.get("spec.mode") ?? "", /or upgrade this agent, if the CRD is newer$/);
  });

  it("and of a manifest it is not", () => {
    const { admitted, problems } = admitFrom("edge.yaml");
    assert.equal(admitted, undefined);
    for (const { remedy } of problems) assert.doesNotMatch(remedy, /upgrade/i);
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
    assert.deepEqual(admission.problems.map(({ field }) => field ?? "").toSorted(compare), [
      "spec.ingress[0].from[0].cidr",
      "spec.ingress[0].from[1].cidr",
      "spec.ingress[1].rateLimit",
      "spec.ingress[2].action",
      "spec.ingress[2].acton",
      "spec.ingress[3].protocols[0].tcp.flags.unset[0]",
      "spec.priority",
    ]);
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

describe("an object of a size that no API server takes", () => {
  it("is refused before its values are looked at", () => {
    const value = {
      apiVersion: "sluice.dev/v1alpha1",
      kind: "XdpCidrSet",
      metadata: { name: "a" },
      spec: { cidrs: Array<number>(400_000).fill(1) },
    };
    const { admitted, problems } = admit({ value, origin: { source: "test.yaml" } }, NOW_MS);
    assert.equal(admitted, undefined);
    assert.deepEqual(
      problems.map(({ code, name }) => [code, name]),
      [["SLUICE_OBJECT_TOO_LARGE", "a"]],
    );
  });

  it("but one of less may have each of its values wrong", () => {
    const value = {
      apiVersion: "sluice.dev/v1alpha1",
      kind: "XdpCidrSet",
      metadata: { name: "a" },
      spec: { cidrs: Array<number>(250_000).fill(1) },
    };
    const { problems } = admit({ value, origin: { source: "test.yaml" } }, NOW_MS);
    assert.equal(problems.length, 51);
  });
});

describe("the digest of an object", () => {
  const policy = (spec: string, metadata = "name: edge") =>
    admitPolicy(spec, metadata).admitted?.digest;

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
