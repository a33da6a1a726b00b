/** Random policies and packets: the kernel's answer must be the oracle's. More of it: `npm run fuzz`. */

import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { openSubject } from "./kernel-subject.js";
import { describeFinding } from "./report.js";
import { runFuzz } from "./runner.js";

const CASES = 100_000;
/** Building a world costs as much as some 300 packets; more packets for each would mean too few worlds. */
const PACKETS_PER_WORLD = 800;

const subject = await openSubject();
after(() => subject.close());

describe("the kernel judges as the oracle", () => {
  for (const [name, seed] of [
    ["a fixed seed", 20_261_121],
    ["a fresh seed", Date.now() % 2 ** 32],
  ] as const) {
    it(`${CASES} packets of ${name}`, async (context) => {
      context.diagnostic(`seed ${seed}`);
      const summary = await runFuzz(subject, {
        cases: CASES,
        seed,
        packetsPerWorld: PACKETS_PER_WORLD,
        maxFindings: 1,
      });
      assert.equal(summary.findings.map(describeFinding).join("\n"), "");
      assert.equal(summary.agreed + summary.skipped, summary.packets);
      assert.ok(summary.agreed > CASES / 2, `${summary.agreed} compared, the machine is too slow`);
      // What the seeds are for: every verdict, and the reasons that worlds and packets can bring about.
      const answers = new Set(summary.answers.keys());
      for (const answer of EXPECTED_ANSWERS) assert.ok(answers.has(answer), answer);
    });
  }
});

const EXPECTED_ANSWERS = [
  "pass no-rule",
  "pass rule",
  "pass default",
  "pass not-ip",
  "pass not-judged",
  "drop rule",
  "drop default",
  "drop limit",
  "drop truncated",
  "drop vlan-depth",
  "drop extension-headers",
  "redirect rule",
] as const;
