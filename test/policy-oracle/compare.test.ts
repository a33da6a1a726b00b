/** Wrong implementations are found, and the case that shows it is small and readable. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { compareWith, type Finding } from "./compare.js";
import { without } from "./features.js";
import type { Cluster, NetworkPolicy, Pod } from "./manifests.js";
import { describeFinding } from "./report.js";
import { expectedOn, isAnswer, oracleSubject, type PolicySubject } from "./subject.js";

const RUN = { cases: 20_000, seed: 1, packetsPerCluster: 50 };

async function firstFinding(subject: PolicySubject): Promise<Finding> {
  const { findings } = await compareWith(subject, RUN);
  const [finding] = findings;
  assert.ok(finding !== undefined, "nothing was found");
  assert.ok(finding.isReproducible);
  return finding;
}

function count({ policyCase: { cluster, packets } }: Finding) {
  return {
    pods: cluster.pods.length,
    policies: cluster.networkPolicies.length + cluster.clusterNetworkPolicies.length,
    packets: packets.length,
  };
}

function withPolicies(change: (policy: NetworkPolicy) => NetworkPolicy) {
  return (cluster: Cluster): Cluster => ({
    ...cluster,
    networkPolicies: cluster.networkPolicies.map(change),
  });
}

function withPods(change: (pod: Pod) => Pod) {
  return (cluster: Cluster): Cluster => ({ ...cluster, pods: cluster.pods.map(change) });
}

describe("the comparison", () => {
  it("finds nothing in the oracle itself", async () => {
    const { findings, agreed, clusters, decided } = await compareWith(oracleSubject(), RUN);
    assert.equal(findings.map(describeFinding).join("\n"), "");
    assert.deepEqual([agreed, clusters], [20_000, 400]);
    assert.deepEqual(
      [...decided.keys()].filter((key) => /Admin|Baseline|isolation/.test(key)).sort(),
      ["egress", "ingress"].flatMap((direction) => [
        `${direction} Admin allows`,
        `${direction} Admin denies`,
        `${direction} Baseline allows`,
        `${direction} Baseline denies`,
        `${direction} isolation denies`,
      ]),
    );
  });

  for (const field of [
    ...["except", "endPort", "namespaceSelector", "matchExpressions", "policyTypes", "ports"],
    ...["nodes", "networks", "protocols", "hostNetwork", "phase", "annotations", "ipBlock"],
    ...["destinationNamedPort", "range", "initContainers", "protocol", "priority"],
  ]) {
    it(`finds an implementation that knows no ${field}`, async () => {
      const finding = await firstFinding(oracleSubject((cluster) => without(cluster, field)));
      const { pods, policies, packets } = count(finding);
      assert.equal(packets, 1);
      assert.ok(pods <= 2, `${pods} pods`);
      assert.ok(policies <= 3, `${policies} policies`);
      // What it does not know is all that it takes.
      assert.match(describeFinding(finding), new RegExp(`\\b${field}:`));
    });
  }

  it("finds a named port that is looked up on another pod", async () => {
    const finding = await firstFinding(
      oracleSubject((cluster) => {
        const [first] = cluster.pods;
        const containers = first?.spec.containers ?? [];
        return withPods((pod) => ({ ...pod, spec: { ...pod.spec, containers } }))(cluster);
      }),
    );
    assert.deepEqual(count(finding).packets, 1);
    assert.match(describeFinding(finding), /containerPort/);
  });

  it("finds an implementation that ignores fields of a newer version", async () => {
    const finding = await firstFinding(
      oracleSubject((cluster) => ({
        ...cluster,
        clusterNetworkPolicies: JSON.parse(
          JSON.stringify(cluster.clusterNetworkPolicies).replaceAll(
            '{"services":{}}',
            '{"domainNames":["a.example"]}',
          ),
        ) as Cluster["clusterNetworkPolicies"],
      })),
    );
    assert.match(describeFinding(finding), /- services: \{\}/);
  });

  it("finds a pod of which one address is not known", async () => {
    const finding = await firstFinding(
      oracleSubject(
        withPods(({ status, ...pod }) => ({
          ...pod,
          status: { ...status, podIPs: status?.podIPs?.slice(0, 1) ?? [] },
        })),
      ),
    );
    assert.equal(count(finding).packets, 1);
  });

  it("finds a wrong name behind a right verdict", async () => {
    const finding = await firstFinding(
      oracleSubject(
        withPolicies((policy) => ({
          ...policy,
          metadata: { ...policy.metadata, name: policy.metadata.name.replace("b-", "c-") },
        })),
      ),
    );
    const text = describeFinding(finding);
    assert.match(text, /oracle: {2}(allowed|denied): .*\/b-/);
    assert.match(text, /subject: (allowed|denied): .*\/c-/);
  });

  it("reports the manifests, the packet, both answers and how to get the case again", async () => {
    const text = describeFinding(
      await firstFinding(oracleSubject((one) => without(one, "except"))),
    );
    assert.match(text, /^mismatch in case \d+ of seed 1 with 50 packets per cluster$/m);
    assert.match(text, /^ {2}oracle: {2}(allowed|denied): (in|e)gress /m);
    assert.match(text, /^ {2}packet: .*→.* protocol /m);
    assert.match(text, /^ {2}kind: NetworkPolicy$/m);
    assert.match(text, /^ {2}kind: Pod$/m);
    assert.match(text, /except:/);
  });

  it("finds the same case again by its number", async () => {
    const subject = oracleSubject((one) => without(one, "endPort"));
    const finding = await firstFinding(subject);
    const { findings } = await compareWith(subject, {
      ...RUN,
      cases: RUN.packetsPerCluster,
      firstCase: finding.index,
    });
    assert.deepEqual(findings[0]?.policyCase, finding.policyCase);
  });

  it("reports what the subject throws", async () => {
    const oracle = oracleSubject();
    const atPacket = await firstFinding({
      ...oracle,
      judge: (packet) =>
        packet.protocol === "SCTP" ? Promise.reject(new Error("no SCTP")) : oracle.judge(packet),
    });
    assert.match(describeFinding(atPacket), /the subject threw: Error: no SCTP/);
    const atLoad = await firstFinding({
      ...oracle,
      load: (cluster, node) =>
        cluster.clusterNetworkPolicies.length > 1
          ? Promise.reject(new Error("too many"))
          : oracle.load(cluster, node),
    });
    assert.equal(atLoad.policyCase.cluster.clusterNetworkPolicies.length, 2);
    assert.match(describeFinding(atLoad), /the subject refused the cluster: Error: too many/);
  });

  it("says when a failure does not come again", async () => {
    const oracle = oracleSubject();
    let calls = 0;
    const { findings } = await compareWith(
      {
        ...oracle,
        async judge(packet) {
          calls += 1;
          const answer = await oracle.judge(packet);
          return calls === 77 ? { allowed: !answer.allowed } : answer;
        },
      },
      RUN,
    );
    assert.equal(findings[0]?.isReproducible, false);
    assert.match(describeFinding(findings[0]), /did not fail/);
  });
});

describe("an answer", () => {
  const pod = (name: string, node: string, ip: string): Pod => ({
    metadata: { name, namespace: "web" },
    spec: { nodeName: node, containers: [{ name: "main" }] },
    status: { phase: "Running", podIPs: [{ ip }] },
  });
  const deny = (name: string): NetworkPolicy => ({
    metadata: { name, namespace: "web" },
    spec: { podSelector: {}, policyTypes: ["Ingress"] },
  });
  const cluster: Cluster = {
    namespaces: [{ metadata: { name: "web" } }],
    nodes: [{ metadata: { name: "one" } }, { metadata: { name: "two" } }],
    pods: [pod("a", "one", "10.0.0.1"), pod("b", "two", "10.0.0.2")],
    networkPolicies: [deny("z"), deny("a")],
    clusterNetworkPolicies: [],
  };
  const packet = { source: "10.0.0.1", destination: "10.0.0.2", protocol: 47 } as const;

  it("is of the node's own pods: the source's node allows what the destination's denies", () => {
    assert.ok(isAnswer(expectedOn(cluster, "one", packet), { allowed: true }));
    assert.ok(!isAnswer(expectedOn(cluster, "two", packet), { allowed: true }));
  });

  it("names all policies that isolate, or is wrong", () => {
    const expected = expectedOn(cluster, "two", packet);
    const answer = { allowed: false, policy: "isolation", rule: "ingress: web/a, web/z" };
    assert.ok(isAnswer(expected, answer));
    assert.ok(!isAnswer(expected, { ...answer, rule: "ingress: web/a" }));
    assert.ok(!isAnswer(expected, { allowed: false }));
  });

  it("names no policy when none decides, but may name a rule that is always there", () => {
    const expected = expectedOn(cluster, "one", packet);
    assert.ok(isAnswer(expected, { allowed: true, policy: "node" }));
    assert.ok(!isAnswer(expected, { allowed: true, policy: "NetworkPolicy web/a" }));
  });
});
