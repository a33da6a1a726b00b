import type { VerdictName } from "../../api/engine.js";

/** What `--expect` takes: verdicts, and the words of policies for them. */
export const expectations = ["pass", "drop", "redirect", "aborted", "allow", "deny"] as const;
export type Expectation = (typeof expectations)[number];

const meanings: Readonly<Partial<Record<Expectation, VerdictName>>> = {
  allow: "pass",
  deny: "drop",
};

/** Nothing is expected, or this. A pass of which one end is not known is none. */
export function isExpected(
  expected: Expectation | undefined,
  verdict: VerdictName,
  isComplete = true,
): boolean {
  return expected === undefined || (isComplete && (meanings[expected] ?? expected) === verdict);
}
