import type { CapacityError } from "../compile/capacity-error.js";
import type { XdpCidrSetRecord, XdpPolicyRecord } from "../model/records.js";
import { usedSets } from "./desired.js";
import type { SetCandidates } from "./set-versions.js";

/** What is given up when a table is too small: the new version of a policy, or the new content of a set. */
export type Blamed =
  | { readonly kind: "policy"; readonly policy: XdpPolicyRecord }
  | { readonly kind: "set"; readonly setName: string };

/** Tables that CIDRs fill; rules fill all others. */
const ADDRESS_TABLES = new Set([
  "address sets",
  "address lines",
  "address classes",
  "IPv6 prefixes shorter than /48",
  "IPv6 prefixes inside one /48",
]);

/**
 * Whose change takes most of the table that is full, so that small changes beside it come into force. Only what has
 * changed can be given up.
 *
 * @param policies all that are wanted, and those of them that have changed
 */
export function blame(
  error: CapacityError,
  policies: readonly XdpPolicyRecord[],
  changed: readonly XdpPolicyRecord[],
  sets: SetCandidates,
): Blamed | undefined {
  const named = changed.find(({ name }) => name === error.policy);
  if (named !== undefined) return { kind: "policy", policy: named };
  if (!ADDRESS_TABLES.has(error.table)) {
    return heaviest(changed.map((policy) => [policyOf(policy), policy.rules.length]));
  }
  const used = new Set(policies.flatMap((policy) => [...usedSets(policy)]));
  return heaviest([
    ...changed.map((policy) => [policyOf(policy), newAddresses(policy, sets)] as const),
    ...[...used]
      .filter((setName) => sets.isChanged(setName))
      .map((setName) => [setOf(setName), growth(setName, sets)] as const),
  ]);
}

function heaviest(weights: readonly (readonly [Blamed, number])[]): Blamed | undefined {
  return weights.reduce<(typeof weights)[number] | undefined>(
    (most, next) => (most === undefined || next[1] >= most[1] ? next : most),
    undefined,
  )?.[0];
}

function policyOf(policy: XdpPolicyRecord): Blamed {
  return { kind: "policy", policy };
}

function setOf(setName: string): Blamed {
  return { kind: "set", setName };
}

/** CIDRs inside its rules, and entries of sets that nobody used before. */
function newAddresses(policy: XdpPolicyRecord, sets: SetCandidates): number {
  let count = 0;
  for (const { from, to } of policy.rules) {
    for (const peer of [...from, ...to]) {
      if (peer.kind === "cidr") count += 1 + peer.except.length;
    }
  }
  for (const setName of usedSets(policy)) {
    if (sets.inForce(setName) === undefined) count += entries(sets.feeding(setName));
  }
  return count;
}

function growth(setName: string, sets: SetCandidates): number {
  return entries(sets.feeding(setName)) - entries(sets.inForce(setName) ?? []);
}

function entries(objects: readonly XdpCidrSetRecord[]): number {
  return objects.reduce(
    (sum, { entries: { v4, v6 } }) => sum + v4.length.length + v6.length.length,
    0,
  );
}
