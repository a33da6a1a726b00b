/** What the generators promise: same seed, same case; valid objects; every field, every verdict. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { assertAcceptable } from "./acceptable.js";
import { generateCase } from "./generate.js";
import { judge } from "./judge.js";
import { endsOf } from "./packet.js";
import { expectedOn } from "./subject.js";

const CASES = Array.from({ length: 600 }, (_, index) => generateCase(42, index, 40));
const JUDGED = CASES.flatMap(({ cluster, node, packets }) =>
  packets.map((packet) => ({
    cluster,
    packet,
    ends: endsOf(cluster, packet),
    judgement: judge(cluster, packet),
    expected: expectedOn(cluster, node, packet),
  })),
);

/** Of all packets. */
function shareOf(isCounted: (judged: (typeof JUDGED)[number]) => boolean): number {
  return JUDGED.filter(isCounted).length / JUDGED.length;
}

/** Every path in the objects, with list places and label keys left out. */
function pathsOf(value: unknown, path = ""): readonly string[] {
  if (Array.isArray(value)) {
    return value.length === 0
      ? [`${path}[empty]`]
      : value.flatMap((entry) => pathsOf(entry, `${path}[]`));
  }
  if (typeof value !== "object" || value === null) {
    return [path];
  }
  if (/(matchLabels|labels|annotations)$/.test(path)) {
    return [path];
  }
  const entries = Object.entries(value);
  return entries.length === 0
    ? [`${path}{}`]
    : entries.flatMap(([key, entry]) => pathsOf(entry, path === "" ? key : `${path}.${key}`));
}

const SELECTOR = [
  "{}",
  ".matchLabels",
  ".matchExpressions[].operator",
  ".matchExpressions[].values[]",
];
const withSelector = (path: string) => SELECTOR.map((end) => path + end);

const NETWORK_POLICY_PATHS = [
  ...withSelector("spec.podSelector"),
  ...["spec.policyTypes[]", "spec.policyTypes[empty]", "metadata.annotations"],
  ...["spec.ingress[empty]", "spec.egress[empty]", "spec.ingress[]{}", "spec.egress[]{}"],
  ...["spec.ingress[].from", "spec.egress[].to"].flatMap((peers) => [
    `${peers}[empty]`,
    ...withSelector(`${peers}[].podSelector`),
    ...withSelector(`${peers}[].namespaceSelector`),
    ...[`${peers}[].ipBlock.cidr`, `${peers}[].ipBlock.except[]`],
  ]),
  ...["spec.ingress[].ports", "spec.egress[].ports"].flatMap((ports) =>
    ["[empty]", "[].protocol", "[].port", "[].endPort"].map((end) => ports + end),
  ),
];

const CLUSTER_POLICY_PATHS = [
  ...["spec.tier", "spec.priority", "metadata.annotations", "spec.ingress[empty]"],
  ...["spec.subject", "spec.ingress[].from[]", "spec.egress[].to[]"].flatMap((place) => [
    ...withSelector(`${place}.namespaces`),
    ...withSelector(`${place}.pods.namespaceSelector`),
    ...withSelector(`${place}.pods.podSelector`),
  ]),
  ...["spec.ingress[].from[].services{}", "spec.egress[].to[].services{}"],
  ...["spec.egress[].to[].networks[]", "spec.egress[].to[].domainNames[]"],
  ...withSelector("spec.egress[].to[].nodes"),
  ...["spec.ingress[]", "spec.egress[]"].flatMap((rule) => [
    ...[`${rule}.name`, `${rule}.action`, `${rule}.protocols[].destinationNamedPort`],
    ...["tcp", "udp", "sctp"].flatMap((protocol) =>
      ["number", "range.start", "range.end"].map(
        (end) => `${rule}.protocols[].${protocol}.destinationPort.${end}`,
      ),
    ),
  ]),
];

const POD_PATHS = [
  "metadata.deletionTimestamp",
  ...["metadata.labels", "spec.hostNetwork", "spec.nodeName", "status.phase", "status.podIPs[].ip"],
  ...["containers[].ports[].name", "containers[].ports[].protocol"].map((end) => `spec.${end}`),
  ...["spec.initContainers[].restartPolicy", "spec.initContainers[].ports[].name"],
];

function missing(objects: readonly unknown[], wanted: readonly string[]): readonly string[] {
  const seen = new Set(objects.flatMap((object) => pathsOf(object)));
  return wanted.filter((path) => !seen.has(path));
}

describe("a case", () => {
  it("is the same for the same seed and another for another", () => {
    assert.deepEqual(generateCase(42, 3, 40), CASES[3]);
    assert.notDeepEqual(generateCase(41, 3, 40).cluster, CASES[3]?.cluster);
  });

  it("has the same cluster, and packets that begin the same, whatever their number", () => {
    const { cluster, packets } = generateCase(42, 3, 7);
    assert.deepEqual(cluster, CASES[3]?.cluster);
    assert.deepEqual(packets, CASES[3]?.packets.slice(0, 7));
  });

  it("is one that the API server would accept", () => {
    CASES.forEach(assertAcceptable);
  });
});

describe("the generators hit every field", () => {
  it("of NetworkPolicies", () => {
    const policies = CASES.flatMap(({ cluster }) => cluster.networkPolicies);
    assert.deepEqual(missing(policies, NETWORK_POLICY_PATHS), []);
    const spec = policies.map((policy) => policy.spec ?? {});
    for (const field of ["podSelector", "policyTypes", "ingress", "egress"] as const) {
      assert.ok(
        spec.some((one) => one[field] === undefined),
        `${field} is never missing`,
      );
    }
    const ports = spec.flatMap(({ ingress = [] }) => ingress.flatMap((rule) => rule.ports ?? []));
    assert.ok(ports.some(({ port }) => typeof port === "string"));
    assert.ok(ports.some(({ port, endPort }) => port !== undefined && port === endPort));
  });

  it("of ClusterNetworkPolicies", () => {
    const policies = CASES.flatMap(({ cluster }) => cluster.clusterNetworkPolicies);
    assert.deepEqual(missing(policies, CLUSTER_POLICY_PATHS), []);
  });

  it("of pods, with one number on one pod and another on another for the same name", () => {
    const pods = CASES.flatMap(({ cluster }) => cluster.pods);
    assert.deepEqual(missing(pods, POD_PATHS), []);
    const numbersIn = ({ cluster }: (typeof CASES)[number]) =>
      cluster.pods
        .flatMap(({ spec }) => spec.containers.flatMap(({ ports }) => ports ?? []))
        .filter(({ name }) => name === "web")
        .map(({ containerPort }) => containerPort);
    assert.ok(CASES.filter((one) => new Set(numbersIn(one)).size > 1).length > CASES.length / 2);
  });
});

describe("the packets", () => {
  it("are allowed and denied in balance", () => {
    const allowed = shareOf(({ expected }) => expected.allowed);
    assert.ok(allowed > 0.2 && allowed < 0.8, `${allowed}`);
  });

  for (const by of ["Admin", "NetworkPolicy", "Baseline"] as const) {
    it(`are decided by the tier ${by} often enough, each way and in each direction`, () => {
      const names = by === "NetworkPolicy" ? [by, "isolation"] : [by];
      const share = shareOf(({ expected }) =>
        expected.directions.some(([, verdict]) => names.includes(verdict.by)),
      );
      assert.ok(share > 0.05, `${share}`);
      for (const direction of ["egress", "ingress"] as const) {
        for (const allowed of [true, false]) {
          const part = shareOf(({ expected }) =>
            expected.directions.some(
              ([name, verdict]) =>
                name === direction && names.includes(verdict.by) && verdict.allowed === allowed,
            ),
          );
          assert.ok(part > 0.01, `${direction} ${allowed} ${part}`);
        }
      }
    });
  }

  it("are of both families and of every protocol, and go between all kinds of ends", () => {
    const shares = {
      IPv4: shareOf(({ ends }) => ends.source.address.family === 4),
      IPv6: shareOf(({ ends }) => ends.source.address.family === 6),
      TCP: shareOf(({ packet }) => packet.protocol === "TCP"),
      UDP: shareOf(({ packet }) => packet.protocol === "UDP"),
      SCTP: shareOf(({ packet }) => packet.protocol === "SCTP"),
      others: shareOf(({ packet }) => packet.destinationPort === undefined),
      "pod to pod": shareOf(({ ends }) => !!ends.source.pod && !!ends.destination.pod),
      "to no pod": shareOf(({ ends }) => ends.destination.pod === undefined),
      "from no pod": shareOf(({ ends }) => ends.source.pod === undefined),
    };
    assert.deepEqual(
      Object.entries(shares).filter(([, share]) => share < 0.03),
      [],
    );
  });

  it("meet every fixed rule, and differ in what policies in audit mode would do", () => {
    for (const reason of ["own-pod", "own-node", "neighbour-discovery"] as const) {
      const share = shareOf(({ expected }) =>
        expected.directions.some(([, one]) => one.by === "fixed" && one.reason === reason),
      );
      assert.ok(share > 0.002, `${reason} ${share}`);
    }
    assert.ok(shareOf(({ judgement }) => judgement.allowed && !judgement.audit.allowed) > 0.02);
    assert.ok(shareOf(({ judgement }) => !judgement.allowed && judgement.audit.allowed) > 0.005);
  });
});
