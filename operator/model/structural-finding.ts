import type { ErrorObject } from "ajv";
import { PEER_CIDR } from "./cidr.js";
import { explainCidr } from "./cidr-fault.js";
import { type FieldPath, type Finding, fault, quote } from "./finding.js";
import { nearest } from "./nearest.js";
import type { JsonSchema } from "./schema.js";

/** Says in words what a keyword of the schema found wrong, and what to write instead. */
export function explainStructural(error: ErrorObject, path: FieldPath): Finding {
  const { keyword, data, params } = error;
  const schema = error.parentSchema as JsonSchema;
  switch (keyword) {
    case "additionalProperties":
      return unknownField(schema, path, params["additionalProperty"] as string);
    case "required":
      return missingField(schema, path, params["missingProperty"] as string);
    case "type":
      return wrongType(schema, path, data);
    case "enum":
      return notInEnum(schema, path, data);
    case "format":
      return fault(
        "SLUICE_SCHEMA",
        path,
        `${quote(data)} is not a moment in time`,
        "Write RFC 3339 with its offset, such as 2026-12-31T00:00:00Z",
      );
    case "pattern":
      return notInPattern(schema, path, data);
    default:
      return outOfBounds(schema, path, keyword, data);
  }
}

function unknownField(schema: JsonSchema, path: FieldPath, name: string): Finding {
  const known = Object.keys(schema.properties ?? {});
  const meant = nearest(name, known);
  return fault(
    "SLUICE_UNKNOWN_FIELD",
    [...path, name],
    "is no field of this object",
    meant === undefined ? `Use one of ${known.join(", ")}` : `Did you mean ${meant}?`,
  );
}

function missingField(schema: JsonSchema, path: FieldPath, name: string): Finding {
  const description = schema.properties?.[name]?.description;
  return fault("SLUICE_SCHEMA", [...path, name], "is missing", added(name, description));
}

function added(name: string, description: string | undefined): string {
  return description === undefined ? `Add ${name}` : `Add ${name}: ${uncapped(description)}`;
}

/** The first sentence of a description, to stand behind a colon. */
function uncapped(description: string): string {
  const [sentence = ""] = description.split(/\.(?: |$)/, 1);
  return sentence.replace(/^[A-Z](?=[a-z ])/, (letter) => letter.toLowerCase());
}

const TYPE_NAMES: Readonly<Record<string, string>> = {
  array: "a list",
  object: "an object",
  string: "a text",
  integer: "a whole number",
  number: "a number",
  boolean: "true or false",
};

function wrongType(schema: JsonSchema, path: FieldPath, data: unknown): Finding {
  const wanted = TYPE_NAMES[schema.type ?? ""] ?? schema.type ?? "another type";
  if (data === null) {
    return fault("SLUICE_SCHEMA", path, "is empty", `Write ${wanted}, or remove the field`);
  }
  const message = `${quote(data)} is ${typeName(data)}, but ${wanted} belongs here`;
  if (schema.type === "string") {
    const isScalar = typeof data === "number" || typeof data === "boolean";
    return fault(
      "SLUICE_SCHEMA",
      path,
      message,
      isScalar ? `Put it in quotes: ${JSON.stringify(String(data))}` : `Write ${wanted}`,
    );
  }
  if (schema.type === "integer" && typeof data === "string" && /^\d+$/.test(data)) {
    return fault("SLUICE_SCHEMA", path, message, `Remove the quotes: ${data}`);
  }
  if (schema.type === "array") {
    return fault("SLUICE_SCHEMA", path, message, 'Begin each entry with "- ", or write [a, b]');
  }
  return fault("SLUICE_SCHEMA", path, message, `Write ${wanted}`);
}

function typeName(data: unknown): string {
  if (Array.isArray(data)) return "a list";
  if (typeof data === "number" && Number.isInteger(data)) return "a whole number";
  return TYPE_NAMES[typeof data] ?? typeof data;
}

function notInEnum(schema: JsonSchema, path: FieldPath, data: unknown): Finding {
  const values = schema.enum ?? [];
  const meant = typeof data === "string" ? nearest(data, values) : undefined;
  return fault(
    "SLUICE_SCHEMA",
    path,
    `${quote(data)} is none of ${values.join(", ")}`,
    meant === undefined ? `Write one of ${values.join(", ")}` : `Did you mean ${meant}?`,
  );
}

/** What a text has to look like, by how its pattern begins. */
const PATTERN_REMEDIES: readonly (readonly [start: string, remedy: string])[] = [
  ["^([0-9]{1,5}(h|m", "Write a duration such as 30s, 2m or 1h30m"],
  ["^([A-Za-z0-9](", "Label values have letters, digits, -, _ and ., first and last no sign"],
  ["^([a-z0-9](", "Label keys look like role or example.com/role"],
  [
    "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
    "Use lower-case letters, digits and -, first and last a letter or digit",
  ],
  ["^[a-z0-9](", "Use lower-case letters, digits, - and ., first and last a letter or digit"],
  ["^[^/:", "Interface names have no slash, colon or blank"],
];

/** How the pattern of CIDRs begins; what it refuses can be explained better than by the pattern. */
const CIDR_PATTERN = "^((25[0-5]|";

function notInPattern(schema: JsonSchema, path: FieldPath, data: unknown): Finding {
  const pattern = schema.pattern ?? "";
  if (pattern.startsWith(CIDR_PATTERN)) {
    const { message, remedy } = explainCidr(String(data), PEER_CIDR);
    return fault("SLUICE_CIDR", path, message, remedy);
  }
  const known = PATTERN_REMEDIES.find(([start]) => pattern.startsWith(start));
  return fault(
    "SLUICE_SCHEMA",
    path,
    `${quote(data)} does not have the form of this field`,
    known === undefined ? `Write a text that matches ${pattern}` : known[1],
  );
}

function outOfBounds(schema: JsonSchema, path: FieldPath, keyword: string, data: unknown): Finding {
  const size = Array.isArray(data) ? data.length : String(data).length;
  const refused = (message: string, remedy: string) =>
    fault("SLUICE_SCHEMA", path, message, remedy);
  const range = `Write a number from ${schema.minimum} to ${schema.maximum}`;
  switch (keyword) {
    case "minimum":
      return refused(`${quote(data)} is below ${schema.minimum}, the smallest value`, range);
    case "maximum":
      return refused(`${quote(data)} is above ${schema.maximum}, the largest value`, range);
    case "maxItems":
      return refused(
        `has ${size} entries, more than the ${schema.maxItems} that one list may hold`,
        "Split the list over several objects",
      );
    case "minItems":
    case "minLength":
      return refused("is empty", "Write a value, or remove the field");
    case "maxLength":
      return refused(
        `${quote(data)} has ${size} characters, more than the ${schema.maxLength} allowed`,
        "Shorten it",
      );
    case "maxProperties":
      return refused(`has more than ${schema.maxProperties} fields`, "Remove some");
    default:
      return refused(`${quote(data)} breaks the rule ${keyword} of the schema`, "Correct it");
  }
}
