import { datapathError, Errno } from "./errors.js";
import type { MapAccess } from "./map-access.js";
import { mapError, mapKeys, viewOf } from "./map-access.js";
import { isErrno, libbpf, libbpfError, resultName } from "./libbpf.js";

/** Entries per call: measured fastest, 0.25–0.4 µs per entry; larger ones leave the CPU's cache. */
const batchSize = 4096;
/** Bound of one buffer, for maps with large values on many CPUs. */
const batchBytes = 2 ** 23;
const maxInterruptions = 16;

function batchCount({ key, value, info }: MapAccess<never, never>): number {
  const byBytes = Math.floor(batchBytes / (key.size + value.size));
  return Math.max(1, Math.min(batchSize, byBytes, info.maxEntries));
}

/** Whether the map type, or the whole kernel, has no batch calls. */
function isUnsupported(result: number): boolean {
  return [Errno.ENOTSUPP, Errno.EOPNOTSUPP, Errno.EINVAL].some((errno) => isErrno(result, errno));
}

function counter(): Buffer {
  return Buffer.alloc(4);
}

/** Entries of one call as bytes; the buffers are used again for the next one. */
export interface MapSlice {
  readonly keys: Buffer;
  readonly values: Buffer;
  readonly count: number;
}

/** Reads a whole map. */
export function* batchEntries<K, V>(map: MapAccess<K, V>): Generator<readonly [K, V]> {
  const { key, value } = map;
  for (const { keys, values, count } of batchSlices(map)) {
    const keyView = viewOf(keys);
    const valueView = viewOf(values);
    for (let index = 0; index < count; index++) {
      yield [key.decode(keyView, index * key.size), value.decode(valueView, index * value.size)];
    }
  }
}

/** Reads a whole map, one call for each slice, when it is asked for. @param most entries of a slice */
export function* batchSlices<K, V>(
  map: MapAccess<K, V>,
  most = batchCount(map as MapAccess<never, never>),
): Generator<MapSlice> {
  const { fd, key, value, info } = map;
  let capacity = most;
  let keys = Buffer.alloc(capacity * key.size);
  let values = Buffer.alloc(capacity * value.size);
  const count = counter();
  // The kernel's place in the map: a bucket number for hashes, a key for all others.
  const place = Buffer.alloc(Math.max(8, key.size));
  let isFirst = true;
  for (let interruptions = 0; ; ) {
    count.writeUInt32LE(capacity);
    const from = isFirst ? null : place;
    const result = libbpf().bpf_map_lookup_batch(fd, from, place, keys, values, count, null);
    if (isFirst && isUnsupported(result)) {
      yield* slicesOneByOne(map, capacity);
      return;
    }
    if (isErrno(result, Errno.ENOSPC)) {
      // One hash bucket holds more than the buffer does; nothing was copied.
      capacity *= 2;
      keys = Buffer.alloc(capacity * key.size);
      values = Buffer.alloc(capacity * value.size);
      continue;
    }
    if (isErrno(result, Errno.EINTR) && interruptions++ < maxInterruptions) continue;
    const isLast = isErrno(result, Errno.ENOENT);
    if (result < 0 && !isLast) throw mapError(info, "lookup_batch", result);
    yield { keys, values, count: count.readUInt32LE() };
    if (isLast) return;
    isFirst = false;
  }
}

function* slicesOneByOne<K, V>(map: MapAccess<K, V>, capacity: number): Generator<MapSlice> {
  const { fd, key, value, info } = map;
  const keys = Buffer.alloc(capacity * key.size);
  const values = Buffer.alloc(capacity * value.size);
  let count = 0;
  for (const found of mapKeys(map)) {
    const keyBytes = keys.subarray(count * key.size, (count + 1) * key.size);
    key.encode(found, viewOf(keyBytes), 0);
    const valueBytes = values.subarray(count * value.size, (count + 1) * value.size);
    const result = libbpf().bpf_map_lookup_elem(fd, keyBytes, valueBytes);
    if (isErrno(result, Errno.ENOENT)) continue;
    if (result < 0) throw mapError(info, "lookup_elem", result);
    if (++count < capacity) continue;
    yield { keys, values, count };
    count = 0;
  }
  yield { keys, values, count };
}

/** Writes entries in their order; returns how many. */
export function batchUpdate<K, V>(
  map: MapAccess<K, V>,
  entries: Iterable<readonly [K, V]>,
): number {
  const { key, value } = map;
  const capacity = batchCount(map as MapAccess<never, never>);
  const keys = Buffer.alloc(capacity * key.size);
  const values = Buffer.alloc(capacity * value.size);
  const keyView = viewOf(keys);
  const valueView = viewOf(values);
  let filled = 0;
  let written = 0;
  for (const [entryKey, entryValue] of entries) {
    key.encode(entryKey, keyView, filled * key.size);
    value.encode(entryValue, valueView, filled * value.size);
    if (++filled < capacity) continue;
    writeBatch(map, keys, values, filled, written);
    written += filled;
    filled = 0;
  }
  if (filled > 0) writeBatch(map, keys, values, filled, written);
  return written + filled;
}

function writeBatch<K, V>(
  map: MapAccess<K, V>,
  keys: Buffer,
  values: Buffer,
  filled: number,
  before: number,
): void {
  const count = counter();
  count.writeUInt32LE(filled);
  let result = libbpf().bpf_map_update_batch(map.fd, keys, values, count, null);
  let done = result < 0 ? Math.min(filled, count.readUInt32LE()) : filled;
  if (result < 0 && isUnsupported(result)) {
    const { key, value } = map;
    for (done = 0, result = 0; done < filled && result >= 0; done += result >= 0 ? 1 : 0) {
      const keyBytes = keys.subarray(done * key.size, (done + 1) * key.size);
      const valueBytes = values.subarray(done * value.size, (done + 1) * value.size);
      result = libbpf().bpf_map_update_elem(map.fd, keyBytes, valueBytes, 0);
    }
  }
  if (result >= 0) return;
  const full = isErrno(result, Errno.E2BIG) || isErrno(result, Errno.ENOSPC);
  const { name, maxEntries } = map.info;
  throw datapathError(
    full ? "SLUICE_MAP_FULL" : "SLUICE_MAP_OPERATION",
    `writing to map ${name} stopped after ${before + done} entries: ` +
      (full ? `it has no room (max_entries ${maxEntries})` : resultName(result)),
    { cause: libbpfError("bpf_map_update_batch", result) },
  );
}

/** Deletes the entries that are there; returns how many were. */
export function batchDelete<K>(map: MapAccess<K, unknown>, keys: Iterable<K>): number {
  const { key } = map;
  const capacity = batchCount(map as MapAccess<never, never>);
  const bytes = Buffer.alloc(capacity * key.size);
  const view = viewOf(bytes);
  let filled = 0;
  let deleted = 0;
  for (const item of keys) {
    key.encode(item, view, filled * key.size);
    if (++filled < capacity) continue;
    deleted += deleteBatch(map, bytes, filled);
    filled = 0;
  }
  return deleted + (filled > 0 ? deleteBatch(map, bytes, filled) : 0);
}

function deleteBatch<K>(map: MapAccess<K, unknown>, keys: Buffer, filled: number): number {
  const size = map.key.size;
  const count = counter();
  let deleted = 0;
  for (let at = 0; at < filled; ) {
    count.writeUInt32LE(filled - at);
    const rest = keys.subarray(at * size, filled * size);
    const result = libbpf().bpf_map_delete_batch(map.fd, rest, count, null);
    if (result >= 0) return deleted + filled - at;
    if (isUnsupported(result)) return deleted + deleteOneByOne(map, rest, filled - at);
    if (!isErrno(result, Errno.ENOENT)) throw mapError(map.info, "delete_batch", result);
    // The call stops at the first key without an entry, after deleting those before it.
    const before = count.readUInt32LE();
    deleted += before;
    at += before + 1;
  }
  return deleted;
}

function deleteOneByOne<K>(map: MapAccess<K, unknown>, keys: Buffer, filled: number): number {
  const size = map.key.size;
  let deleted = 0;
  for (let at = 0; at < filled; at++) {
    const keyBytes = keys.subarray(at * size, (at + 1) * size);
    const result = libbpf().bpf_map_delete_elem(map.fd, keyBytes);
    if (result >= 0) deleted++;
    else if (!isErrno(result, Errno.ENOENT)) throw mapError(map.info, "delete_elem", result);
  }
  return deleted;
}
