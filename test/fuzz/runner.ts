/** Many cases against one subject; what fails is made small and reported. */

import { check, type Failure } from "./check.js";
import { type FuzzCase, generateCase } from "./generate.js";
import type { Finding } from "./report.js";
import { shrink } from "./shrink.js";
import type { Subject } from "./subject.js";

export interface RunOptions {
  /** Packets to judge, rounded up to whole worlds. */
  readonly cases: number;
  readonly seed: number;
  readonly packetsPerWorld: number;
  /** Index of the first case; with `cases` = `packetsPerWorld` it is the only one. */
  readonly firstCase?: number;
  /** The run ends after this many. */
  readonly maxFindings?: number;
  /** How often shrinking may ask the subject about one finding. */
  readonly shrinkBudget?: number;
  readonly onProgress?: (summary: RunSummary) => void;
  readonly onFinding?: (finding: Finding) => void;
}

export interface RunSummary {
  /** Packets generated for the worlds so far, those behind a failure included. */
  readonly packets: number;
  readonly worlds: number;
  /** Packets on which subject and oracle agreed. */
  readonly agreed: number;
  /** Packets not compared because their world had taken too long. */
  readonly skipped: number;
  /** Verdict and reason → packets: what the run has covered. */
  readonly answers: ReadonlyMap<string, number>;
  readonly findings: readonly Finding[];
}

const DEFAULT_MAX_FINDINGS = 3;
const DEFAULT_SHRINK_BUDGET = 1500;

/** Throws only when generating fails; all that the subject does wrong is a finding. */
export async function runFuzz(subject: Subject, options: RunOptions): Promise<RunSummary> {
  const { cases, seed, packetsPerWorld, maxFindings = DEFAULT_MAX_FINDINGS } = options;
  const answers = new Map<string, number>();
  const findings: Finding[] = [];
  let [packets, worlds, agreed, skipped] = [0, 0, 0, 0];
  const summary = (): RunSummary => ({ packets, worlds, agreed, skipped, answers, findings });

  for (
    let index = options.firstCase ?? 0;
    packets < cases && findings.length < maxFindings;
    index += 1
  ) {
    const fuzzCase = generateCase(seed, index, packetsPerWorld);
    const result = await check(subject, fuzzCase);
    worlds += 1;
    packets += fuzzCase.packets.length;
    agreed += result.agreed.length;
    skipped += result.skipped;
    for (const { verdict, reason } of result.agreed) {
      const answer = `${verdict} ${reason}`;
      answers.set(answer, (answers.get(answer) ?? 0) + 1);
    }
    if (result.failure !== undefined) {
      const small = await makeSmall(subject, fuzzCase, result.failure, options.shrinkBudget);
      const finding: Finding = { seed, index, packetsPerWorld, ...small };
      findings.push(finding);
      options.onFinding?.(finding);
    }
    options.onProgress?.(summary());
  }
  return summary();
}

async function makeSmall(
  subject: Subject,
  fuzzCase: FuzzCase,
  failure: Failure,
  budget = DEFAULT_SHRINK_BUDGET,
): Promise<Pick<Finding, "fuzzCase" | "failure" | "isReproducible">> {
  // Kept from the last candidate that failed, so that it belongs to the case that shrink returns.
  let last = failure;
  const fails = async (candidate: FuzzCase) => {
    const result = await check(subject, candidate);
    // Another kind of failure would be another finding.
    if (result.failure?.kind !== failure.kind) {
      return false;
    }
    last = result.failure;
    return true;
  };
  if (!(await fails(fuzzCase))) {
    return { fuzzCase, failure, isReproducible: false };
  }
  const small = await shrink(fuzzCase, fails, budget);
  return { fuzzCase: small, failure: last, isReproducible: true };
}
