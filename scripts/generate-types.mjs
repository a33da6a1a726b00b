// @ts-check
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "yaml";
import { listFiles, root, runMain } from "./run.mjs";

const OUT = "operator/model/generated";
const HEADER = "// Generated from crds/ by scripts/generate-types.mjs. Do not edit.\n";

/**
 * @typedef {{
 *   type?: string, description?: string, enum?: string[], required?: string[], default?: unknown,
 *   properties?: Record<string, Schema>, items?: Schema, additionalProperties?: Schema,
 * }} Schema
 */

/**
 * Writes the TypeScript side of the CRDs, when it changed: `crds.ts` with the schemas as values,
 * and one file of manifest types for each kind. Fields with a default are never absent in these
 * types, for they describe a manifest after validation.
 *
 * @returns {Promise<number>} files written
 */
export async function generateTypes() {
  const files = listFiles("crds", { recursive: false }).filter((path) => path.endsWith(".yaml"));
  const crds = await Promise.all(files.map(readCrd));
  const outputs = [
    ...crds.map((crd) => ({ name: `${kebab(crd.kind)}.ts`, text: manifestTypes(crd) })),
    { name: "crds.ts", text: schemaValues(crds) },
  ];
  await mkdir(join(root, OUT), { recursive: true });
  const written = await Promise.all(
    outputs.map(({ name, text }) => writeIfChanged(join(root, OUT, name), HEADER + text)),
  );
  return written.filter(Boolean).length;
}

/**
 * @typedef {{ kind: string, group: string, version: string, schema: Schema }} Crd
 * @param {string} path
 * @returns {Promise<Crd>}
 */
async function readCrd(path) {
  const { spec } = parse(await readFile(join(root, path), "utf8"));
  const [version] = spec.versions;
  return {
    kind: spec.names.kind,
    group: spec.group,
    version: version.name,
    schema: version.schema.openAPIV3Schema,
  };
}

/** @param {readonly Crd[]} crds */
function schemaValues(crds) {
  return `import type { Crd } from "../schema.js";

export const crds: readonly Crd[] = ${JSON.stringify(crds, undefined, 2)};
`;
}

/** @param {Crd} crd */
function manifestTypes({ kind, group, version, schema }) {
  const properties = {
    ...schema.properties,
    apiVersion: { type: "string", enum: [`${group}/${version}`] },
    kind: { type: "string", enum: [kind] },
  };
  const required = ["apiVersion", "kind", "metadata", ...(schema.required ?? [])];
  const body = objectType({ ...schema, properties, required }, "", "metadata");
  return `${comment(schema.description, "")}export interface ${kind}Manifest ${body}\n`;
}

/**
 * @param {Schema} schema
 * @param {string} indent
 * @returns {string}
 */
function typeOf(schema, indent) {
  if (schema.enum !== undefined) {
    return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  }
  switch (schema.type) {
    case "integer":
    case "number":
      return "number";
    case "string":
      return "string";
    case "boolean":
      return "boolean";
    case "array":
      return `readonly (${typeOf(schema.items ?? {}, indent)})[]`;
    case "object":
      if (schema.additionalProperties !== undefined) {
        return `Readonly<Record<string, ${typeOf(schema.additionalProperties, indent)}>>`;
      }
      return objectType(schema, indent);
    default:
      return "unknown";
  }
}

/**
 * @param {Schema} schema
 * @param {string} indent
 * @param {string} [metadata] name of the property that holds Kubernetes' own ObjectMeta
 */
function objectType(schema, indent, metadata) {
  if (schema.properties === undefined) return "Readonly<Record<string, unknown>>";
  const inner = `${indent}  `;
  const lines = Object.entries(schema.properties).map(([name, property]) => {
    const isThere = schema.required?.includes(name) || property.default !== undefined;
    const type =
      name === metadata
        ? "{ readonly name: string; readonly [field: string]: unknown }"
        : typeOf(property, inner);
    const text = comment(property.description, inner);
    return `${text}${inner}readonly ${name}${isThere ? "" : "?"}: ${type};\n`;
  });
  return `{\n${lines.join("")}${indent}}`;
}

/**
 * @param {string | undefined} text
 * @param {string} indent
 */
function comment(text, indent) {
  return text === undefined ? "" : `${indent}/** ${text.replaceAll("*/", "* /")} */\n`;
}

/** @param {string} kind `XdpPolicy` becomes `xdp-policy` */
function kebab(kind) {
  return kind.replace(/(?<=[a-z])(?=[A-Z])/g, "-").toLowerCase();
}

/**
 * @param {string} path
 * @param {string} text
 * @returns {Promise<boolean>} whether the file was written
 */
async function writeIfChanged(path, text) {
  if ((await readFile(path, "utf8").catch(() => undefined)) === text) return false;
  await writeFile(path, text);
  return true;
}

if (process.argv[1] === import.meta.filename) runMain(async () => void (await generateTypes()));
