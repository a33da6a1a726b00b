import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { networkPolicy, read } from "../../test/support/policy-cluster.js";
import { CapacityError } from "../compile/capacity-error.js";
import type { PodPolicy } from "./pod-objects.js";
import { PodPolicies } from "./pod-policies.js";

const policy = (name: string, rules: number): PodPolicy =>
  read(
    "NetworkPolicy",
    networkPolicy(`web/${name}`, { ingress: Array.from({ length: rules }, () => ({})) }),
  );
const mapOf = (...policies: readonly PodPolicy[]) =>
  new Map(policies.map((one) => [`NetworkPolicy web/${one.name}`, one]));
const tooMany = (name?: string) =>
  new CapacityError("rules", 4096, "more are needed", name && `NetworkPolicy web/${name}`);

describe("policies that do not fit", () => {
  it("give way to what was in force of them, and the problem names them", () => {
    const policies = new PodPolicies();
    const [before, after, other] = [policy("a", 1), policy("a", 9), policy("b", 2)];
    policies.begin(mapOf(before)).commit();
    const round = policies.begin(mapOf(after, other));
    assert.equal(round.refuse(tooMany("a")), true);
    assert.deepEqual(round.policies(), [before, other]);
    round.commit();
    const [problem] = policies.problems();
    assert.deepEqual(
      [problem?.code, problem?.kind, problem?.name, problem?.keptGeneration],
      ["SLUICE_CAPACITY", "NetworkPolicy", "web/a", 1],
    );
    policies.begin(mapOf(before, other)).commit();
    assert.deepEqual(policies.problems(), []);
  });

  it("are those that changed: the named one, or else the one with the most rules", () => {
    const policies = new PodPolicies();
    const [old, small, large] = [policy("old", 99), policy("small", 1), policy("large", 9)];
    policies.begin(mapOf(old)).commit();
    const round = policies.begin(mapOf(old, small, large));
    assert.equal(round.refuse(tooMany("old")), true);
    assert.deepEqual(round.policies(), [old, small]);
    assert.equal(round.refuse(tooMany()), true);
    assert.deepEqual(round.policies(), [old]);
    assert.equal(round.refuse(tooMany()), false);
  });
});
