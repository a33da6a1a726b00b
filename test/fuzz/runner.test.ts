/** The runner finds what is wrong with a subject, and only that, and makes it small. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { PortRange, RuleRecord } from "../../operator/model/records.js";
import type { World } from "../oracle/world.js";
import { describeFinding, type Finding } from "./report.js";
import { runFuzz } from "./runner.js";
import { oracleSubject, type Subject } from "./subject.js";

const RUN = { cases: 20_000, seed: 1, packetsPerWorld: 100, maxFindings: 1 };

async function firstFinding(subject: Subject): Promise<Finding> {
  const { findings } = await runFuzz(subject, RUN);
  const [finding] = findings;
  assert.ok(finding !== undefined, "the runner did not notice");
  assert.equal(finding.isReproducible, true);
  return finding;
}

/** A subject that judges by these rules instead of its own. */
function withRules(change: (rule: RuleRecord) => RuleRecord): Subject {
  return oracleSubject((world) => ({
    ...world,
    policies: world.policies.map((policy) => ({ ...policy, rules: policy.rules.map(change) })),
  }));
}

/** A subject that answers by the oracle unless `instead` has another answer. */
function answering(
  instead: (frame: Uint8Array) => Awaited<ReturnType<Subject["judge"]>> | undefined,
): Subject {
  const oracle = oracleSubject();
  return {
    ...oracle,
    judge: (interfaceName, frame) => instead(frame) ?? oracle.judge(interfaceName, frame),
  };
}

function size({ policies }: World): readonly [policies: number, rules: number] {
  return [policies.length, policies.reduce((sum, policy) => sum + policy.rules.length, 0)];
}

/** At most one policy with one rule, and one packet. */
function assertSmall({ fuzzCase }: Finding): void {
  const [policies, rules] = size(fuzzCase.world);
  assert.ok(policies <= 1 && rules <= 1, `${policies} policies, ${rules} rules`);
  assert.equal(fuzzCase.packets.length, 1);
}

describe("a subject that is right", () => {
  it("has no findings, and the run covers every answer", async () => {
    const { findings, agreed, packets, worlds, skipped, answers } = await runFuzz(
      oracleSubject(),
      RUN,
    );
    assert.deepEqual(findings, []);
    assert.equal(agreed + skipped, packets);
    assert.deepEqual([packets, worlds], [20_000, 200]);
    for (const answer of [
      "pass rule",
      "drop rule",
      "drop limit",
      "redirect rule",
      "drop redirect",
      "pass default",
      "drop default",
      "pass no-rule",
      "pass not-ip",
      "pass not-judged",
      "drop vlan-depth",
      "drop truncated",
      "drop extension-headers",
      "pass truncated",
    ]) {
      assert.ok((answers.get(answer) ?? 0) >= 10, `${answer}: ${answers.get(answer)}`);
    }
  });
});

describe("a subject that is wrong", () => {
  it("because it forgets except", async () => {
    const finding = await firstFinding(
      withRules((rule) => ({
        ...rule,
        from: rule.from.map((peer) => (peer.kind === "cidr" ? { ...peer, except: [] } : peer)),
      })),
    );
    assertSmall(finding);
    const [peer] = finding.fuzzCase.world.policies[0]?.rules[0]?.from ?? [];
    assert.ok(peer?.kind === "cidr" && peer.except.length === 1);
  });

  it("because it leaves out the end of a port range", async () => {
    const shorter = ({ start, end }: PortRange) => ({ start, end: Math.max(start, end - 1) });
    const finding = await firstFinding(
      withRules((rule) => ({
        ...rule,
        protocols: rule.protocols.map((match) =>
          "destinationPort" in match && match.destinationPort !== undefined
            ? { ...match, destinationPort: shorter(match.destinationPort) }
            : match,
        ),
      })),
    );
    assertSmall(finding);
  });

  it("because it enforces what should be audited", async () => {
    const finding = await firstFinding(
      oracleSubject((world) => ({
        ...world,
        policies: world.policies.map((policy) => ({ ...policy, mode: "Enforce" })),
      })),
    );
    assertSmall(finding);
    assert.equal(finding.fuzzCase.world.policies[0]?.mode, "Audit");
  });

  it("because it orders policies of one priority the wrong way round", async () => {
    const finding = await firstFinding(
      oracleSubject((world) => ({
        ...world,
        policies: world.policies
          .toSorted((a, b) => (a.name < b.name ? 1 : -1))
          .map((policy, index) => ({ ...policy, priority: policy.priority + index / 1000 })),
      })),
    );
    assert.equal(finding.fuzzCase.world.policies.length, 2);
    assert.equal(finding.fuzzCase.packets.length, 1);
  });

  it("because it forgets first fragments: two packets remain", async () => {
    const finding = await firstFinding(answeringFresh());
    assert.equal(finding.failure.kind, "mismatch");
    assert.equal(finding.fuzzCase.packets.length, 2);
  });

  it("because a bit in an Ethernet header crashes it", async () => {
    const finding = await firstFinding(
      answering((frame) =>
        ((frame[0] ?? 0) & 1) === 1 ? { verdict: "abort", reason: "exception" } : undefined,
      ),
    );
    assert.equal(finding.failure.kind, "mismatch");
    assert.deepEqual(size(finding.fuzzCase.world), [0, 0]);
    assert.deepEqual([...(finding.fuzzCase.packets[0]?.frame ?? [])].slice(1), Array(13).fill(0));
  });

  it("because it throws at a packet", async () => {
    const finding = await firstFinding(
      answering((frame) => {
        if (frame.length > 100) {
          throw new Error("no room");
        }
        return undefined;
      }),
    );
    assert.equal(finding.failure.kind, "error");
    assert.equal(finding.fuzzCase.packets[0]?.frame.length, 101);
    assert.match(describeFinding(finding), /the subject threw: Error: no room/);
  });

  it("because it refuses a valid world", async () => {
    const oracle = oracleSubject();
    const finding = await firstFinding({
      ...oracle,
      apply: (world) =>
        world.sets.has("good") ? Promise.reject(new Error("a good one")) : oracle.apply(world),
    });
    assert.equal(finding.failure.kind, "refusal");
    assert.deepEqual(finding.fuzzCase.packets, []);
    assert.deepEqual(size(finding.fuzzCase.world), [0, 0]);
    assert.match(describeFinding(finding), /refused the world: Error: a good one/);
  });

  it("only in what it counted", async () => {
    const oracle = oracleSubject();
    const finding = await firstFinding({
      ...oracle,
      async judge(interfaceName, frame) {
        const { matched = [], ...judgement } = await oracle.judge(interfaceName, frame);
        return { ...judgement, matched: matched.filter(({ effect }) => effect !== "would-drop") };
      },
    });
    assertSmall(finding);
    assert.match(describeFinding(finding), /oracle: .* would-drop/);
  });

  it("but not always: the finding says so", async () => {
    let calls = 0;
    const { findings } = await runFuzz(
      answering(() => {
        calls += 1;
        return calls === 77 ? { verdict: "abort", reason: "cosmic-ray" } : undefined;
      }),
      RUN,
    );
    assert.equal(findings.length, 1);
    assert.equal(findings[0]?.isReproducible, false);
  });
});

/** The oracle with a new state for every packet. */
function answeringFresh(): Subject {
  const oracle = oracleSubject();
  let current: World | undefined;
  return {
    ...oracle,
    async apply(world) {
      current = world;
      await oracle.apply(world);
    },
    async judge(interfaceName, frame) {
      const judgement = await oracle.judge(interfaceName, frame);
      if (current !== undefined) {
        await oracle.apply(current);
      }
      return judgement;
    },
  };
}

describe("a run", () => {
  it("ends after as many findings as asked for, each told as it comes", async () => {
    const told: string[] = [];
    const { findings } = await runFuzz(
      answering(() => ({ verdict: "abort", reason: "exception" })),
      { ...RUN, maxFindings: 2, onFinding: (finding) => told.push(describeFinding(finding)) },
    );
    assert.deepEqual([findings.length, told.length], [2, 2]);
  });

  it("prints a finding with its seed, both answers, the packet and the policy", async () => {
    const finding = await firstFinding(
      withRules((rule) =>
        rule.action.kind === "Drop" ? { ...rule, action: { kind: "Accept" } } : rule,
      ),
    );
    const text = describeFinding(finding);
    assert.match(text, new RegExp(`--seed 1 --only-case ${finding.index} --packets-per-world 100`));
    assert.match(text, /oracle: {2}drop, rule by/);
    assert.match(text, /subject: pass, rule by/);
    assert.match(text, /packet 1 \(this one\) on \w+: /);
    assert.match(text, /^ {4}[0-9a-f]{28,}$/m);
    assert.match(text, /kind: XdpPolicy[\s\S]*action: Drop/);
  });

  it("finds the same again from the case that the report names", async () => {
    const subject = withRules((rule) => ({ ...rule, traits: [] }));
    const finding = await firstFinding(subject);
    const { findings } = await runFuzz(subject, {
      ...RUN,
      cases: RUN.packetsPerWorld,
      firstCase: finding.index,
    });
    assert.deepEqual(findings[0]?.fuzzCase, finding.fuzzCase);
  });
});
