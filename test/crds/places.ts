import assert from "node:assert/strict";
import type { FieldPath } from "../../operator/model/finding.js";
import { findCrd, type JsonSchema } from "../../operator/model/schema.js";
import type { JsonObject } from "./complete-objects.js";

/** A place in an object where one part of its schema counts. */
export interface Place {
  readonly object: JsonObject;
  /** `XdpPolicy.spec.ingress[].name`. */
  readonly schemaPath: string;
  readonly schema: JsonSchema;
  readonly path: FieldPath;
  readonly value: unknown;
}

/** Metadata is Kubernetes' own, and status the agents'. */
const LEFT_OUT = ["apiVersion", "kind", "metadata", "status"];

/** The schema of a kind, from its CRD file. */
export function schemaOf(kind: string): JsonSchema {
  const crd = findCrd(kind);
  assert.ok(crd, kind);
  return crd.schema;
}

/** All places in an object: itself, its spec, and every value inside. */
export function placesIn(object: JsonObject): readonly Place[] {
  const kind = object["kind"] as string;
  return [...walk(object, schemaOf(kind), kind, [], object)];
}

function* walk(
  object: JsonObject,
  schema: JsonSchema,
  schemaPath: string,
  path: FieldPath,
  value: unknown,
): Generator<Place> {
  yield { object, schemaPath, schema, path, value };
  if (Array.isArray(value)) {
    for (const [index, item] of (value as readonly unknown[]).entries()) {
      yield* walk(object, schema.items ?? {}, `${schemaPath}[]`, [...path, index], item);
    }
  } else if (typeof value === "object" && value !== null) {
    for (const [name, field] of Object.entries(value)) {
      if (path.length === 0 && LEFT_OUT.includes(name)) continue;
      const isKey = schema.additionalProperties !== undefined;
      const below = isKey ? schema.additionalProperties : schema.properties?.[name];
      const at = isKey ? `${schemaPath}.*` : `${schemaPath}.${name}`;
      if (below) yield* walk(object, below, at, [...path, name], field);
    }
  }
}

/** Every part of a kind's schema outside of metadata and status, with its path. */
export function* schemaParts(kind: string): Generator<readonly [string, JsonSchema]> {
  yield* partsOf(schemaOf(kind), kind);
}

function* partsOf(schema: JsonSchema, path: string): Generator<readonly [string, JsonSchema]> {
  yield [path, schema];
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    if (path.includes(".") || !LEFT_OUT.includes(name)) yield* partsOf(property, `${path}.${name}`);
  }
  if (schema.items !== undefined) yield* partsOf(schema.items, `${path}[]`);
  if (schema.additionalProperties) yield* partsOf(schema.additionalProperties, `${path}.*`);
}

/** A copy of the object with another value at a place; `undefined` takes the field out. */
export function replaceAt(object: JsonObject, path: FieldPath, value: unknown): JsonObject {
  const [step, ...below] = path;
  if (step === undefined) return value as JsonObject;
  const copy = (Array.isArray(object) ? [...(object as unknown[])] : { ...object }) as Record<
    string | number,
    unknown
  >;
  if (below.length === 0 && value === undefined && typeof step === "string") delete copy[step];
  else copy[step] = below.length === 0 ? value : replaceAt(copy[step] as JsonObject, below, value);
  return copy;
}
