import { readFileSync } from "node:fs";
import { SluiceError } from "../errors.js";
import { admit } from "../model/admit.js";
import { formatProblem } from "../model/problem.js";
import type { Problem, RuleRecord } from "../model/records.js";
import { parseManifestText, type TextDocument } from "../source/manifest-text.js";

const remedy = "Write a YAML list of rules, each as in a policy's `ingress` and with action Accept";

/**
 * Fail-safe rules from a YAML file: a list of rules as in a policy's `ingress`, all with action
 * Accept. An empty list switches the fail-safe off.
 *
 * @throws SluiceError SLUICE_FAIL_SAFE that lists all that is wrong: a node must not start with a
 *   safety net that is other than what was written
 */
export function readFailSafe(path: string): readonly RuleRecord[] {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw failure(`the fail-safe file ${path} cannot be read: ${why}`, cause);
  }
  const { documents, faults } = parseManifestText(text);
  if (faults !== undefined) {
    const lines = faults.map(({ line, message }) => `${path}:${line ?? 1}: ${message}`);
    throw failure(`the fail-safe file is no YAML:\n${lines.join("\n")}`);
  }
  const [document, second] = documents;
  if (document === undefined || second !== undefined) {
    throw failure(`the fail-safe file ${path} has ${documents.length} YAML documents, not one`);
  }
  return readRules(path, document);
}

function readRules(path: string, document: TextDocument): readonly RuleRecord[] {
  const rules = document.read();
  if (!Array.isArray(rules)) throw failure(`the fail-safe file ${path} holds no list`);
  // The rules of a policy are checked by its schema, so they are checked as one.
  const { admitted, problems } = admit(
    {
      value: {
        apiVersion: "sluice.dev/v1alpha1",
        kind: "XdpPolicy",
        metadata: { name: "rules" },
        spec: { priority: 0, ...(rules.length > 0 && { ingress: rules }) },
      },
      origin: { source: path },
      lineOf: (field) => document.lineOf(field.slice(2)),
    },
    Date.now(),
  );
  const errors = problems.filter(({ severity }) => severity === "error").map(problemText);
  if (admitted?.draft.kind !== "XdpPolicy" || errors.length > 0) {
    throw failure(`the fail-safe file has errors:\n${errors.join("\n")}`);
  }
  const other = admitted.draft.rules.find(({ action }) => action.kind !== "Accept");
  if (other !== undefined) {
    throw failure(
      `rule ${other.name} of the fail-safe file ${path} has action ${other.action.kind}: ` +
        "fail-safe rules only accept",
    );
  }
  return admitted.draft.rules;
}

/** Without the policy that the rules were wrapped in. */
function problemText(problem: Problem): string {
  const { kind: _kind, name: _name, field, ...rest } = problem;
  const own = field?.replace(/^spec\.ingress/, "rules");
  return formatProblem({ ...rest, ...(own !== undefined && { field: own }) });
}

function failure(problem: string, cause?: unknown): SluiceError {
  return new SluiceError("SLUICE_FAIL_SAFE", problem, { remedy, cause });
}
