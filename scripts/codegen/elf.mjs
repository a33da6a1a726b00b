// @ts-check
import { StepError } from "../run.mjs";

/**
 * @typedef {object} ElfSymbol
 * @property {string} name
 * @property {string} section
 * @property {number} value byte offset in the section
 * @property {number} size bytes
 */

/**
 * @typedef {object} ElfObject
 * @property {ReadonlyMap<string, Buffer>} sections contents by name, without those of .bss
 * @property {readonly ElfSymbol[]} symbols
 */

const SHT_SYMTAB = 2;
const SHT_NOBITS = 8;
const SYMBOL_SIZE = 24;

/** @param {Buffer} table @param {number} at */
export function cString(table, at) {
  return table.toString("utf8", at, table.indexOf(0, at));
}

/**
 * Reads the sections and symbols of a 64-bit little-endian ELF object.
 *
 * @param {Buffer} file
 * @param {string} path for error messages
 * @returns {ElfObject}
 * @throws {StepError} when the file is of another kind
 */
export function readElf(file, path) {
  if (file.length < 64 || file.readUInt32BE(0) !== 0x7f454c46) {
    throw new StepError(`${path} is not an ELF object`);
  }
  if (file[4] !== 2 || file[5] !== 1) {
    throw new StepError(`${path} is not 64-bit little-endian; codecs are written for that only`);
  }
  const tableAt = Number(file.readBigUInt64LE(40));
  const entrySize = file.readUInt16LE(58);
  const headers = Array.from({ length: file.readUInt16LE(60) }, (_, index) => {
    const at = tableAt + index * entrySize;
    const type = file.readUInt32LE(at + 4);
    const from = Number(file.readBigUInt64LE(at + 24));
    const size = type === SHT_NOBITS ? 0 : Number(file.readBigUInt64LE(at + 32));
    return {
      nameAt: file.readUInt32LE(at),
      type,
      data: file.subarray(from, from + size),
      link: file.readUInt32LE(at + 40),
    };
  });
  const names = headers[file.readUInt16LE(62)]?.data ?? Buffer.of(0);
  const named = headers.map((header) => ({ ...header, name: cString(names, header.nameAt) }));
  const symbols = named
    .filter((header) => header.type === SHT_SYMTAB)
    .flatMap(({ data, link }) => {
      const strings = named[link]?.data ?? Buffer.of(0);
      return Array.from({ length: data.length / SYMBOL_SIZE }, (_, index) => {
        const at = index * SYMBOL_SIZE;
        return {
          name: cString(strings, data.readUInt32LE(at)),
          section: named[data.readUInt16LE(at + 6)]?.name ?? "",
          value: Number(data.readBigUInt64LE(at + 8)),
          size: Number(data.readBigUInt64LE(at + 16)),
        };
      });
    });
  return { sections: new Map(named.map(({ name, data }) => [name, data])), symbols };
}
