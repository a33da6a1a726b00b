/** Many cases against one subject; what differs from the oracle is made small and reported. */

import { generateCase, type PolicyCase } from "./generate.js";
import type { Packet } from "./packet.js";
import { shrink } from "./shrink.js";
import {
  type Expected,
  expectedOn,
  isAnswer,
  type PolicyAnswer,
  type PolicySubject,
} from "./subject.js";

export interface CompareOptions {
  /** Packets to judge, rounded up to whole clusters. */
  readonly cases: number;
  readonly seed: number;
  readonly packetsPerCluster: number;
  /** Index of the first case; with `cases` = `packetsPerCluster` it is the only one. */
  readonly firstCase?: number;
  /** The run ends after this many. */
  readonly maxFindings?: number;
  /** How often shrinking may load a cluster into the subject for one finding. */
  readonly shrinkBudget?: number;
  /** Told of every packet on which both agreed. */
  readonly onAgreed?: (policyCase: PolicyCase, packet: Packet, expected: Expected) => void;
}

export interface CompareSummary {
  /** Packets on which subject and oracle agreed. */
  readonly agreed: number;
  readonly clusters: number;
  /** `ingress isolation` → packets in which it decided: what the run has covered. */
  readonly decided: ReadonlyMap<string, number>;
  readonly findings: readonly Finding[];
}

export type Failure =
  | { readonly kind: "mismatch"; readonly expected: Expected; readonly actual: PolicyAnswer }
  /** The subject threw at a packet. */
  | { readonly kind: "error"; readonly error: unknown }
  /** The subject did not take the cluster. */
  | { readonly kind: "refusal"; readonly error: unknown };

export interface Finding {
  readonly seed: number;
  /** Of the case within its run. */
  readonly index: number;
  readonly packetsPerCluster: number;
  /** As small as it got; its last packet is the one that failed. */
  readonly policyCase: PolicyCase;
  readonly failure: Failure;
  /** False: a second run of the very same case agreed, so nothing could be left out. */
  readonly isReproducible: boolean;
}

const DEFAULT_SHRINK_BUDGET = 1000;

/** Throws only when generating fails; all that the subject does wrong is a finding. */
export async function compareWith(
  subject: PolicySubject,
  options: CompareOptions,
): Promise<CompareSummary> {
  const { cases, seed, packetsPerCluster, maxFindings = 1 } = options;
  const decided = new Map<string, number>();
  const findings: Finding[] = [];
  const clusters = Math.ceil(cases / packetsPerCluster);
  const first = options.firstCase ?? 0;
  let agreed = 0;
  let index = first;
  while (index < first + clusters && findings.length < maxFindings) {
    const policyCase = generateCase(seed, index, packetsPerCluster);
    const result = await check(subject, policyCase);
    agreed += result.agreed.length;
    result.agreed.forEach((expected, at) => {
      options.onAgreed?.(policyCase, policyCase.packets[at]!, expected);
    });
    for (const [direction, verdict] of result.agreed.flatMap(({ directions }) => directions)) {
      const key = `${direction} ${verdict.by} ${verdict.allowed ? "allows" : "denies"}`;
      decided.set(key, (decided.get(key) ?? 0) + 1);
    }
    if (result.failure !== undefined) {
      const small = await makeSmall(subject, policyCase, result, options.shrinkBudget);
      findings.push({ seed, index, packetsPerCluster, ...small });
    }
    index += 1;
  }
  return { agreed, clusters: index - first, decided, findings };
}

interface CheckResult {
  readonly agreed: readonly Expected[];
  readonly failure?: Failure;
}

/** Ends at the first packet on which both differ. */
async function check(subject: PolicySubject, policyCase: PolicyCase): Promise<CheckResult> {
  const { cluster, node, packets } = policyCase;
  const agreed: Expected[] = [];
  try {
    await subject.load(cluster, node);
  } catch (error) {
    return { agreed, failure: { kind: "refusal", error } };
  }
  let answers: readonly PolicyAnswer[] | undefined;
  let failure: Failure | undefined;
  try {
    answers = subject.judgeAll?.(packets);
  } catch (error) {
    /* One by one it is seen at which packet. */
    failure = { kind: "error", error };
  }
  for (const [index, packet] of packets.entries()) {
    const expected = expectedOn(cluster, node, packet);
    let actual: PolicyAnswer;
    try {
      actual = answers?.[index] ?? (await subject.judge(packet));
    } catch (error) {
      return { agreed, failure: { kind: "error", error } };
    }
    if (!isAnswer(expected, actual)) {
      return { agreed, failure: { kind: "mismatch", expected, actual } };
    }
    agreed.push(expected);
  }
  return failure === undefined ? { agreed } : { agreed, failure };
}

async function makeSmall(
  subject: PolicySubject,
  policyCase: PolicyCase,
  { agreed, failure: found }: CheckResult,
  budget = DEFAULT_SHRINK_BUDGET,
): Promise<Pick<Finding, "policyCase" | "failure" | "isReproducible">> {
  // Kept from the last candidate that failed, so that it belongs to the case that shrink returns.
  let failure = found as Failure;
  const fails = async (candidate: PolicyCase) => {
    const result = await check(subject, candidate);
    const { packets } = candidate;
    // Another kind of failure, or at another packet, would be another finding.
    if (
      result.failure?.kind !== failure.kind ||
      (failure.kind !== "refusal" && result.agreed.length !== packets.length - 1)
    ) {
      return false;
    }
    failure = result.failure;
    return true;
  };
  const upTo = failure.kind === "refusal" ? 0 : agreed.length + 1;
  const cut = { ...policyCase, packets: policyCase.packets.slice(0, upTo) };
  if (!(await fails(cut))) {
    return { policyCase: cut, failure, isReproducible: false };
  }
  return { policyCase: await shrink(cut, fails, budget), failure, isReproducible: true };
}
