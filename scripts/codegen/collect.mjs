// @ts-check
import { StepError } from "../run.mjs";
import { readBtf } from "./btf.mjs";
import { readElf } from "./elf.mjs";
import { camelCase } from "./names.mjs";
import { resolve, shapeOf, sizeOf } from "./shapes.mjs";

/** @typedef {import("./btf.mjs").BtfType} BtfType */
/** @typedef {import("./shapes.mjs").Shape} Shape */

/**
 * @typedef {object} MapEntry
 * @property {string} cName
 * @property {number} type
 * @property {number} keySize
 * @property {number} valueSize
 * @property {number} maxEntries
 * @property {number} mapFlags
 * @property {Shape | undefined} key
 * @property {Shape | undefined} value
 * @property {MapEntry | undefined} inner
 *
 * @typedef {{ cName: string, offset: number, size: number, shape: Shape | undefined }} GlobalEntry
 * @typedef {{ cName: string, constants: readonly { name: string, value: number }[] }} EnumEntry
 *
 * @typedef {object} ObjectLayout what one object file declares
 * @property {string} name in TypeScript
 * @property {string} path
 * @property {readonly MapEntry[]} maps
 * @property {Readonly<Record<"rodata" | "data" | "bss", readonly GlobalEntry[]>>} globals
 * @property {readonly EnumEntry[]} enums
 * @property {readonly Shape[]} exported structs that a global pointer points at
 */

/**
 * Reads what a BPF object declares: its maps, global variables, enums, and the structs they use.
 * A type that is neither in a map nor in a variable is exported by a pointer in a section of its own,
 * which libbpf skips at load: `const struct flow_event *export_flow_event SEC(".layout");`
 *
 * @param {string} name of the object, without folder and suffix
 * @param {string} path for error messages
 * @param {Buffer} file
 * @returns {ObjectLayout}
 */
export function collectObject(name, path, file) {
  const elf = readElf(file, path);
  const types = readBtf(elf.sections.get(".BTF") ?? Buffer.alloc(0), path);
  /** @type {MapEntry[]} */
  const maps = [];
  /** @type {Record<"rodata" | "data" | "bss", GlobalEntry[]>} */
  const globals = { rodata: [], data: [], bss: [] };
  /** @type {Shape[]} */
  const exported = [];
  for (const { section, variable, where } of variablesOf(types, path)) {
    if (section === ".maps") {
      maps.push(describeMap(types, variable.name, variable.ref, where));
      continue;
    }
    const pointee = pointedStruct(types, variable.ref);
    if (pointee !== undefined) exported.push(shapeOf(types, pointee, where));
    const key = section.slice(1);
    if (key !== "rodata" && key !== "data" && key !== "bss") continue;
    // BTF of an unlinked object has no offsets: libbpf takes them from the symbols, so do we.
    const symbol = elf.symbols.find((one) => one.name === variable.name && one.section === section);
    if (symbol === undefined) throw new StepError(`${where} has no symbol in ${section}`);
    const isPointer = resolve(types, variable.ref).kind === "ptr";
    const shape = isPointer ? undefined : shapeOf(types, variable.ref, where);
    globals[key].push({ cName: variable.name, offset: symbol.value, size: symbol.size, shape });
  }
  for (const list of Object.values(globals)) list.sort((a, b) => a.offset - b.offset);
  return { name: camelCase(name), path, maps, globals, enums: enumsOf(types, path), exported };
}

/**
 * Global variables by section. Static ones are left out: they are the program's own.
 *
 * @param {readonly BtfType[]} types @param {string} path
 */
function variablesOf(types, path) {
  return types.flatMap((section) => {
    if (section.kind !== "datasec") return [];
    return section.variables.flatMap((id) => {
      const variable = types[id];
      if (variable?.kind !== "var" || !variable.exported) return [];
      return [{ section: section.name, variable, where: `${path}: variable ${variable.name}` }];
    });
  });
}

/** @param {readonly BtfType[]} types @param {number} id */
function pointedStruct(types, id) {
  const pointer = resolve(types, id);
  if (pointer.kind !== "ptr") return undefined;
  const target = resolve(types, pointer.ref);
  return target.kind === "struct" ? pointer.ref : undefined;
}

/**
 * Describes a map that is declared in the way of libbpf: `__uint(name, n)` is a pointer to an array of
 * n, `__type(name, T)` a pointer to T, `__array(values, T)` an array of pointers to T.
 *
 * @param {readonly BtfType[]} types
 * @param {string} cName
 * @param {number} id of the struct of the declaration
 * @param {string} where
 * @returns {MapEntry}
 */
function describeMap(types, cName, id, where) {
  const declaration = resolve(types, id);
  if (declaration.kind !== "struct") {
    throw new StepError(`${where} in .maps is not a struct; declare it with __uint and __type`);
  }
  const members = new Map(declaration.members.map((member) => [member.name, member.ref]));
  const number = (/** @type {string} */ name) => {
    const ref = members.get(name);
    if (ref === undefined) return 0;
    const array = pointee(types, ref);
    if (array?.kind !== "array") throw new StepError(`${where}: ${name} needs __uint(${name}, …)`);
    return array.length;
  };
  const typed = (/** @type {"key" | "value"} */ name) => {
    const pointer = resolve(types, members.get(name) ?? 0);
    if (pointer.kind !== "ptr") return { size: number(`${name}_size`), shape: undefined };
    const shape = shapeOf(types, pointer.ref, `${where}, its ${name}`);
    return { size: sizeOf(types, pointer.ref), shape };
  };
  const [key, value] = [typed("key"), typed("value")];
  const inner = describeInner(types, cName, members.get("values"), where);
  return {
    cName,
    type: number("type"),
    // A map of maps or programs holds ids of 4 bytes, whether or not the declaration says so.
    keySize: key.size === 0 && members.has("values") ? 4 : key.size,
    valueSize: value.size === 0 && members.has("values") ? 4 : value.size,
    maxEntries: number("max_entries"),
    mapFlags: number("map_flags"),
    key: key.shape,
    value: value.shape,
    inner,
  };
}

/** @param {readonly BtfType[]} types @param {number} id */
function pointee(types, id) {
  const pointer = resolve(types, id);
  return pointer.kind === "ptr" ? resolve(types, pointer.ref) : undefined;
}

/**
 * @param {readonly BtfType[]} types @param {string} cName @param {number | undefined} values
 * @param {string} where
 */
function describeInner(types, cName, values, where) {
  if (values === undefined) return undefined;
  const array = resolve(types, values);
  const pointer = array.kind === "array" ? resolve(types, array.ref) : undefined;
  // The other use of `values` is an array of functions, for tail calls.
  if (pointer?.kind !== "ptr" || resolve(types, pointer.ref).kind !== "struct") return undefined;
  return describeMap(types, `${cName}.inner`, pointer.ref, `${where}, its inner map`);
}

/** @param {readonly BtfType[]} types @param {string} path @returns {EnumEntry[]} */
function enumsOf(types, path) {
  return types.flatMap((type) => {
    if (type.kind !== "enum" || type.name === "") return [];
    for (const { name, value } of type.constants) {
      const unsure = !type.signed && type.size === 4 && value > 0x7fffffff;
      if (unsure || !Number.isSafeInteger(value)) {
        throw new StepError(
          `${path}: enum ${type.name}, constant ${name}: ${value} may be meant as a negative number; ` +
            "clang before 16 does not record the sign, so keep constants in 0…2147483647",
        );
      }
    }
    return [{ cName: type.name, constants: type.constants }];
  });
}
