import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parse } from "yaml";
import { formatCidr } from "./cidr-format.js";
import { Interner } from "./interner.js";
import { projectClusterObject } from "./project-cluster.js";
import type { LabelSelector } from "./records.js";

const ORIGIN = { source: "api" };

function project(yaml: string) {
  return projectClusterObject("NetworkPolicy", parse(yaml), ORIGIN, new Interner());
}

/** The text is a flow mapping of YAML without braces. */
function policy(spec: string, metadata = "") {
  const { draft, problems } = project(
    `{metadata: {name: a, namespace: x${metadata}}, spec: {${spec}}}`,
  );
  assert.ok(draft !== undefined, JSON.stringify(problems));
  assert.deepEqual(problems, []);
  return draft;
}

function refused(spec: string, metadata = "") {
  const { draft, problems } = project(`{metadata: {name: a${metadata}}, spec: {${spec}}}`);
  assert.equal(draft, undefined, spec);
  return problems.map(({ code, field }) => `${code} ${field}`);
}

const peersOf = (peers: string) => policy(`ingress: [{from: [${peers}]}]`).ingress![0]!.peers;
const portsOf = (ports: string) => policy(`ingress: [{ports: [${ports}]}]`).ingress![0]!.protocols;
const selects = (namespaceSelector: LabelSelector | undefined, podSelector: LabelSelector) =>
  ({ kind: "pods", namespaceSelector, podSelector }) as const;

describe("a NetworkPolicy", () => {
  it("gives whom it selects and what it allows", () => {
    const draft = policy(
      `podSelector: {matchLabels: {app: db}, matchExpressions: [{key: tier, operator: In, values: [a, b]}, {key: old, operator: DoesNotExist}]},
       policyTypes: [Ingress, Egress],
       ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 5432}]}],
       egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}]}]`,
    );
    assert.deepEqual(draft, {
      kind: "NetworkPolicy",
      namespace: "x",
      name: "a",
      mode: "Enforce",
      podSelector: {
        matchLabels: { app: "db" },
        matchExpressions: [
          { key: "tier", operator: "In", values: ["a", "b"] },
          { key: "old", operator: "DoesNotExist" },
        ],
      },
      ingress: [
        {
          peers: [selects(undefined, { matchLabels: { app: "web" } })],
          protocols: [{ kind: "tcp", destinationPort: { start: 5432, end: 5432 } }],
        },
      ],
      egress: [
        {
          peers: [
            {
              kind: "cidr",
              cidr: { family: 4, address: 0x0a000000, length: 8 },
              except: [{ family: 4, address: 0x0a010000, length: 16 }],
            },
          ],
          protocols: [],
        },
      ],
    });
  });

  it("isolates by its types, or by what it has (N2, N5, N6)", () => {
    const rows: readonly (readonly [
      spec: string,
      ingress: number | undefined,
      egress: number | undefined,
    ])[] = [
      ["", 0, undefined],
      ["podSelector: {}", 0, undefined],
      ["policyTypes: []", 0, undefined],
      ["egress: []", 0, undefined],
      ["egress: [{}]", 0, 1],
      ["ingress: [{}], egress: [{}, {}]", 1, 2],
      ["policyTypes: [Ingress], egress: [{}]", 0, undefined],
      ["policyTypes: [Egress], ingress: [{}]", undefined, 0],
      ["policyTypes: [Egress, Egress]", undefined, 0],
      ["policyTypes: [Ingress, Egress]", 0, 0],
    ];
    for (const [spec, ingress, egress] of rows) {
      const read = policy(spec);
      assert.deepEqual([read.ingress?.length, read.egress?.length], [ingress, egress], spec);
    }
  });

  it("selects all pods of its namespace without podSelector (N7)", () => {
    assert.deepEqual(policy("").podSelector, {});
    assert.deepEqual(
      policy("podSelector: {matchLabels: {}, matchExpressions: []}").podSelector,
      {},
    );
  });

  it("has rules that allow anything when peers or ports are missing (N8, N9)", () => {
    for (const rule of ["{}", "{from: [], ports: []}", "{from: null, ports: null}"]) {
      assert.deepEqual(policy(`ingress: [${rule}]`).ingress, [{ peers: [], protocols: [] }]);
    }
  });

  it("keeps the namespaces of peers apart (N12 to N14)", () => {
    const app = { matchLabels: { app: "web" } };
    const team = { matchLabels: { team: "a" } };
    const appYaml = "podSelector: {matchLabels: {app: web}}";
    const teamYaml = "namespaceSelector: {matchLabels: {team: a}}";
    assert.deepEqual(peersOf("{podSelector: {}}"), [selects(undefined, {})]);
    assert.deepEqual(peersOf("{namespaceSelector: {}}"), [selects({}, {})]);
    assert.deepEqual(peersOf(`{${appYaml}, ${teamYaml}}`), [selects(team, app)]);
    assert.deepEqual(peersOf(`{${appYaml}}, {${teamYaml}}`), [
      selects(undefined, app),
      selects(team, {}),
    ]);
  });

  it("reads blocks in whatever form they were taken (N18, N19)", () => {
    const [peer] = peersOf("{ipBlock: {cidr: 10.161.0.0/8, except: [010.161.3.4/16]}}");
    assert.ok(peer?.kind === "cidr");
    assert.equal(formatCidr(peer.cidr), "10.0.0.0/8");
    assert.deepEqual(peer.except.map(formatCidr), ["10.161.0.0/16"]);
  });

  it("reads ports by number, range and name (N25 to N29)", () => {
    assert.deepEqual(portsOf("{}"), [{ kind: "tcp" }]);
    assert.deepEqual(portsOf("{protocol: SCTP}"), [{ kind: "sctp" }]);
    assert.deepEqual(portsOf("{protocol: UDP, port: 53}"), [
      { kind: "udp", destinationPort: { start: 53, end: 53 } },
    ]);
    assert.deepEqual(portsOf("{port: 80, endPort: 84}, {port: 90, endPort: 90}"), [
      { kind: "tcp", destinationPort: { start: 80, end: 84 } },
      { kind: "tcp", destinationPort: { start: 90, end: 90 } },
    ]);
    assert.deepEqual(portsOf("{port: dns, protocol: UDP}"), [
      { kind: "namedPort", name: "dns", protocol: "udp" },
    ]);
  });

  it("is audited when its annotation says so", () => {
    const mode = (text: string) => policy("", `, annotations: {sluice.dev/mode: ${text}}`).mode;
    assert.equal(mode("audit"), "Audit");
    assert.equal(mode("enforce"), "Enforce");
  });

  it("is enforced when its annotation says something else, with a warning", () => {
    const { draft, problems } = project(
      "{metadata: {name: a, annotations: {sluice.dev/mode: Audit}}, spec: {}}",
    );
    assert.equal(draft?.mode, "Enforce");
    assert.deepEqual(
      problems.map(({ severity, code, field }) => [severity, code, field]),
      [["warning", "SLUICE_RULE", 'metadata.annotations["sluice.dev/mode"]']],
    );
  });

  it("is refused for what the API server refuses", () => {
    const peer = "spec.ingress[0].from[0]";
    const rows: readonly (readonly [spec: string, ...problems: string[]])[] = [
      ["ingress: [{from: [{}]}]", `SLUICE_RULE ${peer}`],
      [
        "ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}]}]",
        `SLUICE_RULE ${peer}`,
      ],
      ["ingress: [{from: [{ipBlock: {}}]}]", `SLUICE_SCHEMA ${peer}.ipBlock.cidr`],
      ["ingress: [{from: [{ipBlock: {cidr: 10.0.0.1}}]}]", `SLUICE_CIDR ${peer}.ipBlock.cidr`],
      [
        "ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/8, 11.0.0.0/16, 'fd00::/16', x, 10.0.0.0/7]}}]}]",
        `SLUICE_EXCEPT ${peer}.ipBlock.except[0]`,
        `SLUICE_EXCEPT ${peer}.ipBlock.except[1]`,
        `SLUICE_EXCEPT ${peer}.ipBlock.except[2]`,
        `SLUICE_CIDR ${peer}.ipBlock.except[3]`,
        `SLUICE_EXCEPT ${peer}.ipBlock.except[4]`,
      ],
      ["ingress: [{ports: [{protocol: ICMP}]}]", "SLUICE_SCHEMA spec.ingress[0].ports[0].protocol"],
      [
        "ingress: [{ports: [{port: 80, endPort: 79}]}]",
        "SLUICE_RULE spec.ingress[0].ports[0].endPort",
      ],
      [
        "ingress: [{ports: [{port: x, endPort: 79}]}]",
        "SLUICE_RULE spec.ingress[0].ports[0].endPort",
      ],
      ["ingress: [{ports: [{endPort: 79}]}]", "SLUICE_RULE spec.ingress[0].ports[0].endPort"],
      ["ingress: [{ports: [{port: 0}]}]", "SLUICE_SCHEMA spec.ingress[0].ports[0].port"],
      ["policyTypes: [ingress]", "SLUICE_SCHEMA spec.policyTypes[0]"],
      // In a direction that has no effect as well.
      ["policyTypes: [Egress], ingress: [3]", "SLUICE_SCHEMA spec.ingress[0]"],
      [
        "podSelector: {matchExpressions: [{key: a, operator: In}, {key: b, operator: Exists, values: [c]}, {operator: Exists}, {key: d, operator: Gt}, {key: e}]}",
        "SLUICE_RULE spec.podSelector.matchExpressions[0].values",
        "SLUICE_RULE spec.podSelector.matchExpressions[1].values",
        "SLUICE_SCHEMA spec.podSelector.matchExpressions[2].key",
        "SLUICE_SCHEMA spec.podSelector.matchExpressions[3].operator",
        "SLUICE_SCHEMA spec.podSelector.matchExpressions[4].operator",
      ],
    ];
    for (const [spec, ...problems] of rows) assert.deepEqual(refused(spec), problems, spec);
  });
});
