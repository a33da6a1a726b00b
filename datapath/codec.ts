/**
 * Codecs read and write C values at a byte offset of a buffer. Those of structs are generated from the
 * BTF of the compiled objects into `datapath/generated/layout.ts`; this file holds what they are made of.
 *
 * Numbers of up to 32 bits are `number`, 64-bit ones `bigint`. All are little-endian: the build refuses
 * objects of another byte order. A value that does not fit its C type throws instead of being cut.
 *
 * @template T the TypeScript shape of the C value
 */
export interface Codec<T> {
  /** Name of the type in C. */
  readonly name: string;
  /** Bytes, padding included. */
  readonly size: number;
  /**
   * Writes all `size` bytes; padding is zeroed, because the kernel compares hash keys byte by byte.
   *
   * @param field name to blame in an error, such as `rule_row.action`
   * @throws RangeError when a number does not fit its field, an array has another length than in C,
   *   or the value leaves the view
   */
  encode(value: T, view: DataView, at: number, field?: string): void;
  /**
   * Reads a copy that shares no memory with the view.
   *
   * @throws RangeError when the value leaves the view
   */
  decode(view: DataView, at: number): T;
}

/** Codec of a C struct. Fields named `pad` or `reserved` are padding and have no name here. */
export interface StructCodec<T> extends Codec<T> {
  /** Byte offset of each field, by its TypeScript name. */
  readonly offsets: { readonly [K in keyof T]-?: number };
}

/** Layout of one BPF map as an object file declares it, before any change at load. */
export interface MapLayout {
  /** Name of the map in C. */
  readonly name: string;
  /** `BPF_MAP_TYPE_…` by number. */
  readonly type: number;
  /** Bytes; 0 when the map has no key. */
  readonly keySize: number;
  /** Bytes; 0 when the map has no value. */
  readonly valueSize: number;
  /** 0 when the object leaves it to the loader. */
  readonly maxEntries: number;
  /** `BPF_F_…` bits. */
  readonly mapFlags: number;
  /** Absent when the object declares only the size. */
  readonly key?: Codec<unknown> | undefined;
  /** Absent when the object declares only the size. */
  readonly value?: Codec<unknown> | undefined;
  /** The declared element of a map of maps. */
  readonly inner?: MapLayout;
}

/** Where a global variable is inside its section (.rodata, .data or .bss). */
export interface GlobalLayout {
  /** Name of the variable in C. */
  readonly name: string;
  /** Bytes from the start of the section. */
  readonly offset: number;
  /** Bytes. */
  readonly size: number;
  /** Absent for pointers. */
  readonly codec?: Codec<unknown> | undefined;
}

function outOfRange(type: string, value: unknown, field = "value"): RangeError {
  return new RangeError(`${field}: ${String(value)} is not a value of ${type}`);
}

export const u8: Codec<number> = {
  name: "__u8",
  size: 1,
  encode(value, view, at, field) {
    if ((value & 0xff) !== value) throw outOfRange("__u8", value, field);
    view.setUint8(at, value);
  },
  decode: (view, at) => view.getUint8(at),
};

export const u16: Codec<number> = {
  name: "__u16",
  size: 2,
  encode(value, view, at, field) {
    if ((value & 0xffff) !== value) throw outOfRange("__u16", value, field);
    view.setUint16(at, value, true);
  },
  decode: (view, at) => view.getUint16(at, true),
};

export const u32: Codec<number> = {
  name: "__u32",
  size: 4,
  encode(value, view, at, field) {
    if (value >>> 0 !== value) throw outOfRange("__u32", value, field);
    view.setUint32(at, value, true);
  },
  decode: (view, at) => view.getUint32(at, true),
};

export const u64: Codec<bigint> = {
  name: "__u64",
  size: 8,
  encode(value, view, at, field) {
    if (BigInt.asUintN(64, value) !== value) throw outOfRange("__u64", value, field);
    view.setBigUint64(at, value, true);
  },
  decode: (view, at) => view.getBigUint64(at, true),
};

export const s8: Codec<number> = {
  name: "__s8",
  size: 1,
  encode(value, view, at, field) {
    if ((value << 24) >> 24 !== value) throw outOfRange("__s8", value, field);
    view.setInt8(at, value);
  },
  decode: (view, at) => view.getInt8(at),
};

export const s16: Codec<number> = {
  name: "__s16",
  size: 2,
  encode(value, view, at, field) {
    if ((value << 16) >> 16 !== value) throw outOfRange("__s16", value, field);
    view.setInt16(at, value, true);
  },
  decode: (view, at) => view.getInt16(at, true),
};

export const s32: Codec<number> = {
  name: "__s32",
  size: 4,
  encode(value, view, at, field) {
    if ((value | 0) !== value) throw outOfRange("__s32", value, field);
    view.setInt32(at, value, true);
  },
  decode: (view, at) => view.getInt32(at, true),
};

export const s64: Codec<bigint> = {
  name: "__s64",
  size: 8,
  encode(value, view, at, field) {
    if (BigInt.asIntN(64, value) !== value) throw outOfRange("__s64", value, field);
    view.setBigInt64(at, value, true);
  },
  decode: (view, at) => view.getBigInt64(at, true),
};

export const bool: Codec<boolean> = {
  name: "_Bool",
  size: 1,
  encode: (value, view, at) => view.setUint8(at, value ? 1 : 0),
  decode: (view, at) => view.getUint8(at) !== 0,
};

/** Codec of `__u8[length]` and `char[length]`. */
export function bytes(length: number): Codec<Uint8Array> {
  const name = `__u8[${length}]`;
  return {
    name,
    size: length,
    encode(value, view, at, field) {
      if (value.length !== length)
        throw outOfRange(name, `an array of ${value.length} bytes`, field);
      new Uint8Array(view.buffer, view.byteOffset, view.byteLength).set(value, at);
    },
    decode(view, at) {
      const copy = new Uint8Array(view.buffer, view.byteOffset, view.byteLength).slice(
        at,
        at + length,
      );
      if (copy.length !== length)
        throw outOfRange(name, `${copy.length} bytes at the end of a view`);
      return copy;
    },
  };
}

/** Codec of the C array `element[length]`. */
export function arrayOf<T>(element: Codec<T>, length: number): Codec<readonly T[]> {
  const name = `${element.name}[${length}]`;
  return {
    name,
    size: element.size * length,
    encode(value, view, at, field) {
      if (value.length !== length)
        throw outOfRange(name, `an array of ${value.length} elements`, field);
      value.forEach((item, index) => element.encode(item, view, at + index * element.size, field));
    },
    decode: (view, at) =>
      Array.from({ length }, (_, index) => element.decode(view, at + index * element.size)),
  };
}
