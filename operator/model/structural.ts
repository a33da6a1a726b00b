import { Ajv, type ErrorObject, type ValidateFunction } from "ajv";
import { parseDateTime } from "./date-time.js";
import type { FieldPath, Finding } from "./finding.js";
import type { JsonSchema } from "./schema.js";
import { explainStructural } from "./structural-finding.js";

/**
 * Makes a check of values against a structural schema. The check fills in the schema's defaults, in
 * place, and finds every deviation, unknown fields included: the API server would drop those
 * silently, and a mistyped `destinationPort` would then open all ports.
 */
export function compileStructural(schema: JsonSchema): (value: unknown) => readonly Finding[] {
  const ajv = new Ajv({
    allErrors: true,
    verbose: true,
    useDefaults: true,
    strict: true,
    strictRequired: false,
    formats: {
      "date-time": (text: string) => parseDateTime(text) !== undefined,
      // Whole numbers of JSON are exact up to 2^53; the bounds of the schema are below that.
      int64: true,
    },
    keywords: [
      "x-kubernetes-validations",
      "x-kubernetes-list-type",
      "x-kubernetes-list-map-keys",
      "x-kubernetes-map-type",
    ],
  });
  const validate: ValidateFunction = ajv.compile(closed(schema));
  return (value) => {
    if (validate(value)) return [];
    const errors: readonly ErrorObject[] = validate.errors ?? [];
    return errors.map((error) => explainStructural(error, fieldPath(error.instancePath, value)));
  };
}

/**
 * The schema with unknown fields refused wherever the API server would drop them. Patterns of
 * moments are left out: they only make the server as strict as the check of the format is here.
 */
function closed(schema: JsonSchema): JsonSchema {
  const { properties, items, additionalProperties, pattern, ...others } = schema;
  return {
    ...others,
    ...(pattern !== undefined && schema.format !== "date-time" && { pattern }),
    ...(properties !== undefined && {
      properties: Object.fromEntries(
        Object.entries(properties).map(([name, property]) => [name, closed(property)]),
      ),
      additionalProperties: false,
    }),
    ...(items !== undefined && { items: closed(items) }),
    ...(additionalProperties && { additionalProperties: closed(additionalProperties) }),
  };
}

/** Turns a JSON pointer into steps; which of them are indexes shows in the value. */
function fieldPath(pointer: string, root: unknown): FieldPath {
  const path: (string | number)[] = [];
  let value = root;
  for (const token of pointer.split("/").slice(1)) {
    const name = token.replaceAll("~1", "/").replaceAll("~0", "~");
    const step = Array.isArray(value) ? Number(name) : name;
    path.push(step);
    value = (value as Record<string | number, unknown>)[step];
  }
  return path;
}
