/** Random clusters, policies and packets: the programs' verdicts and names are those of the oracle. */

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { compareWith } from "../policy-oracle/compare.js";
import { describeFinding } from "../policy-oracle/report.js";
import { openPolicySubject } from "./policy-subject.js";

const subject = await openPolicySubject();
after(() => subject.close());

test("the kernel judges as the oracle does, and by the same names", async () => {
  const { findings, agreed, decided } = await compareWith(subject, {
    cases: 20_000,
    seed: 7,
    packetsPerCluster: 100,
  });
  assert.equal(findings.map(describeFinding).join("\n"), "");
  assert.equal(agreed, 20_000);
  for (const direction of ["ingress", "egress"]) {
    for (const by of [
      "Admin denies",
      "Admin allows",
      "NetworkPolicy allows",
      "isolation denies",
      "Baseline denies",
    ]) {
      const count = decided.get(`${direction} ${by}`) ?? 0;
      assert.ok(count > 50, `${direction} ${by}: ${count}`);
    }
  }
});
