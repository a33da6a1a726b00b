import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { formatProblem } from "./problem.js";
import type { Problem } from "./records.js";

const problem: Problem = {
  severity: "error",
  code: "SLUICE_SCHEMA",
  origin: { source: "policies/edge.yaml", line: 3 },
  kind: "XdpPolicy",
  name: "edge",
  field: "spec.mode",
  line: 7,
  message: '"Audi" is none of Enforce, Audit',
  remedy: "Did you mean Audit?",
  keptGeneration: 2,
};

describe("a problem as one line", () => {
  it("names file, line, object, field, fault, remedy, and what stays in force", () => {
    assert.equal(
      formatProblem(problem),
      'policies/edge.yaml:7: XdpPolicy edge: spec.mode: "Audi" is none of Enforce, Audit. ' +
        "Did you mean Audit? (generation 2 stays in force)",
    );
  });

  it("leaves out what is not known", () => {
    const { severity, code, message } = problem;
    const origin = { source: "a.yaml" };
    assert.equal(
      formatProblem({ severity, code, message, origin, remedy: "Correct it" }),
      'a.yaml: "Audi" is none of Enforce, Audit. Correct it.',
    );
  });
});
