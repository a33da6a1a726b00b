import koffi from "koffi";
import { datapathError } from "./errors.js";
import type { MapFd } from "./handles.js";
import { mapInfo, mapTypes } from "./kernel-info.js";
import { type BtfPointer, libbpf } from "./libbpf.js";

/** Kinds of include/uapi/linux/btf.h that fields are made of. */
const kind = { int: 1, pointer: 2, array: 3, struct: 4, union: 5, enum: 6, enum64: 19 } as const;
/** Typedefs and qualifiers, which stand for another type. */
const aliases = new Set([8, 9, 10, 11, 18]);
/** `struct btf_type`: name_off, info, size or type; then per member name_off, type, offset in bits. */
const headBytes = 12;

/** Where a number, or an array of numbers, is in a key or value. Bytes. */
export interface MapField {
  readonly offset: number;
  readonly size: number;
}

/** By path as in C: `local_port`, `out.generation`. */
export type MapFields = ReadonlyMap<string, MapField>;

/**
 * How the key and the value of a map are laid out, as the program told the kernel that made it. That program may be of
 * another build, so its layout is in no header here.
 *
 * @throws SluiceError SLUICE_MAP_LAYOUT when nobody described it, or the kernel does not say (it needs CAP_SYS_ADMIN)
 */
export function mapFields(fd: MapFd): { readonly key: MapFields; readonly value: MapFields } {
  const types = mapTypes(fd);
  const btf = types.btf === 0 ? null : libbpf().btf__load_from_kernel_by_id(types.btf);
  if (btf === null) {
    const problem = `the kernel does not tell the fields of map ${mapInfo(fd).name}`;
    throw datapathError("SLUICE_MAP_LAYOUT", problem);
  }
  try {
    return { key: fieldsOf(btf, types.key), value: fieldsOf(btf, types.value) };
  } finally {
    libbpf().btf__free(btf);
  }
}

interface BtfType {
  readonly kind: number;
  /** Of members, for a struct. */
  readonly count: number;
  /** Bytes, or the id of another type. */
  readonly sizeOrType: number;
  readonly view: DataView;
}

function typeAt(btf: BtfPointer, id: number): BtfType {
  for (let at = id; ; ) {
    const pointer = libbpf().btf__type_by_id(btf, at);
    if (pointer === null) throw new RangeError(`BTF has no type ${at}`);
    const head = new DataView(koffi.view(pointer, headBytes));
    const info = head.getUint32(4, true);
    const found = { kind: (info >>> 24) & 0x1f, count: info & 0xffff };
    const sizeOrType = head.getUint32(8, true);
    if (aliases.has(found.kind)) {
      at = sizeOrType;
      continue;
    }
    const isArray = found.kind === kind.array;
    const bytes = headBytes + headBytes * (isArray ? 1 : isStruct(found.kind) ? found.count : 0);
    return { ...found, sizeOrType, view: new DataView(koffi.view(pointer, bytes)) };
  }
}

function isStruct(found: number): boolean {
  return found === kind.struct || found === kind.union;
}

function fieldsOf(btf: BtfPointer, id: number): MapFields {
  const fields = new Map<string, MapField>();
  collect(btf, id, "", 0, fields);
  return fields;
}

function collect(
  btf: BtfPointer,
  id: number,
  path: string,
  offset: number,
  fields: Map<string, MapField>,
): void {
  const type = typeAt(btf, id);
  if (!isStruct(type.kind)) {
    fields.set(path, { offset, size: sizeOf(btf, type) });
    return;
  }
  for (let index = 0; index < type.count; index++) {
    const at = headBytes * (index + 1);
    const name = libbpf().btf__name_by_offset(btf, type.view.getUint32(at, true)) ?? "";
    const bits = type.view.getUint32(at + 8, true) & 0xffffff;
    const inner = path === "" ? name : `${path}.${name}`;
    collect(btf, type.view.getUint32(at + 4, true), inner, offset + bits / 8, fields);
  }
}

function sizeOf(btf: BtfPointer, type: BtfType): number {
  if (type.kind === kind.pointer) return 8;
  if (type.kind !== kind.array) return type.sizeOrType;
  const element = typeAt(btf, type.view.getUint32(headBytes, true));
  return sizeOf(btf, element) * type.view.getUint32(headBytes + 8, true);
}
