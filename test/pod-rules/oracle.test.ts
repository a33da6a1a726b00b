/** The compiled rules give the verdicts and names of the oracle, and the tables of the public suites. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { compilePodRules, type PodRules } from "../../operator/compile/pod-rules.js";
import { PodRulesCache } from "../../operator/compile/pod-rules-cache.js";
import { memberKey, type SetContent } from "../../operator/compile/set-content.js";
import type { Family } from "../policy-oracle/address.js";
import { compareWith } from "../policy-oracle/compare.js";
import { CompiledSubject } from "./compiled-subject.js";
import { generateCase } from "../policy-oracle/generate.js";
import { describeFinding } from "../policy-oracle/report.js";
import { isDenied, loadSpecs, parseProbe, type Spec } from "../policy-oracle/spec.js";
import { inFamily, openSpec, type SpecState, takeStep } from "../policy-oracle/spec-cluster.js";

/** All pairs on which the rules of all nodes and the table differ, as `TCP 80 xa -> yb`. */
async function differences(
  spec: Spec,
  family: Family,
  nodes: ReadonlyMap<string, CompiledSubject>,
): Promise<readonly string[]> {
  const wrong: string[] = [];
  let state: SpecState = openSpec(spec);
  for (const [index, step] of spec.steps.entries()) {
    state = takeStep(state, step, family);
    for (const [node, subject] of nodes) await subject.load(state.cluster, node);
    const addresses = inFamily(state.addresses, family);
    const pods = [...addresses.keys()];
    for (const { probes, denied } of step.expect) {
      for (const probe of probes) {
        const [protocol, destinationPort] = parseProbe(probe);
        for (const source of pods) {
          for (const destination of pods.filter((pod) => pod !== source)) {
            const ends = { source: keyOf(source), destination: keyOf(destination) };
            const packet = { ...ends, family, protocol, destinationPort };
            const allowed = [...nodes.values()].every((subject) => subject.judge(packet).allowed);
            if (allowed === isDenied(denied, source, destination, addresses)) {
              wrong.push(`step ${index + 1}: ${probe} ${source} -> ${destination}`);
            }
          }
        }
      }
    }
  }
  return wrong;
}

function keyOf(pod: string): string {
  return `${pod.slice(0, -1)}/${pod.slice(-1)}`;
}

for (const file of ["e2e", "cyclonus"] as const) {
  describe(`the tables of ${file}`, () => {
    const nodes = new Map([1, 2, 3, 4].map((number) => [`node-${number}`, new CompiledSubject()]));
    for (const spec of loadSpecs(file)) {
      it(`${spec.id}: ${spec.name}`, async () => {
        assert.deepEqual(await differences(spec, 4, nodes), []);
        assert.deepEqual(await differences(spec, 6, nodes), []);
      });
    }
  });
}

describe("random clusters, policies and packets", () => {
  it("are judged as the oracle judges them, and by the same names", async () => {
    const { findings, agreed, decided } = await compareWith(new CompiledSubject(), {
      cases: 40_000,
      seed: 20,
      packetsPerCluster: 40,
    });
    assert.equal(findings.map(describeFinding).join("\n"), "");
    assert.equal(agreed, 40_000);
    for (const direction of ["ingress", "egress"]) {
      for (const by of [
        "Admin denies",
        "Admin allows",
        "NetworkPolicy allows",
        "isolation denies",
      ]) {
        assert.ok((decided.get(`${direction} ${by}`) ?? 0) > 200, `${direction} ${by}`);
      }
      assert.ok((decided.get(`${direction} Baseline denies`) ?? 0) > 100);
    }
  });

  it("a cache of other clusters changes nothing", async () => {
    const subject = new CompiledSubject();
    for (let index = 0; index < 300; index++) {
      const { cluster, node } = generateCase(21, index, 1);
      await subject.load(cluster, node);
      const fresh = compilePodRules(subject.input!, new PodRulesCache());
      assert.deepEqual(plain(subject.rules), plain(fresh), `case ${index}`);
    }
  });
});

function plain({ contents, policyPods, fullNames, ...rest }: PodRules) {
  return {
    ...rest,
    contents: [...contents]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, content]) => [key, plainSet(content)]),
    policyPods: [...policyPods],
    fullNames: [...fullNames],
  };
}

function plainSet({ parts, v4Root, v6Root }: SetContent) {
  const members = [...parts].map(([name, part]) => [
    name,
    [...part.sortedV4],
    part.v6.map(memberKey).sort(),
  ]);
  return { members, v4Root, v6Root };
}
