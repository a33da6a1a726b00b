import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parse } from "yaml";
import { formatCidr } from "./cidr-format.js";
import { Interner } from "./interner.js";
import { projectClusterObject } from "./project-cluster.js";

const ORIGIN = { source: "api" };
const HEAD = "tier: Admin, priority: 10, subject: {namespaces: {}}";

/** The text is a flow mapping of YAML without braces. */
function project(spec: string, metadata = "") {
  const yaml = `{metadata: {name: a${metadata}}, spec: {${spec}}}`;
  return projectClusterObject("ClusterNetworkPolicy", parse(yaml), ORIGIN, new Interner());
}

function policy(spec: string) {
  const { draft, problems } = project(spec);
  assert.ok(draft !== undefined, JSON.stringify(problems));
  return { ...draft, problems };
}

function refused(spec: string) {
  const { draft, problems } = project(spec);
  assert.equal(draft, undefined, spec);
  return problems.map(({ code, field }) => `${code} ${field}`);
}

const egress = (rule: string) =>
  policy(`${HEAD}, egress: [{${rule.includes("action") ? "" : "action: Deny, "}${rule}}]`);
const refusedEgress = (rule: string) =>
  refused(`${HEAD}, egress: [{${rule.includes("action") ? "" : "action: Deny, "}${rule}}]`);

describe("a ClusterNetworkPolicy", () => {
  it("gives its place, its subject and its rules", () => {
    const { problems, ...draft } = policy(
      `tier: Baseline, priority: 1000,
       subject: {pods: {namespaceSelector: {matchLabels: {team: a}}, podSelector: {}}},
       ingress: [{name: web, action: Pass, from: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}}],
         protocols: [{tcp: {destinationPort: {number: 80}}}, {udp: {destinationPort: {range: {start: 1, end: 2}}}}, {destinationNamedPort: http}]}],
       egress: [{action: Accept, to: [{namespaces: {matchLabels: {team: b}}}]}]`,
    );
    assert.deepEqual(problems, []);
    assert.deepEqual(draft, {
      kind: "ClusterNetworkPolicy",
      name: "a",
      mode: "Enforce",
      tier: "Baseline",
      priority: 1000,
      subject: { namespaceSelector: { matchLabels: { team: "a" } }, podSelector: {} },
      ingress: [
        {
          name: "web",
          action: "Pass",
          peers: [
            { kind: "pods", namespaceSelector: {}, podSelector: { matchLabels: { app: "web" } } },
          ],
          protocols: [
            { kind: "tcp", destinationPort: { start: 80, end: 80 } },
            { kind: "udp", destinationPort: { start: 1, end: 2 } },
            { kind: "namedPort", name: "http" },
          ],
        },
      ],
      egress: [
        {
          name: "",
          action: "Accept",
          peers: [
            { kind: "pods", namespaceSelector: { matchLabels: { team: "b" } }, podSelector: {} },
          ],
          protocols: [],
        },
      ],
    });
  });

  it("has egress peers of nodes, networks and domain names", () => {
    const { problems, egress: rules } = egress(
      "to: [{nodes: {}}, {networks: [10.1.2.3/8, '::/0']}, {domainNames: ['*.example.com']}]",
    );
    assert.deepEqual(
      problems.map(({ severity, code, field }) => [severity, code, field]),
      [["warning", "SLUICE_NOT_SUPPORTED", "spec.egress[0].to[2].domainNames"]],
    );
    const peers = rules[0]!.peers.map((peer) =>
      peer.kind === "cidr" ? [formatCidr(peer.cidr), peer.except] : peer,
    );
    assert.deepEqual(peers, [
      { kind: "nodes", selector: {} },
      ["10.0.0.0/8", []],
      ["::/0", []],
      { kind: "domainNames", names: ["*.example.com"] },
    ]);
  });

  it("keeps what it does not know as such, to fail closed (C10)", () => {
    const { problems, egress: rules } = egress(
      `to: [{}, {services: {}}, {pods: {podSelector: {}}, future: 1}],
       protocols: [{}, {icmp: {type: 8}}, {tcp: {}}, {tcp: {flags: x}}, {tcp: {destinationPort: {}}}]`,
    );
    const [rule] = rules;
    assert.deepEqual(rule?.peers, [
      { kind: "unknown", fields: [] },
      { kind: "unknown", fields: ["services"] },
      { kind: "pods", namespaceSelector: {}, podSelector: {} },
    ]);
    assert.deepEqual(rule.protocols, [
      { kind: "unknown", fields: [] },
      { kind: "unknown", fields: ["icmp"] },
      { kind: "unknown", fields: [] },
      { kind: "unknown", fields: ["flags"] },
      { kind: "unknown", fields: [] },
    ]);
    assert.deepEqual(
      problems.map(({ severity, field }) => `${severity} ${field}`),
      [
        "warning spec.egress[0].to[0]",
        "warning spec.egress[0].to[1]",
        "warning spec.egress[0].protocols[0]",
        "warning spec.egress[0].protocols[1]",
        "warning spec.egress[0].protocols[2].tcp",
        "warning spec.egress[0].protocols[3].tcp",
        "warning spec.egress[0].protocols[4].tcp.destinationPort",
      ],
    );
  });

  it("has no nodes, networks and domain names on ingress", () => {
    const { ingress, problems } = policy(
      `${HEAD}, ingress: [{action: Accept, from: [{networks: [10.0.0.0/8]}]}]`,
    );
    assert.deepEqual(ingress[0]?.peers, [{ kind: "unknown", fields: ["networks"] }]);
    assert.equal(problems.length, 1);
  });

  it("is audited when its annotation says so", () => {
    const { draft } = project(HEAD, ", annotations: {sluice.dev/mode: audit}");
    assert.equal(draft?.mode, "Audit");
  });

  it("is refused with each field that is wrong", () => {
    assert.deepEqual(refused(""), [
      "SLUICE_SCHEMA spec.tier",
      "SLUICE_SCHEMA spec.priority",
      "SLUICE_RULE spec.subject",
    ]);
    assert.deepEqual(
      refused("tier: Network, priority: 1001, subject: {namespaces: {}, pods: {}}"),
      ["SLUICE_SCHEMA spec.tier", "SLUICE_SCHEMA spec.priority", "SLUICE_RULE spec.subject.pods"],
    );
    const rule = "spec.egress[0]";
    const rows: readonly (readonly [yaml: string, ...problems: string[]])[] = [
      ["to: []", `SLUICE_RULE ${rule}.to`],
      ["to: [{networks: []}]", `SLUICE_RULE ${rule}.to[0].networks`],
      ["to: [{domainNames: []}]", `SLUICE_RULE ${rule}.to[0].domainNames`],
      ["action: Allow, to: [{pods: {}}]", `SLUICE_SCHEMA ${rule}.action`],
      ["to: [{pods: {}, nodes: {}}]", `SLUICE_RULE ${rule}.to[0].nodes`],
      ["to: [{networks: [10.0.0.0]}]", `SLUICE_CIDR ${rule}.to[0].networks[0]`],
      [
        "to: [{networks: [10.0.0.0/8]}], protocols: [{destinationNamedPort: x}]",
        `SLUICE_RULE ${rule}.protocols`,
      ],
      [
        "to: [{pods: {}}], protocols: [{tcp: {destinationPort: {range: {start: 5, end: 5}}}}]",
        `SLUICE_RULE ${rule}.protocols[0].tcp.destinationPort.range.end`,
      ],
      [
        "to: [{pods: {}}], protocols: [{tcp: {destinationPort: {range: {start: 5}}}}]",
        `SLUICE_SCHEMA ${rule}.protocols[0].tcp.destinationPort.range.end`,
      ],
      [
        "to: [{pods: {}}], protocols: [{sctp: {destinationPort: {number: 1, range: {start: 1, end: 2}}}}]",
        `SLUICE_RULE ${rule}.protocols[0].sctp.destinationPort`,
      ],
    ];
    for (const [yaml, ...problems] of rows) assert.deepEqual(refusedEgress(yaml), problems, yaml);
  });
});
