import type { JsonReader } from "./json-reader.js";
import type { LabelExpression, LabelSelector } from "./records.js";

const OPERATORS = ["In", "NotIn", "Exists", "DoesNotExist"] as const;

/** Selects everything: what an empty selector means. */
export const EVERYTHING: LabelSelector = Object.freeze({});

/** The label selector that a reader stands at; one with faults is not worth anything. */
export function readSelector(selector: JsonReader): LabelSelector {
  const matchLabels = selector.object("matchLabels").textFields();
  const matchExpressions = selector.objects("matchExpressions").flatMap(readExpression);
  const hasLabels = Object.keys(matchLabels).length > 0;
  if (!hasLabels && matchExpressions.length === 0) return EVERYTHING;
  return {
    ...(hasLabels && { matchLabels: { ...matchLabels } }),
    ...(matchExpressions.length > 0 && { matchExpressions }),
  };
}

function readExpression(expression: JsonReader): readonly LabelExpression[] {
  const key = expression.requiredText("key");
  if (!expression.has("operator")) {
    const list = OPERATORS.join(", ");
    expression.fault("SLUICE_SCHEMA", ["operator"], "is missing", `Write one of ${list}`);
  }
  const operator = expression.choice("operator", OPERATORS);
  const values = expression.texts("values");
  if (operator === undefined) return [];
  const needsValues = operator === "In" || operator === "NotIn";
  if (needsValues !== values.length > 0) {
    expression.fault(
      "SLUICE_RULE",
      ["values"],
      `the operator ${operator} takes ${needsValues ? "at least one value" : "no values"}`,
      needsValues ? "List the values" : "Remove them, or use In or NotIn",
    );
  }
  return [{ key, operator, ...(needsValues && { values }) }];
}
