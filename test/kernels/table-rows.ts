/** Rows of tables as commands of bpftool. */

import type { Codec, MappedArray } from "../../datapath/index.js";
import { mapsFolder } from "./checks.js";

/** The rows of an array that hold anything. */
export function filledRows(
  object: string,
  map: string,
  { bytes, length, stride, valueSize }: MappedArray,
): readonly string[] {
  return Array.from({ length }, (_, index) => index).flatMap((index) => {
    const value = bytes.subarray(index * stride, index * stride + valueSize);
    return value.some((byte) => byte !== 0) ? [updateRow(object, map, indexKey(index), value)] : [];
  });
}

export function indexKey(index: number): Uint8Array {
  const key = Buffer.alloc(4);
  key.writeUInt32LE(index);
  return key;
}

export function encoded<T>(codec: Codec<T>, value: T): Uint8Array {
  const bytes = new Uint8Array(codec.size);
  codec.encode(value, new DataView(bytes.buffer), 0);
  return bytes;
}

export function updateRow(object: string, map: string, key: Uint8Array, value: Uint8Array): string {
  const path = `${mapsFolder(object)}/${map}`;
  return `map update pinned ${path} key hex ${hex(key)} value hex ${hex(value)}`;
}

function hex(bytes: Uint8Array): string {
  return (Buffer.from(bytes).toString("hex").match(/../g) ?? []).join(" ");
}
