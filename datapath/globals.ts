import koffi from "koffi";
import type { GlobalLayout } from "./codec.js";
import { datapathError } from "./errors.js";
import type { BtfPointer } from "./libbpf.js";
import { libbpf } from "./libbpf.js";

/** Kind of a BTF type that lists the variables of one section. */
const kindDatasec = 15;
/** Kind of a BTF type that is one variable. */
const kindVar = 14;
/** `struct btf_type`: name_off, info, size; then per variable `struct btf_var_secinfo`. */
const typeBytes = 12;
const secinfoBytes = 12;

/** Variables of one data section by name, as BTF lists them; static ones are included. */
export function sectionGlobals(
  btf: BtfPointer,
  section: string,
): ReadonlyMap<string, GlobalLayout> {
  const globals = new Map<string, GlobalLayout>();
  const bpf = libbpf();
  const id = bpf.btf__find_by_name_kind(btf, section, kindDatasec);
  const pointer = id < 0 ? null : bpf.btf__type_by_id(btf, id);
  if (pointer === null) return globals;
  const count = new DataView(koffi.view(pointer, typeBytes)).getUint32(4, true) & 0xffff;
  const datasec = new DataView(koffi.view(pointer, typeBytes + count * secinfoBytes));
  for (let at = typeBytes; at < datasec.byteLength; at += secinfoBytes) {
    const variable = bpf.btf__type_by_id(btf, datasec.getUint32(at, true));
    if (variable === null) continue;
    const header = new DataView(koffi.view(variable, typeBytes));
    if (((header.getUint32(4, true) >>> 24) & 0x1f) !== kindVar) continue;
    const name = bpf.btf__name_by_offset(btf, header.getUint32(0, true));
    if (name === null) continue;
    globals.set(name, {
      name,
      offset: datasec.getUint32(at + 4, true),
      size: datasec.getUint32(at + 8, true),
    });
  }
  return globals;
}

/** What a global variable can be set to; bytes are taken as they are. */
export type GlobalValue = number | bigint | boolean | Uint8Array;

/**
 * Writes one global variable into the bytes of its section.
 *
 * @throws SluiceError SLUICE_BAD_VALUE when the value does not fit the variable
 */
export function writeGlobal(
  target: Uint8Array,
  { name, offset, size }: GlobalLayout,
  value: GlobalValue,
): void {
  if (offset + size > target.length) {
    throw datapathError(
      "SLUICE_BAD_VALUE",
      `variable ${name} at ${offset}+${size} is outside its section of ${target.length} bytes`,
    );
  }
  if (value instanceof Uint8Array) {
    if (value.length !== size) {
      throw datapathError(
        "SLUICE_BAD_VALUE",
        `variable ${name} has ${size} bytes, and ${value.length} were given`,
      );
    }
    target.set(value, offset);
    return;
  }
  const integer = typeof value === "bigint" ? value : integerOf(name, value);
  const bits = BigInt(size * 8);
  const fits = integer >= -(1n << (bits - 1n)) && integer < 1n << bits;
  if (![1, 2, 4, 8].includes(size) || !fits) {
    throw datapathError(
      "SLUICE_BAD_VALUE",
      `${integer} does not fit variable ${name} of ${size} bytes`,
    );
  }
  const unsigned = BigInt.asUintN(size * 8, integer);
  for (let index = 0; index < size; index++) {
    target[offset + index] = Number((unsigned >> BigInt(index * 8)) & 0xffn);
  }
}

function integerOf(name: string, value: number | boolean): bigint {
  if (typeof value === "boolean") return value ? 1n : 0n;
  if (!Number.isSafeInteger(value)) {
    throw datapathError("SLUICE_BAD_VALUE", `${value} for variable ${name} is not an integer`);
  }
  return BigInt(value);
}
