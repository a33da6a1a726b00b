import type { FieldPath } from "../../operator/model/finding.js";
import type { JsonSchema } from "../../operator/model/schema.js";
import type { JsonObject } from "./complete-objects.js";
import { type Place, replaceAt } from "./places.js";

/** An object that breaks one constraint of the schema. */
export interface Breakage {
  readonly keyword: string;
  readonly object: JsonObject;
  /** The field that a refusal has to name. */
  readonly field: FieldPath;
  /** What the API server says of it. */
  readonly says: RegExp;
}

/** Neither a label, a name, a duration nor a CIDR, and short enough for any field. */
const NOTHING_KNOWN = "a /:b!";

/** One breakage for each constraint that the schema puts on a place. */
export function breakagesAt(place: Place): readonly Breakage[] {
  const { object, path } = place;
  return [...wrongValues(place), ...wrongFields(place)].map(
    ([keyword, value, says, below = []]) => ({
      keyword,
      object: replaceAt(object, path, value),
      field: [...path, ...below],
      says,
    }),
  );
}

type Wrong = readonly [keyword: string, value: unknown, says: RegExp, below?: FieldPath];

function* wrongValues({ schema, value, path }: Place): Generator<Wrong> {
  const { type, enum: values, pattern, format, minimum, maximum } = schema;
  if (path.length > 0) yield ["type", otherType(schema), /must be of type/];
  if (values !== undefined) yield ["enum", "Nonsense", /Unsupported value.*supported values/];
  if (pattern !== undefined) yield ["pattern", NOTHING_KNOWN, /should match/];
  if (format === "date-time") yield ["format", "soon", /must be of type date-time/];
  if (minimum !== undefined) yield ["minimum", minimum - 1, /should be greater than or equal to/];
  if (maximum !== undefined) yield ["maximum", maximum + 1, /should be less than or equal to/];
  if (type === "string" && schema.minLength !== undefined) {
    yield ["minLength", String(value).slice(0, schema.minLength - 1), /at least \d+ chars long/];
  }
  if (type === "string" && schema.maxLength !== undefined) {
    yield ["maxLength", "a".repeat(schema.maxLength + 1), /Too long/];
  }
  if (Array.isArray(value)) {
    const items = value as readonly unknown[];
    const { minItems, maxItems, "x-kubernetes-list-type": listType } = schema;
    if (minItems !== undefined) yield ["minItems", [], /at least \d+ items/];
    if (maxItems !== undefined) {
      yield ["maxItems", Array.from({ length: maxItems + 1 }, () => items[0]), /Too many/];
    }
    if (listType !== "atomic") {
      yield ["uniqueItems", [...items, items[0]], /Duplicate value/, [items.length]];
    }
  }
}

function* wrongFields({ schema, value }: Place): Generator<Wrong> {
  if (schema.type !== "object") return;
  const fields = value as JsonObject;
  for (const name of schema.required ?? []) {
    yield [`required ${name}`, replaceAt(fields, [name], undefined), /Required value/, [name]];
  }
  if (schema.properties !== undefined) {
    yield ["unknown field", { ...fields, nonsense: 1 }, /unknown field/, ["nonsense"]];
  }
  if (schema.maxProperties !== undefined) {
    const names = Array.from({ length: schema.maxProperties + 1 }, (_, i) => [`k${i}`, "v"]);
    yield ["maxProperties", Object.fromEntries(names), /Too many/];
  }
}

function otherType({ type }: JsonSchema): unknown {
  return type === "string" ? 7 : "text";
}
