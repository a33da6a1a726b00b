// @ts-check
import { createHash } from "node:crypto";
import { StepError } from "../run.mjs";
import { camelCase, pascalCase } from "./names.mjs";

/** @typedef {import("./shapes.mjs").Shape} Shape */
/** @typedef {import("./shapes.mjs").StructShape} StructShape */
/** @typedef {import("./collect.mjs").ObjectLayout} ObjectLayout */
/** @typedef {import("./collect.mjs").MapEntry} MapEntry */
/** @typedef {import("./collect.mjs").GlobalEntry} GlobalEntry */

/**
 * The TypeScript module that describes all objects.
 *
 * @param {readonly ObjectLayout[]} objects
 * @returns {string}
 * @throws {StepError} when two objects disagree about a struct, a map or an enum
 */
export function emitLayout(objects) {
  /** Text of each declaration by its identifier, dependencies first. @type {Map<string, string>} */
  const codecs = new Map();
  const shared = new Agreement();
  for (const object of objects) {
    const inMaps = object.maps.flatMap(shapesOfMap);
    const inGlobals = Object.values(object.globals)
      .flat()
      .flatMap(({ shape }) => shape ?? []);
    for (const shape of [...inMaps, ...inGlobals, ...object.exported]) {
      declare(shape, codecs, shared, object.path);
    }
    for (const map of object.maps) shared.check("map", map.cName, describe(map), object.path);
    for (const one of object.enums) {
      const text = one.constants.map(({ name, value }) => `${name}=${value}`).join(" ");
      shared.check("enum", one.cName, text, object.path);
    }
  }
  // An object without tables only exports types.
  const loadable = objects.filter(
    ({ maps, globals }) => maps.length + Object.values(globals).flat().length > 0,
  );
  const canonical = shared.texts
    /* Enums count as well: what a number in a table means is layout, too. */
    .filter((text) => /^(map|struct|enum) /.test(text))
    .sort()
    .join("\n");
  const hash = createHash("sha256").update(canonical).digest("hex").slice(0, 12);
  const body = [
    ...emitEnums(objects, codecs),
    ...codecs.values(),
    ...loadable.map(emitMaps),
    ...loadable.map(emitGlobals),
  ].join("\n");
  return [
    "// Generated from the BTF of the compiled objects by scripts/generate-layout.mjs; do not edit.",
    ...emitImports(body),
    "",
    "/** Changes whenever a struct, a map or an enum does; names the folder of pins that fit this build. */",
    `export const layoutHash = "${hash}";`,
    "",
    body,
  ].join("\n");
}

/** What the objects have said so far about each thing that they share by name. */
class Agreement {
  /** @readonly @type {Map<string, { text: string, path: string }>} */
  #said = new Map();

  /**
   * @param {string} kind @param {string} name @param {string} text @param {string} path
   * @returns {void}
   */
  check(kind, name, text, path) {
    const key = `${kind} ${name}`;
    const before = this.#said.get(key);
    if (before === undefined) this.#said.set(key, { text, path });
    else if (before.text !== text) {
      throw new StepError(
        `${key} differs between ${before.path} and ${path}; declare it once, in a shared header, ` +
          `or rename one:\n  ${before.text}\n  ${text}`,
      );
    }
  }

  get texts() {
    return [...this.#said].map(([key, { text }]) => `${key}: ${text}`);
  }
}

/** @param {MapEntry} map @returns {Shape[]} */
function shapesOfMap(map) {
  const own = [map.key, map.value].filter((shape) => shape !== undefined);
  return map.inner === undefined ? own : [...own, ...shapesOfMap(map.inner)];
}

/** @param {MapEntry} map @returns {string} */
function describe(map) {
  const numbers = [map.type, map.keySize, map.valueSize, map.maxEntries, map.mapFlags].join(" ");
  const codecs = `${map.key?.codec ?? "-"} ${map.value?.codec ?? "-"}`;
  return `${numbers} ${codecs}${map.inner === undefined ? "" : ` [${describe(map.inner)}]`}`;
}

/**
 * Adds the codec of a shape, after those it is made of.
 *
 * @param {Shape} shape
 * @param {Map<string, string>} codecs
 * @param {Agreement} shared
 * @param {string} path
 */
function declare(shape, codecs, shared, path) {
  const { codec, struct, element, length } = shape;
  if (struct !== undefined) {
    for (const field of struct.fields) declare(field.shape, codecs, shared, path);
    const fields = struct.fields.map((one) => `${one.cName}:${one.shape.codec}@${one.offset}`);
    shared.check("struct", struct.cName, `${struct.size} ${fields.join(" ")}`, path);
    shared.check("identifier", struct.name, `struct ${struct.cName}`, path);
    codecs.set(codec, emitStruct(struct));
  } else if (element !== undefined) {
    declare(element, codecs, shared, path);
    codecs.set(codec, `const ${codec} = arrayOf(${element.codec}, ${length});\n`);
  } else if (length !== undefined) {
    codecs.set(codec, `const ${codec} = bytes(${length});\n`);
  }
}

/** @param {StructShape} struct */
function emitStruct({ name, cName, size, fields }) {
  const lines = [`/** \`struct ${cName}\`, ${size} bytes. */`, `export interface ${name} {`];
  for (const field of fields) lines.push(`  readonly ${field.name}: ${field.shape.type};`);
  lines.push("}", "", `export const ${name}: StructCodec<${name}> = {`);
  lines.push(`  name: "struct ${cName}",`, `  size: ${size},`, "  offsets: {");
  for (const field of fields) lines.push(`    ${field.name}: ${field.offset},`);
  lines.push("  },", "  encode(value, view, at) {");
  let end = 0;
  for (const field of [...fields].sort((a, b) => a.offset - b.offset)) {
    lines.push(...zeroes(end, field.offset));
    const blame = `"${cName}.${field.cName}"`;
    const { codec } = field.shape;
    lines.push(`    ${codec}.encode(value.${field.name}, view, ${place(field.offset)}, ${blame});`);
    end = field.offset + field.shape.size;
  }
  lines.push(...zeroes(end, size), "  },", "  decode: (view, at) => ({");
  for (const { name: key, offset, shape } of fields) {
    lines.push(`    ${key}: ${shape.codec}.decode(view, ${place(offset)}),`);
  }
  lines.push("  }),", "};", "");
  return lines.join("\n");
}

/** @param {number} offset */
function place(offset) {
  return offset === 0 ? "at" : `at + ${offset}`;
}

/** Statements that zero the padding. @param {number} from @param {number} to */
function zeroes(from, to) {
  /** @type {string[]} */
  const lines = [];
  for (let at = from; at < to; ) {
    const width = to - at >= 4 ? 4 : 1;
    lines.push(`    view.setUint${width * 8}(${place(at)}, 0);`);
    at += width;
  }
  return lines;
}

/** @param {readonly ObjectLayout[]} objects @param {ReadonlyMap<string, string>} codecs */
function emitEnums(objects, codecs) {
  const byName = new Map(objects.flatMap(({ enums }) => enums.map((one) => [one.cName, one])));
  const sorted = [...byName.values()].sort((a, b) => (a.cName < b.cName ? -1 : 1));
  const taken = new Set(codecs.keys());
  return sorted.map(({ cName, constants }) => {
    const name = pascalCase(cName);
    if (taken.has(name)) {
      throw new StepError(`enum ${cName} would become ${name}, which is taken; rename one of them`);
    }
    taken.add(name);
    const rows = constants.map((one) => `  ${one.name}: ${one.value},`);
    return [
      `/** \`enum ${cName}\`. */`,
      `export const ${name} = {`,
      ...rows,
      "} as const;",
      `export type ${name} = (typeof ${name})[keyof typeof ${name}];`,
      "",
    ].join("\n");
  });
}

/** @param {ObjectLayout} object */
function emitMaps({ name, path, maps }) {
  const rows = maps.map((map) => `  ${camelCase(map.cName)}: ${emitMap(map, "  ")},`);
  const head = [`/** Maps of ${path}. */`, `export const ${name}Maps = {`];
  return [...head, ...rows, "} as const satisfies Record<string, MapLayout>;", ""].join("\n");
}

/** @param {MapEntry} map @param {string} indent @returns {string} */
function emitMap(map, indent) {
  const { cName, type, keySize, valueSize, maxEntries, mapFlags, key, value, inner } = map;
  const rows = [
    `name: "${cName}"`,
    `type: ${type}`,
    `keySize: ${keySize}`,
    `valueSize: ${valueSize}`,
    `maxEntries: ${maxEntries}`,
    `mapFlags: ${mapFlags}`,
    `key: ${key?.codec ?? "undefined"}`,
    `value: ${value?.codec ?? "undefined"}`,
  ];
  if (inner !== undefined) rows.push(`inner: ${emitMap(inner, `${indent}  `)}`);
  return `{\n${rows.map((row) => `${indent}  ${row},\n`).join("")}${indent}}`;
}

/** @param {ObjectLayout} object */
function emitGlobals({ name, path, globals }) {
  const sections = Object.entries(globals).map(([section, variables]) => {
    const rows = variables.map(
      ({ cName, offset, size, shape }) =>
        `    ${camelCase(cName)}: { name: "${cName}", offset: ${offset}, size: ${size}, ` +
        `codec: ${shape?.codec ?? "undefined"} },\n`,
    );
    return `  ${section}: {${rows.length === 0 ? "" : `\n${rows.join("")}  `}},`;
  });
  return [
    `/** Global variables of ${path}. */`,
    `export const ${name}Globals = {`,
    ...sections,
    "} as const satisfies Record<string, Record<string, GlobalLayout>>;",
    "",
  ].join("\n");
}

/** @param {string} body */
function emitImports(body) {
  const types = ["GlobalLayout", "MapLayout", "StructCodec"];
  const integers = ["u8", "u16", "u32", "u64", "s8", "s16", "s32", "s64"];
  const values = ["arrayOf", "bool", "bytes", ...integers];
  const used = (/** @type {string} */ name) => new RegExp(`\\b${name}\\b`).test(body);
  return [
    { keyword: "import type", names: types.filter(used) },
    { keyword: "import", names: values.filter(used) },
  ]
    .filter(({ names }) => names.length > 0)
    .map(({ keyword, names }) => `${keyword} { ${names.join(", ")} } from "../codec.js";`);
}
