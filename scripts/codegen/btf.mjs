// @ts-check
import { StepError } from "../run.mjs";
import { cString } from "./elf.mjs";

/**
 * One type of a BTF section. `ref` is the id of the type that this one points at, qualifies or repeats.
 *
 * @typedef {{ name: string, ref: number, bitOffset: number, bitfieldBits: number }} BtfMember
 * @typedef {{ name: string, value: number }} BtfConstant
 * @typedef {{ kind: "void" } |
 *   { kind: "int", name: string, size: number, bits: number, signed: boolean, bool: boolean } |
 *   { kind: "ptr", ref: number } |
 *   { kind: "array", ref: number, length: number } |
 *   { kind: "struct" | "union", name: string, size: number, members: readonly BtfMember[] } |
 *   { kind: "enum", name: string, size: number, signed: boolean, constants: readonly BtfConstant[] } |
 *   { kind: "alias", name: string, ref: number } |
 *   { kind: "var", name: string, ref: number, exported: boolean } |
 *   { kind: "datasec", name: string, variables: readonly number[] } |
 *   { kind: "other", name: string }} BtfType
 */

/** Kinds of include/uapi/linux/btf.h. */
const KIND = {
  INT: 1,
  PTR: 2,
  ARRAY: 3,
  STRUCT: 4,
  UNION: 5,
  ENUM: 6,
  FWD: 7,
  TYPEDEF: 8,
  VOLATILE: 9,
  CONST: 10,
  RESTRICT: 11,
  FUNC: 12,
  FUNC_PROTO: 13,
  VAR: 14,
  DATASEC: 15,
  FLOAT: 16,
  DECL_TAG: 17,
  TYPE_TAG: 18,
  ENUM64: 19,
};

/**
 * Parses a .BTF section as Documentation/bpf/btf.rst describes it.
 *
 * @param {Buffer} section
 * @param {string} path for error messages
 * @returns {readonly BtfType[]} indexed by type id; id 0 is void
 */
export function readBtf(section, path) {
  if (section.length < 24 || section.readUInt16LE(0) !== 0xeb9f) {
    throw new StepError(`${path} has no BTF: compile it with clang -g`);
  }
  const bodyAt = section.readUInt32LE(4);
  const typesAt = bodyAt + section.readUInt32LE(8);
  const typesEnd = typesAt + section.readUInt32LE(12);
  const strings = section.subarray(bodyAt + section.readUInt32LE(16));
  /** @type {BtfType[]} */
  const types = [{ kind: "void" }];
  for (let at = typesAt; at < typesEnd; ) {
    const parsed = readType(section, at, strings, path);
    types.push(parsed.type);
    at = parsed.next;
  }
  return types;
}

/**
 * @param {Buffer} btf @param {number} at @param {Buffer} strings @param {string} path
 * @returns {{ type: BtfType, next: number }}
 */
function readType(btf, at, strings, path) {
  const word = (/** @type {number} */ offset) => btf.readUInt32LE(at + offset);
  const text = (/** @type {number} */ offset) => cString(strings, word(offset));
  const name = text(0);
  const info = word(4);
  const count = info & 0xffff;
  const flag = info >>> 31 === 1;
  const size = word(8);
  const ref = size;
  const each = (/** @type {number} */ stride) =>
    Array.from({ length: count }, (_, index) => 12 + index * stride);
  const after = (/** @type {number} */ extra) => at + 12 + extra;

  switch ((info >>> 24) & 0x1f) {
    case KIND.INT: {
      const encoding = word(12) >>> 24;
      const [signed, bool] = [(encoding & 1) !== 0, (encoding & 4) !== 0];
      return {
        type: { kind: "int", name, size, bits: word(12) & 0xff, signed, bool },
        next: after(4),
      };
    }
    case KIND.PTR:
      return { type: { kind: "ptr", ref }, next: after(0) };
    case KIND.ARRAY:
      return { type: { kind: "array", ref: word(12), length: word(20) }, next: after(12) };
    case KIND.STRUCT:
    case KIND.UNION: {
      const members = each(12).map((offset) => {
        const position = word(offset + 8);
        return {
          name: text(offset),
          ref: word(offset + 4),
          bitOffset: flag ? position & 0xffffff : position,
          bitfieldBits: flag ? position >>> 24 : 0,
        };
      });
      const kind = ((info >>> 24) & 0x1f) === KIND.STRUCT ? "struct" : "union";
      return { type: { kind, name, size, members }, next: after(count * 12) };
    }
    case KIND.ENUM: {
      const constants = each(8).map((offset) => {
        const value = flag ? btf.readInt32LE(at + offset + 4) : word(offset + 4);
        return { name: text(offset), value };
      });
      return {
        type: { kind: "enum", name, size, signed: flag, constants },
        next: after(count * 8),
      };
    }
    case KIND.ENUM64: {
      const constants = each(12).map((offset) => {
        const high = flag ? btf.readInt32LE(at + offset + 8) : word(offset + 8);
        return { name: text(offset), value: high * 2 ** 32 + word(offset + 4) };
      });
      return {
        type: { kind: "enum", name, size, signed: flag, constants },
        next: after(count * 12),
      };
    }
    case KIND.TYPEDEF:
    case KIND.VOLATILE:
    case KIND.CONST:
    case KIND.RESTRICT:
    case KIND.TYPE_TAG:
      return { type: { kind: "alias", name, ref }, next: after(0) };
    case KIND.VAR:
      return { type: { kind: "var", name, ref, exported: word(12) !== 0 }, next: after(4) };
    case KIND.DATASEC: {
      const variables = each(12).map((offset) => word(offset));
      return { type: { kind: "datasec", name, variables }, next: after(count * 12) };
    }
    case KIND.FWD:
    case KIND.FUNC:
    case KIND.FLOAT:
      return { type: { kind: "other", name }, next: after(0) };
    case KIND.FUNC_PROTO:
      return { type: { kind: "other", name }, next: after(count * 8) };
    case KIND.DECL_TAG:
      return { type: { kind: "other", name }, next: after(4) };
    default:
      throw new StepError(`${path}: BTF kind ${(info >>> 24) & 0x1f} is unknown to the generator`);
  }
}
