/** The fuzzer for policies of pods: random clusters, and the verdicts of the pods' programs on packets. */

import { compareWith } from "../policy-oracle/compare.js";
import { describeFinding } from "../policy-oracle/report.js";
import { openPolicySubject } from "../pods/policy-subject.js";

export interface PodFuzzOptions {
  readonly cases: number;
  readonly seed: number;
  readonly packetsPerCluster: number;
  readonly firstCase: number;
}

/** Clusters between two lines of progress. */
const CLUSTERS_AT_ONCE = 50;

/** @returns how many findings there were; it ends at the first */
export async function fuzzPods(
  { cases, seed, packetsPerCluster, firstCase }: PodFuzzOptions,
  write: (line: string) => void,
): Promise<number> {
  const subject = await openPolicySubject();
  try {
    const clusters = Math.ceil(cases / packetsPerCluster);
    let agreed = 0;
    for (let done = 0; done < clusters; done += CLUSTERS_AT_ONCE) {
      const summary = await compareWith(subject, {
        cases: Math.min(CLUSTERS_AT_ONCE, clusters - done) * packetsPerCluster,
        seed,
        packetsPerCluster,
        firstCase: firstCase + done,
      });
      agreed += summary.agreed;
      write(`${agreed} of ${cases} packets agreed`);
      if (summary.findings.length === 0) continue;
      for (const finding of summary.findings) write(describeFinding(finding));
      return summary.findings.length;
    }
    write("no finding");
    return 0;
  } finally {
    await subject.close();
  }
}
