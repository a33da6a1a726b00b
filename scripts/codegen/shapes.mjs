// @ts-check
import { StepError } from "../run.mjs";
import { camelCase, isPadding, pascalCase } from "./names.mjs";

/** @typedef {import("./btf.mjs").BtfType} BtfType */

/**
 * How a C type reads in TypeScript.
 *
 * @typedef {object} Shape
 * @property {string} codec identifier of its codec
 * @property {string} type TypeScript type
 * @property {number} size bytes
 * @property {Shape} [element] of an array
 * @property {number} [length] of an array or of bytes
 * @property {StructShape} [struct]
 */

/**
 * @typedef {object} Field
 * @property {string} name in TypeScript
 * @property {string} cName
 * @property {number} offset bytes
 * @property {Shape} shape
 *
 * @typedef {object} StructShape
 * @property {string} name in TypeScript
 * @property {string} cName
 * @property {number} size bytes
 * @property {readonly Field[]} fields without padding
 */

/** Structs that belong to the kernel: user space can neither read nor write them. */
const kernelOwned = new Set(["bpf_spin_lock", "bpf_timer", "bpf_list_head", "bpf_rb_root"]);

/**
 * Follows qualifiers and typedefs to the type behind them.
 *
 * @param {readonly BtfType[]} types @param {number} id
 * @returns {BtfType}
 */
export function resolve(types, id) {
  let type = types[id];
  while (type?.kind === "alias") type = types[type.ref];
  if (type === undefined) throw new StepError(`BTF refers to type ${id}, which does not exist`);
  return type;
}

/** Bytes of a type. @param {readonly BtfType[]} types @param {number} id @returns {number} */
export function sizeOf(types, id) {
  const type = resolve(types, id);
  if (type.kind === "array") return type.length * sizeOf(types, type.ref);
  if (type.kind === "ptr") return 8;
  return "size" in type ? type.size : 0;
}

/**
 * Describes a C type for TypeScript.
 *
 * @param {readonly BtfType[]} types
 * @param {number} id
 * @param {string} where for error messages, such as `uplink.o: struct rule_row, field action`
 * @returns {Shape}
 * @throws {StepError} for unions, bit-fields, pointers, floats and nameless structs
 */
export function shapeOf(types, id, where) {
  const type = resolve(types, id);
  switch (type.kind) {
    case "int": {
      if (type.bool) return { codec: "bool", type: "boolean", size: 1 };
      if (![1, 2, 4, 8].includes(type.size)) {
        throw new StepError(
          `${where}: integers of ${type.size} bytes have no codec; use two __u64`,
        );
      }
      return integer(type.size, type.signed);
    }
    case "enum":
      return integer(type.size, type.signed);
    case "array":
      return arrayShape(types, type, where);
    case "struct":
      return structShape(types, type, where);
    case "union": {
      const sole = unionShape(types, type);
      if (sole !== undefined) return sole;
      throw new StepError(
        `${where}: unions have no codec, since nothing says which member holds; ` +
          "use one integer array wide enough for all members, or two fields",
      );
    }
    case "ptr":
      throw new StepError(`${where}: a pointer means nothing outside the kernel; keep an index`);
    default:
      throw new StepError(`${where}: this kind of C type has no codec; use integers`);
  }
}

/**
 * A union of integers of one width is read and written as one unsigned integer, as in the kernel's
 * `struct bpf_devmap_val`, where a program goes in as descriptor and comes out as id.
 *
 * @param {readonly BtfType[]} types
 * @param {{ size: number, members: readonly { ref: number }[] }} union
 */
function unionShape(types, { size, members }) {
  const isOneWidth = members.every(({ ref }) => {
    const member = resolve(types, ref);
    return member.kind === "int" && !member.bool && member.size === size;
  });
  return isOneWidth && [1, 2, 4, 8].includes(size) ? integer(size, false) : undefined;
}

/** @param {number} size @param {boolean} signed @returns {Shape} */
function integer(size, signed) {
  const codec = `${signed ? "s" : "u"}${size * 8}`;
  return { codec, type: size === 8 ? "bigint" : "number", size };
}

/**
 * @param {readonly BtfType[]} types
 * @param {{ ref: number, length: number }} array
 * @param {string} where
 * @returns {Shape}
 */
function arrayShape(types, { ref, length }, where) {
  if (length === 0) {
    throw new StepError(`${where}: an array without length has no codec; give it one`);
  }
  const item = resolve(types, ref);
  if (item.kind === "int" && item.size === 1 && (!item.signed || item.name === "char")) {
    return { codec: `bytes${length}`, type: "Uint8Array", size: length, length };
  }
  const element = shapeOf(types, ref, where);
  return {
    codec: `${camelCase(element.codec)}x${length}`,
    type: `readonly ${element.type.includes(" ") ? `(${element.type})` : element.type}[]`,
    size: length * element.size,
    element,
    length,
  };
}

/**
 * @param {readonly BtfType[]} types
 * @param {Extract<BtfType, { kind: "struct" | "union" }>} type
 * @param {string} where
 * @returns {Shape}
 */
function structShape(types, type, where) {
  if (type.name === "") {
    throw new StepError(`${where}: a struct without a name has no codec; name it`);
  }
  const inStruct = `${where.split(":")[0]}: struct ${type.name}`;
  /** @type {Map<string, Field>} */
  const fields = new Map();
  for (const member of type.members) {
    const target = resolve(types, member.ref);
    if (member.name !== "" && isPadding(member.name)) continue;
    if (target.kind === "struct" && kernelOwned.has(target.name)) continue;
    const at = `${inStruct}, field ${member.name === "" ? "without a name" : member.name}`;
    if (member.name === "") {
      throw new StepError(`${at}: has no place in TypeScript without a name; name it`);
    }
    if (member.bitfieldBits > 0) {
      throw new StepError(`${at}: bit-fields have no codec; use a whole integer and masks`);
    }
    const name = camelCase(member.name);
    const other = fields.get(name);
    if (other !== undefined) {
      throw new StepError(`${at}: becomes ${name}, as does ${other.cName}; rename one of them`);
    }
    const shape = shapeOf(types, member.ref, at);
    fields.set(name, { name, cName: member.name, offset: member.bitOffset / 8, shape });
  }
  const name = pascalCase(type.name);
  const struct = { name, cName: type.name, size: type.size, fields: [...fields.values()] };
  return { codec: name, type: name, size: type.size, struct };
}
