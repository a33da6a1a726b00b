/** The names by which Sluice calls what decides: `policy` and `rule` of an answer. */

import type { Direction } from "./manifests.js";
import type { RuleName, Verdict } from "./verdict.js";

/** The names that a verdict may have; none when no policy decides. */
export function namesOf(direction: Direction, verdict: Verdict): readonly RuleName[] {
  switch (verdict.by) {
    case "fixed":
    case "default":
      return [];
    case "Admin":
    case "Baseline":
      return [{ policy: `ClusterNetworkPolicy ${verdict.policy}`, rule: verdict.rule }];
    case "NetworkPolicy":
      return verdict.rules.map(({ policy, rule }) => ({ policy: `NetworkPolicy ${policy}`, rule }));
    case "isolation":
      return [{ policy: "isolation", rule: `${direction}: ${verdict.policies.join(", ")}` }];
  }
}
