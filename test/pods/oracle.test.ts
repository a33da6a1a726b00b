/** Random clusters, policies and packets: the programs' verdicts and names are those of the oracle. */

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type CompareOptions, compareWith } from "../policy-oracle/compare.js";
import { createCoverage } from "../policy-oracle/coverage.js";
import { describeFinding } from "../policy-oracle/report.js";
import { openPolicySubject } from "./policy-subject.js";

const CASES = 100_000;
/** The seed of a run decides how often the rarest things happen. */
const FEWEST = 4;
const FEWEST_DECIDED = 500;

const subject = await openPolicySubject();
after(() => subject.close());

async function run(seed: number, more: Pick<CompareOptions, "onAgreed"> = {}) {
  const options = { cases: CASES, seed, packetsPerCluster: 200, ...more };
  const { findings, agreed, decided } = await compareWith(subject, options);
  assert.equal(findings.map(describeFinding).join("\n"), "");
  assert.equal(agreed, CASES);
  return decided;
}

test("the kernel judges as the oracle does, and by the same names, whatever a policy says", async () => {
  const coverage = createCoverage();
  const decided = await run(7, { onAgreed: (...agreed) => coverage.note(...agreed) });
  const tooFew = [
    ...[...coverage.counts].filter(([, count]) => count < FEWEST),
    ...["ingress", "egress"]
      .flatMap((direction) => DECIDING.map((by) => `${direction} ${by}`))
      .map((by) => [by, decided.get(by) ?? 0] as const)
      .filter(([, count]) => count < FEWEST_DECIDED),
  ];
  assert.deepEqual(tooFew, [], "what too few packets have shown");
});

const DECIDING = [
  ...["Admin denies", "Admin allows", "NetworkPolicy allows", "isolation denies"],
  ...["Baseline denies", "Baseline allows"],
];

const newSeed = Date.now() % 2 ** 32;

test(`so it does with a seed that was never tried, ${newSeed}`, async () => {
  await run(newSeed);
});
