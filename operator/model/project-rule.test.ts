import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { admitRule, admitYaml, errorsOf } from "../../test/support/admission.js";

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
      const found = errorsOf(admission);
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
